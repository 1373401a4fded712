//! P1 over what the store writes: one case per method.
//!
//! Most have two organizations whose accounts, scans, jobs, resources and findings share all their
//! ids and keys: whatever tells them apart is the organization alone.

use std::time::Duration;

use trueno_core::id::CloudAccountId;
use trueno_core::model::{
    CoverageStatus, EventDraft, JobStatus, ScanProgress, ScanStatus, Severity,
};
use trueno_core::port::{Enqueued, FinishOutcome, Ingest, JobOutcome, PageRequest};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;

use super::World;
use super::twins::{REGION, alike, everything, insert, twins};
use crate::fixtures::{Requested, coverage, finding, resource, task};

/// P1: `insert_account`: ids of another organization are free, and both rows stay apart.
pub async fn isolation_insert_account(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let new = w.new_account();
    let theirs = insert(&w, &one, new.clone()).await.unwrap();
    let mine = insert(&w, &two, new).await.unwrap();
    assert_eq!(
        (mine.id, &mine.number),
        (theirs.id, &theirs.number),
        "P1: the same account"
    );
    assert_eq!(w.view(&one).await.account(theirs.id).await.unwrap(), theirs);
    assert_eq!(w.view(&two).await.account(mine.id).await.unwrap(), mine);
}

/// P1: `apply_account` reaches its own organization's row alone.
pub async fn isolation_apply_account(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.account(&one).await;
    let apply = async |id| {
        let mut unit = w.begin_accounts(&two).await;
        unit.apply_account(id, theirs.version, AccountEvent::Disconnected)
            .await
    };
    alike(apply(theirs.id).await, apply(w.id()).await);
    assert_eq!(
        w.view(&one).await.account(theirs.id).await.unwrap(),
        theirs,
        "P1: as it was"
    );

    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    w.apply(&two.tenant, &two.run.account, AccountEvent::Disconnected)
        .await;
    assert_eq!(
        everything(&w, &one).await,
        before,
        "P1: a twin's row is another row"
    );
}

/// P1: `insert_scan` finds no account of another organization.
pub async fn isolation_insert_scan(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.account(&one).await;
    let insert = async |account: CloudAccountId| {
        let account = trueno_core::model::CloudAccount {
            id: account,
            ..theirs.clone()
        };
        let requested = Requested {
            scan: w.id(),
            job: w.id(),
        };
        let mut unit = w.begin_scan(&two).await;
        unit.insert_scan(w.new_scan(&account, requested)).await
    };
    alike(insert(theirs.id).await, insert(w.id()).await);
}

/// P1: `enqueue` of a unit of work: another organization's ids and dedupe keys are free.
pub async fn isolation_unit_enqueue(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let job = w.job().with_dedupe_key("nightly").unwrap();
    w.enqueue(&one, job.clone()).await;
    let mut unit = w.begin_scan(&two).await;
    let id = job.id;
    assert_eq!(
        unit.enqueue(vec![job]).await.unwrap(),
        [Enqueued::Created(id)],
        "P1: free"
    );
    unit.commit(EventDraft::new("work.requested", "job", id))
        .await
        .unwrap();
    assert_eq!(w.claimable().await, [id, id], "one for each organization");
}

/// P1: `cancel_job` reaches its own organization's job alone.
pub async fn isolation_cancel_job(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let account = w.account(&one).await;
    let theirs = w.request_scan(&one, &account).await;
    let cancel = async |job| {
        let mut unit = w.begin_scan(&two).await;
        unit.cancel_job(job).await
    };
    alike(cancel(theirs.job).await, cancel(w.id()).await);
    assert_eq!(
        w.job_status(&one, theirs.job).await,
        JobStatus::Queued,
        "P1: it still waits"
    );
    assert_eq!(
        w.read_scan(&one, theirs.scan).await.status,
        ScanStatus::Queued
    );
}

/// P1: `redrive_job` and `discard_job` reach their own organization's jobs alone.
pub async fn isolation_dead_jobs(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.enqueue(&one, w.job().with_max_attempts(1).unwrap()).await;
    let lease = w.claim_one().await.reference();
    let outcome = JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable: false,
        retry_after: Duration::ZERO,
    };
    assert_eq!(w.settle(lease, outcome).await, JobStatus::Dead);
    let redrive = async |job| w.begin_scan(&two).await.redrive_job(job).await;
    alike(redrive(theirs).await, redrive(w.id()).await);
    let discard = async |job| w.begin_scan(&two).await.discard_job(job).await;
    alike(discard(theirs).await, discard(w.id()).await);
    assert_eq!(
        w.job_status(&one, theirs).await,
        JobStatus::Dead,
        "P1: it is dead still"
    );
}

/// P1: `commit` makes changes visible to its own organization alone, under its own name.
pub async fn isolation_commit(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    w.forget_staged().await;
    w.account(&one).await;
    let mut view = w.view(&two).await;
    assert_eq!(
        view.accounts(&PageRequest::largest()).await.unwrap().items,
        []
    );
    assert_eq!(
        w.staged_of(&two).await,
        [],
        "P1: nor is its history another's"
    );
    assert_eq!(w.staged_of(&one).await.len(), 2);
}

/// Runs one write of an ingest batch of the second twin, and checks that the first sees nothing.
async fn only_its_own(w: &World, write: impl AsyncFnOnce(&mut dyn Ingest)) {
    let (one, two) = twins(w).await;
    let (before, own) = (everything(w, &one).await, everything(w, &two).await);
    let mut ingest = w.store.ingest(&two.run.lease).await.unwrap();
    write(&mut *ingest).await;
    ingest.commit().await.unwrap();
    assert_eq!(
        everything(w, &one).await,
        before,
        "P1: the twin's rows are other rows"
    );
    assert_ne!(everything(w, &two).await, own, "its own rows changed");
}

/// P1: `start_scan`.
pub async fn isolation_start_scan(w: World) {
    only_its_own(&w, async |ingest| {
        ingest.start_scan(9).await.unwrap();
    })
    .await;
}

/// P1: `put_resources`.
pub async fn isolation_put_resources(w: World) {
    only_its_own(&w, async |ingest| {
        let volume = resource("ec2.volume", REGION, "vol-1");
        ingest.put_resources(vec![volume]).await.unwrap();
    })
    .await;
}

/// P1: `put_coverage`.
pub async fn isolation_put_coverage(w: World) {
    only_its_own(&w, async |ingest| {
        let denied = coverage(task("ec2.volume", REGION), CoverageStatus::Denied);
        ingest.put_coverage(vec![denied]).await.unwrap();
    })
    .await;
}

/// P1: `put_findings`.
pub async fn isolation_put_findings(w: World) {
    only_its_own(&w, async |ingest| {
        let mut draft = finding("vol-1");
        draft.severity = Severity::High;
        ingest.put_findings(vec![draft]).await.unwrap();
    })
    .await;
}

/// P1: `resolve_findings`.
pub async fn isolation_resolve_findings(w: World) {
    only_its_own(&w, async |ingest| {
        ingest
            .resolve_findings(vec![finding("vol-1").key])
            .await
            .unwrap();
    })
    .await;
}

/// P1: `set_progress`.
pub async fn isolation_set_progress(w: World) {
    only_its_own(&w, async |ingest| {
        let progress = ScanProgress {
            tasks: 4,
            tasks_done: 4,
            resources: 99,
        };
        ingest.set_progress(progress).await.unwrap();
    })
    .await;
}

/// P1: `finish` ends its own organization's job and scan alone.
pub async fn isolation_finish(w: World) {
    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    w.forget_staged().await;
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
        coverage_complete: true,
    });
    let event = EventDraft::new("scan.finished", "scan", two.run.scan);
    w.store
        .finish(&two.run.lease, outcome, event)
        .await
        .unwrap();
    assert_eq!(everything(&w, &one).await, before, "P1: the twin runs on");
    assert_eq!(
        w.read_scan(&two.tenant, two.run.scan).await.status,
        ScanStatus::Succeeded
    );
    assert_eq!(
        w.staged_of(&one.tenant).await,
        [],
        "P1: nor is its history another's"
    );
    assert_eq!(w.actions_of(&two.tenant).await, ["scan.finished"]);
}
