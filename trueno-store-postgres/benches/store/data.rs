//! What is written: the same rows in every run.

use serde_json::json;
use trueno_core::model::{Coverage, CoverageStatus, FindingDraft, Resource, ResourceRef, Severity};
use trueno_testkit::fixtures::{coverage, finding, region, resource_kind, task};

/// Rows of a batch.
pub(crate) const BATCH: usize = 1_000;

const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"];
const KINDS: [&str; 3] = ["ec2.instance", "ec2.snapshot", "ec2.volume"];

/// The nth resource of an account: six tags, and attributes of half a kilobyte, as of an instance.
/// Providers list one kind in one region at a time, so a batch is of one of each.
pub(crate) fn resource(n: usize) -> Resource {
    let (id, page) = (scattered(n), n / BATCH);
    let tags = [
        ("Name", format!("web-{:04}", n % 5_000)),
        ("Owner", format!("team-{:02}@example.com", n % 40)),
        ("aws:autoscaling:groupName", format!("web-{:02}", n % 60)),
        ("cost-center", format!("cc-{:04}", n % 300)),
        (
            "environment",
            ["production", "staging", "test"][n % 3].to_owned(),
        ),
        ("terraform-module", "modules/compute/web-server".to_owned()),
    ];
    Resource {
        reference: ResourceRef {
            kind: resource_kind(KINDS[page % KINDS.len()]),
            region: region(REGIONS[page / KINDS.len() % REGIONS.len()]),
            native_id: format!("i-{id:017x}"),
        },
        name: Some(format!("web-{:04}", n % 5_000)),
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        attributes: json!({
            "state": "running",
            "instance_type": "m7g.xlarge",
            "architecture": "arm64",
            "availability_zone": "eu-west-1b",
            "image_id": format!("ami-{:017x}", id >> 7),
            "launched_at": "2026-08-14T09:21:44Z",
            "private_ip": format!("10.{}.{}.{}", n / 65_536 % 256, n / 256 % 256, n % 256),
            "vpc_id": format!("vpc-{:017x}", id >> 11),
            "subnet_id": format!("subnet-{:017x}", id >> 9),
            "security_group_ids": [format!("sg-{:017x}", id >> 5), format!("sg-{:017x}", id >> 6)],
            "volume_ids": [format!("vol-{:017x}", id >> 1), format!("vol-{:017x}", id >> 2)],
            "ebs_optimized": true,
            "monitoring": "disabled",
        }),
    }
}

/// Resources `from..to`, as a page of a scan.
pub(crate) fn resources(from: usize, to: usize) -> Vec<Resource> {
    (from..to).map(resource).collect()
}

/// What a scan says once it has read all of an account.
pub(crate) fn complete() -> Vec<Coverage> {
    KINDS
        .iter()
        .flat_map(|kind| REGIONS.map(|region| task(kind, region)))
        .map(|task| coverage(task, CoverageStatus::Complete))
        .collect()
}

/// Findings `from..to` of an account: every other one is [`COUNTED`].
pub(crate) fn findings(from: usize, to: usize) -> Vec<FindingDraft> {
    (from..to)
        .map(|n| FindingDraft {
            severity: [COUNTED, Severity::Low][n % 2],
            ..finding(&format!("vol-{:017x}", scattered(n)))
        })
        .collect()
}

/// The severity that is counted.
pub(crate) const COUNTED: Severity = Severity::Medium;

/// Ids of providers have no order: neighbours in a page are far apart in the index. Multiplying by an
/// odd number permutes, so no two are the same.
fn scattered(n: usize) -> u64 {
    (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4
}
