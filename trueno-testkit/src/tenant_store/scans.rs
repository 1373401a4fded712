//! Scans and jobs, as members ask for them.

use trueno_core::error::ErrorKind;
use trueno_core::model::{Actor, EventDraft, JobStatus, ScanKind, ScanProgress, ScanStatus};
use trueno_core::port::{CancelOutcome, Enqueued};

use super::World;
use crate::fixtures::Requested;
use crate::suite::{near, refused};

/// A requested scan is queued, and says who asked for it and when.
pub async fn a_requested_scan_is_queued(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let before = w.now().await;
    let requested = w.request_scan(&tenant, &account).await;
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!(
        (scan.id, scan.account, scan.job),
        (requested.scan, account.id, requested.job)
    );
    assert_eq!(
        (scan.kind, scan.status),
        (ScanKind::Inventory, ScanStatus::Queued)
    );
    assert_eq!(scan.requested_by, Actor::Member { user: tenant.owner });
    assert_eq!(
        (scan.started_at, scan.finished_at, scan.error.as_deref()),
        (None, None, None)
    );
    assert_eq!((scan.progress, scan.version), (ScanProgress::default(), 1));
    near(
        scan.created_at,
        before,
        w.now().await,
        "when it was asked for",
    );
    assert_eq!(
        w.view(&tenant).await.coverage(scan.id).await.unwrap(),
        [],
        "nothing was read yet"
    );
}

/// A scan's account must be there.
pub async fn a_scan_needs_its_account(w: World) {
    let tenant = w.organization().await;
    let mut account = w.account(&tenant).await;
    account.id = w.id();
    let requested = Requested {
        scan: w.id(),
        job: w.id(),
    };
    let mut unit = w.begin_scan(&tenant).await;
    let answer = unit.insert_scan(w.new_scan(&account, requested)).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "a scan of an account that is not there",
    );
}

/// A scan's id in use is refused.
pub async fn a_scan_id_in_use_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let first = w.request_scan(&tenant, &account).await;
    let mut unit = w.begin_scan(&tenant).await;
    let twin = Requested {
        scan: first.scan,
        job: w.id(),
    };
    let answer = unit.insert_scan(w.new_scan(&account, twin)).await;
    refused(answer, ErrorKind::AlreadyExists, "a scan's id in use");
    drop(unit);
    assert_eq!(
        w.read_scan(&tenant, first.scan).await.job,
        first.job,
        "as it was"
    );
}

/// A unit of work enqueues as the queue does: in order, with dedupe keys and ids checked.
pub async fn a_unit_of_work_enqueues_as_the_queue_does(w: World) {
    let tenant = w.organization().await;
    let keyed = || w.job().with_dedupe_key("nightly").unwrap();
    let live = w.enqueue(&tenant, keyed()).await;
    let mut unit = w.begin_scan(&tenant).await;
    let plain = w.job();
    let id = plain.id;
    let answer = unit.enqueue(vec![keyed(), plain.clone()]).await.unwrap();
    assert_eq!(answer, [Enqueued::Duplicate(live), Enqueued::Created(id)]);
    unit.commit(EventDraft::new("work.requested", "job", id))
        .await
        .unwrap();

    let mut unit = w.begin_scan(&tenant).await;
    let answer = unit.enqueue(vec![w.job(), plain]).await;
    refused(answer, ErrorKind::AlreadyExists, "a job's id in use");
    drop(unit);
    let mut claimed = w.claimable().await;
    claimed.sort_unstable();
    assert_eq!(claimed, [live, id]);
}

/// P2: cancelling a job in a unit of work ends its scan with it, once it commits and not before.
pub async fn cancelling_a_waiting_job_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    w.forget_staged().await;

    let mut unit = w.begin_scan(&tenant).await;
    assert_eq!(
        unit.cancel_job(requested.job).await.unwrap(),
        CancelOutcome::Cancelled
    );
    unit.rollback().await.unwrap();
    assert_eq!(
        w.job_status(&tenant, requested.job).await,
        JobStatus::Queued,
        "P2: rolled back"
    );
    assert_eq!(
        w.read_scan(&tenant, requested.scan).await.status,
        ScanStatus::Queued
    );

    let mut unit = w.begin_scan(&tenant).await;
    assert_eq!(
        unit.cancel_job(requested.job).await.unwrap(),
        CancelOutcome::Cancelled
    );
    unit.commit(EventDraft::new("scan.cancelled", "scan", requested.scan))
        .await
        .unwrap();
    assert_eq!(
        w.job_status(&tenant, requested.job).await,
        JobStatus::Cancelled
    );
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Cancelled,
        "P2: the scan ends with its job"
    );
    assert!(scan.finished_at.is_some() && scan.version > 1);
    assert_eq!(
        w.actions_of(&tenant).await,
        ["scan.cancelled"],
        "one unit of work, one event"
    );
    assert_eq!(w.claimable().await, []);
}

/// A running job is asked to stop, once the unit of work commits; one that ended keeps its end.
pub async fn cancelling_a_running_job_asks_it_to_stop(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut unit = w.begin_scan(&tenant).await;
    assert_eq!(
        unit.cancel_job(run.job).await.unwrap(),
        CancelOutcome::Requested
    );
    unit.commit(EventDraft::new("scan.cancel_requested", "scan", run.scan))
        .await
        .unwrap();
    let job = w.read_job(&tenant, run.job).await;
    assert_eq!(
        (job.status, job.cancel_requested),
        (JobStatus::Running, true)
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running
    );

    let waiting = w.enqueue(&tenant, w.job()).await;
    w.queue.cancel(&tenant.scan, waiting).await.unwrap();
    let mut unit = w.begin_scan(&tenant).await;
    let answer = unit.cancel_job(waiting).await.unwrap();
    assert_eq!(answer, CancelOutcome::AlreadyFinished(JobStatus::Cancelled));
    let answer = unit.cancel_job(w.id()).await;
    refused(answer, ErrorKind::NotFound, "a job that nobody enqueued");
}
