//! Input that cannot be stored is refused with the name of its field; nothing is written, and the
//! store works on. Sizes and texts of what scans see and events tell are in the ports' suite.

mod cursors;

use serde_json::json;
use trueno_core::error::{Error, ErrorKind, RetryAdvice};
use trueno_core::model::{AccessMethod, EventDraft, ExternalIdHash, JobPayload, NewJob};
use trueno_core::port::{ClaimRequest, FinishOutcome, JobOutcome, Settlement, UnitOfWork};
use trueno_core::state::scan::ScanEvent;
use trueno_testkit::fixtures::{RunningScan, Tenant, World, resource};

use crate::support::harness;

/// Text that no database keeps.
const NUL: &str = "a\0b";

/// The error of an answer that is none: bad input, of this field.
#[track_caller]
fn refuses<T>(field: &str, answer: Result<T, Error>) {
    let Err(error) = answer else {
        panic!("{field} was taken");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{field}: {error:?}");
    assert_eq!(error.retry(), RetryAdvice::Never, "{field}: {error:?}");
    assert!(error.certainly_not_applied(), "{field}: {error:?}");
    let message = error.to_string();
    let (named, problem) = message.split_once(": ").unwrap_or_default();
    assert!(named.starts_with(field), "{field} is not named: {message}");
    assert!(!problem.is_empty() && !message.contains('\0'), "{message}");
}

fn event() -> EventDraft {
    EventDraft::new("cloud_account.connected", "cloud_account", "any")
}

/// Jobs with a NUL in each of their texts.
fn bad_jobs(w: &World) -> [(&'static str, NewJob); 2] {
    let with = |change: &dyn Fn(&mut NewJob)| {
        let mut job = w.job();
        change(&mut job);
        job
    };
    let payload = |body| JobPayload { version: 1, body };
    [
        (
            "job payload",
            with(&|job| job.payload = payload(json!({ NUL: 1 }))),
        ),
        (
            "job payload",
            with(&|job| job.payload = payload(json!({ "a": [NUL] }))),
        ),
    ]
}

/// A world whose organization has one scan that runs, and whatever it holds as text, to see that
/// nothing was written.
async fn world() -> (World, Tenant, RunningScan) {
    let w = World::new(harness().await).await;
    let tenant = w.organization().await;
    let scan = w.running_scan(&tenant).await;
    (w, tenant, scan)
}

/// Every step of a new unit of work that is refused leaves nothing behind.
async fn unit(w: &World, tenant: &Tenant) -> Box<dyn UnitOfWork> {
    let mut unit = w.begin_accounts(tenant).await;
    unit.insert_account(w.new_account()).await.unwrap();
    unit
}

async fn nothing_was_written(w: &World, tenant: &Tenant, scan: &RunningScan) {
    let page = trueno_core::port::PageRequest::largest();
    let mut view = w.view(tenant).await;
    let accounts = view.accounts(&page).await.unwrap().items;
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    let resources = view.resources(&Default::default(), &page).await.unwrap();
    assert_eq!(resources.items, []);
    let findings = view.findings(&Default::default(), &page).await.unwrap();
    assert_eq!(findings.items, []);
    assert_eq!(view.coverage(scan.scan).await.unwrap(), []);
    drop(view);
    let stats = w.queue.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.running), (0, 1));
    // Whoever was refused can go on: the lease holds, and units of work go through.
    let mut ingest = w.store.ingest(&scan.lease).await.unwrap();
    let volume = resource("ec2.volume", "eu-west-1", "vol-1");
    ingest.put_resources(vec![volume]).await.unwrap();
    ingest.commit().await.unwrap();
    w.pending_account(tenant).await;
}

#[tokio::test]
async fn accounts_jobs_and_workers_with_nul_are_refused() {
    let (w, tenant, scan) = world().await;
    let mut named = w.new_account();
    named.name = NUL.to_owned();
    let mut keyed = w.new_account();
    keyed.access = AccessMethod::AssumeRole {
        role_arn: format!("arn:aws:iam::{}:role/reader", keyed.number)
            .parse()
            .unwrap(),
        external_id_hash: ExternalIdHash::from_bytes([7; 32]),
        key_id: NUL.to_owned(),
        generation: 1,
    };
    for (field, account) in [("account name", named), ("external id key", keyed)] {
        let mut unit = unit(&w, &tenant).await;
        refuses(field, unit.insert_account(account).await);
        assert!(unit.commit(event()).await.is_err(), "the unit is spent");
    }
    for (field, job) in bad_jobs(&w) {
        refuses(
            field,
            w.queue
                .enqueue(&tenant.scan, vec![w.job(), job.clone()])
                .await,
        );
        let mut unit = w.begin_scan(&tenant).await;
        refuses(field, unit.enqueue(vec![w.job(), job.clone()]).await);
        let next = FinishOutcome::new(JobOutcome::Succeeded)
            .with_scan(ScanEvent::Completed {
                coverage_complete: true,
            })
            .with_next(vec![job]);
        refuses(field, w.store.finish(&scan.lease, next, event()).await);
    }
    let kinds = vec!["test.work".parse().unwrap()];
    let worker = ClaimRequest::new(w.id(), NUL, kinds, 1);
    refuses("worker", w.queue.claim(&worker).await);
    let failed = JobOutcome::Failed {
        error: NUL.to_owned(),
        retryable: true,
        retry_after: std::time::Duration::ZERO,
    };
    let settlement = Settlement {
        lease: scan.lease.reference(),
        outcome: failed.clone(),
    };
    refuses("error of the job", w.queue.settle(vec![settlement]).await);
    let failed = FinishOutcome::new(failed);
    refuses(
        "error of the job",
        w.store.finish(&scan.lease, failed, event()).await,
    );
    let failed = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Failed {
        reason: NUL.to_owned(),
    });
    refuses(
        "reason of the scan",
        w.store.finish(&scan.lease, failed, event()).await,
    );
    nothing_was_written(&w, &tenant, &scan).await;
}
