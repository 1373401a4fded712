//! The suite of `CloudScanner` over a scripted scanner: it passes, and each way of breaking it is
//! noticed by the case that promises otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use trueno_core::clock::Clock as _;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::IdSource;
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, CoverageStatus, Provider, TaskKey,
};
use trueno_core::port::{
    CloudScanner, Operation, PageError, Probe, ProbeOutcome, ScanPage, ScanPlan, ScanSession,
    ScanStream, ScanTarget, ScanTask, TaskPlan, Verification,
};
use trueno_testkit::clock::ManualClock;
use trueno_testkit::cloud_scanner::{World, connection, plan, scan};
use trueno_testkit::fixtures::{resource, task};
use trueno_testkit::harness::{ExpectedScan, ScannerHarness};
use trueno_testkit::suite::run;

const TOKEN: &str = "FwoGZXIvYXdzEXAMPLETOKEN";
const REGION: &str = "eu-west-1";
const VOLUMES: [&str; 5] = ["vol-1", "vol-2", "vol-3", "vol-4", "vol-5"];

/// A way of breaking the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    SkipsAPage,
    RepeatsAPage,
    StopsInTheMiddle,
    TakesDeniedForEmpty,
    BeginsAnewInSilence,
    ReadsOutsideItsPlan,
    PutsThingsElsewhere,
    TellsTheTokenInDebug,
    TellsTheTokenInAnError,
    PlansTwice,
    FailsWithoutAdvice,
}

#[derive(Debug)]
struct Scripted {
    defect: Defect,
}

struct Session {
    defect: Defect,
    allowed: Vec<Operation>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.defect == Defect::TellsTheTokenInDebug {
            TOKEN
        } else {
            "…"
        };
        f.debug_struct("Session").field("token", &token).finish()
    }
}

fn read(kind: &str, operation: &'static str) -> TaskPlan {
    let operations = vec![Operation {
        service: "ec2",
        name: operation,
    }];
    TaskPlan::Read(ScanTask {
        key: task(kind, REGION),
        operations,
    })
}

#[async_trait]
impl CloudScanner for Scripted {
    fn provider(&self) -> Provider {
        Provider::Aws
    }

    async fn plan(&self, _: &ScanTarget) -> Result<ScanPlan> {
        let mut tasks = vec![
            read("ec2.volume", "DescribeVolumes"),
            read("ec2.image", "DescribeImages"),
            read("ec2.snapshot", "DescribeSnapshots"),
            TaskPlan::Settled(task("ec2.volume", "ap-east-1"), CoverageStatus::NotEnabled),
        ];
        if self.defect == Defect::PlansTwice {
            tasks.push(tasks[0].clone());
        }
        Ok(ScanPlan { tasks })
    }

    async fn verify(&self, target: &ScanTarget) -> Result<Verification> {
        let failed = self.defect == Defect::FailsWithoutAdvice;
        let outcome = if failed {
            ProbeOutcome::Failed
        } else {
            ProbeOutcome::Passed
        };
        let probe = Probe {
            name: "sign in".to_owned(),
            outcome,
            advice: None,
        };
        let number = Some(target.account.number.clone());
        Ok(Verification {
            number,
            probes: vec![probe],
        })
    }

    async fn open(&self, _: &ScanTarget, plan: &ScanPlan) -> Result<Box<dyn ScanSession>> {
        Ok(Box::new(Session {
            defect: self.defect,
            allowed: plan.operations(),
        }))
    }
}

#[async_trait]
impl ScanSession for Session {
    async fn scan(&self, task: &ScanTask, checkpoint: Option<String>) -> Result<ScanStream> {
        let outside = task
            .operations
            .iter()
            .any(|needs| !self.allowed.contains(needs));
        if outside && self.defect != Defect::ReadsOutsideItsPlan {
            return Err(Error::new(ErrorKind::Denied, "outside the plan"));
        }
        let first = match checkpoint.map(|text| text.parse::<usize>()) {
            None => 0,
            Some(Ok(page)) => page,
            Some(Err(_)) if self.defect == Defect::BeginsAnewInSilence => 0,
            Some(Err(_)) => return Err(Error::invalid("checkpoint", "is not known")),
        };
        let pages = self.pages(&task.key).into_iter().skip(first);
        Ok(futures::stream::iter(pages.collect::<Vec<_>>()).boxed())
    }
}

impl Session {
    fn pages(&self, key: &TaskKey) -> Vec<Result<ScanPage, PageError>> {
        match key.kind.as_str() {
            "ec2.volume" => self.volumes(),
            "ec2.snapshot" if self.defect == Defect::TakesDeniedForEmpty => {
                vec![Ok(ScanPage {
                    resources: Vec::new(),
                    requests: 1,
                    checkpoint: None,
                })]
            }
            "ec2.snapshot" => {
                let detail = match self.defect {
                    Defect::TellsTheTokenInAnError => format!("signed with {TOKEN}"),
                    _ => "signed".to_owned(),
                };
                let error = Error::new(ErrorKind::Denied, "not allowed").with_detail(detail);
                vec![Err(PageError { requests: 1, error })]
            }
            _ => {
                let images = vec![resource("ec2.image", REGION, "ami-1")];
                vec![Ok(ScanPage {
                    resources: images,
                    requests: 1,
                    checkpoint: None,
                })]
            }
        }
    }

    fn volumes(&self) -> Vec<Result<ScanPage, PageError>> {
        let at = if self.defect == Defect::PutsThingsElsewhere {
            "us-east-1"
        } else {
            REGION
        };
        let chunks: Vec<&[&str]> = VOLUMES.chunks(2).collect();
        let mut pages = Vec::new();
        for (nth, ids) in chunks.iter().enumerate() {
            let resources = ids
                .iter()
                .map(|id| resource("ec2.volume", at, id))
                .collect();
            let more = nth + 1 < chunks.len();
            let checkpoint = more.then(|| (nth + 1).to_string());
            pages.push(Ok(ScanPage {
                resources,
                requests: 1,
                checkpoint,
            }));
        }
        match self.defect {
            Defect::SkipsAPage => drop(pages.remove(1)),
            Defect::StopsInTheMiddle => drop(pages.pop()),
            Defect::RepeatsAPage => {
                let again = pages[0].as_ref().unwrap().clone();
                pages.insert(1, Ok(again));
            }
            _ => {}
        }
        pages
    }
}

struct Harness {
    defect: Defect,
}

impl ScannerHarness for Harness {
    fn scanner(&self) -> Arc<dyn CloudScanner> {
        Arc::new(Scripted {
            defect: self.defect,
        })
    }

    fn target(&self) -> ScanTarget {
        let (ids, now) = (IdSource::seeded(1), ManualClock::default().now());
        ScanTarget::new(CloudAccount {
            id: ids.next(now),
            organization: ids.next(now),
            provider: Provider::Aws,
            number: "123456789012".parse().unwrap(),
            name: "Production".to_owned(),
            access: Some(AccessMethod::Ambient),
            regions: Vec::new(),
            status: AccountStatus::Active,
            created_at: now,
            version: 1,
        })
    }

    fn expected(&self) -> ExpectedScan {
        let mut resources: Vec<_> = VOLUMES
            .iter()
            .map(|id| resource("ec2.volume", REGION, id).reference)
            .collect();
        resources.push(resource("ec2.image", REGION, "ami-1").reference);
        ExpectedScan {
            resources,
            failing: vec![(task("ec2.snapshot", REGION), ErrorKind::Denied)],
            paged: task("ec2.volume", REGION),
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

async fn broken(defect: Defect) -> Harness {
    Harness { defect }
}

mod a_sound_scanner_passes {
    use super::{Defect, broken};

    trueno_testkit::cloud_scanner_conformance!("a scripted scanner", || broken(Defect::None));
}

/// Checks that a case fails over a scanner with `defect`.
#[track_caller]
fn noticed(defect: Defect, case: impl AsyncFnOnce(World) + std::panic::UnwindSafe) {
    let ran = std::panic::catch_unwind(|| {
        run(
            "cloud_scanner",
            "defect",
            async { World::new(broken(defect).await).await },
            case,
        );
    });
    assert!(ran.is_err(), "{defect:?} went unnoticed");
}

#[test]
fn every_defect_is_noticed() {
    noticed(Defect::SkipsAPage, scan::every_resource_is_found_once);
    noticed(Defect::RepeatsAPage, scan::every_resource_is_found_once);
    noticed(Defect::RepeatsAPage, scan::a_scan_goes_on_from_a_checkpoint);
    noticed(
        Defect::StopsInTheMiddle,
        scan::every_task_ends_in_a_last_page_or_an_error,
    );
    noticed(
        Defect::TakesDeniedForEmpty,
        scan::every_task_ends_in_a_last_page_or_an_error,
    );
    noticed(
        Defect::BeginsAnewInSilence,
        scan::an_unknown_checkpoint_is_refused,
    );
    noticed(
        Defect::ReadsOutsideItsPlan,
        plan::a_session_can_do_what_its_plan_needs_and_no_more,
    );
    noticed(
        Defect::PutsThingsElsewhere,
        scan::resources_belong_to_their_task,
    );
    noticed(
        Defect::TellsTheTokenInDebug,
        connection::nothing_tells_a_credential,
    );
    noticed(
        Defect::TellsTheTokenInAnError,
        connection::nothing_tells_a_credential,
    );
    noticed(Defect::PlansTwice, plan::a_plan_names_every_task_once);
    noticed(
        Defect::FailsWithoutAdvice,
        connection::a_verification_says_what_it_tried,
    );
}
