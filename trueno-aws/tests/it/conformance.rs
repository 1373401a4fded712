//! The scanner held to its port's contract.

use std::sync::Arc;

use trueno_aws::AwsScanner;
use trueno_core::error::ErrorKind;
use trueno_core::model::{Region, ResourceKind, ResourceRef, TaskKey};
use trueno_core::port::{CloudScanner, ScanTarget};
use trueno_testkit::harness::{ExpectedScan, ScannerHarness};

use crate::aws::{self, OWN_SECRET, ec2_error, ok, region, through_role, volumes};
use crate::stub::Stub;

/// An account with volumes on three pages in eu-west-1, whose images are denied.
struct Harness {
    _stub: Stub,
    scanner: AwsScanner,
    target: ScanTarget,
    secrets: Vec<String>,
}

impl Harness {
    async fn start() -> Self {
        let (target, keys, external_id) = through_role();
        let wanted = external_id.expose().to_owned();
        let stub =
            aws::stub(
                move |asked, _| match (asked.action.as_str(), asked.param("NextToken")) {
                    ("AssumeRole", _) if asked.param("ExternalId") != Some(&wanted) => {
                        Some(aws::sts_error(403, "AccessDenied"))
                    }
                    ("DescribeImages", _) => Some(ec2_error(403, "UnauthorizedOperation")),
                    ("DescribeVolumes", None) => Some(ok(volumes(&["vol-1", "vol-2"], Some("b")))),
                    ("DescribeVolumes", Some("b")) => Some(ok(volumes(&["vol-3"], Some("c")))),
                    ("DescribeVolumes", Some("c")) => Some(ok(volumes(&["vol-4"], None))),
                    ("DescribeVolumes", Some(_)) => Some(ec2_error(400, "InvalidPaginationToken")),
                    _ => None,
                },
            )
            .await;
        let scanner = aws::scanner(&stub).keys(Arc::clone(&keys)).build().unwrap();
        let key = keys.newest().to_line();
        let secrets = vec![
            external_id.expose().to_owned(),
            OWN_SECRET.to_owned(),
            "assumed-secret".to_owned(),
            "assumed-token".to_owned(),
            key.split_whitespace().last().unwrap().to_owned(),
        ];
        Self {
            _stub: stub,
            scanner,
            target,
            secrets,
        }
    }
}

fn home() -> Region {
    region("eu-west-1")
}

fn task(kind: &'static str) -> TaskKey {
    let kind = ResourceKind::known(kind);
    TaskKey {
        service: "ec2".to_owned(),
        region: home(),
        kind,
    }
}

impl ScannerHarness for Harness {
    fn scanner(&self) -> Arc<dyn CloudScanner> {
        Arc::new(self.scanner.clone())
    }

    fn target(&self) -> ScanTarget {
        self.target.clone()
    }

    fn expected(&self) -> ExpectedScan {
        let volume = |id: &str| ResourceRef {
            kind: ResourceKind::known("ec2.volume"),
            region: home(),
            native_id: id.to_owned(),
        };
        ExpectedScan {
            resources: ["vol-1", "vol-2", "vol-3", "vol-4"].map(volume).to_vec(),
            failing: vec![(task("ec2.image"), ErrorKind::Denied)],
            paged: task("ec2.volume"),
        }
    }

    fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }
}

trueno_testkit::cloud_scanner_conformance!(Harness::start);
