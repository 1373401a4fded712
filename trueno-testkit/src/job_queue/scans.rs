//! Jobs that run scans: where the job ends in the queue, its scan ends with it (P2).

use std::time::Duration;

use trueno_core::model::{Actor, AuditEvent, JobStatus, ScanStatus};
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::port::{CancelOutcome, JobOutcome, SettleOutcome, Settlement};
use trueno_core::state::job::LOST_LEASE_LIMIT;

use super::World;
use crate::fixtures::{RunningScan, Tenant};

/// P2: a scan whose job is cancelled before it began is cancelled with it, and history says so.
pub async fn cancelling_a_waiting_job_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    w.forget_staged().await;
    let answer = w.queue.cancel(&tenant.scan, requested.job).await.unwrap();
    assert_eq!(answer, CancelOutcome::Cancelled);
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Cancelled,
        "P2: the scan ends with its job"
    );
    assert!(scan.finished_at.is_some());
    let event = only_event(&w, &tenant, "job.cancelled").await;
    assert_eq!(
        event.actor,
        Actor::Member { user: tenant.owner },
        "who cancelled it"
    );
    names(&event, requested.job);
    let again = w.queue.cancel(&tenant.scan, requested.job).await.unwrap();
    assert_eq!(again, CancelOutcome::AlreadyFinished(JobStatus::Cancelled));
    assert_eq!(w.staged_of(&tenant).await.len(), 1, "one end, one event");
}

/// P2: so is a scan that began, failed once, and waits for its next attempt.
pub async fn cancelling_a_job_in_backoff_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let retry_after = Duration::from_secs(60);
    let outcome = JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable: true,
        retry_after,
    };
    let lease = run.lease.reference();
    w.queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap();
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Running,
        "an attempt failed, and the scan goes on"
    );
    w.forget_staged().await;
    let answer = w.queue.cancel(&tenant.scan, run.job).await.unwrap();
    assert_eq!(answer, CancelOutcome::Cancelled);
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Cancelled,
        "P2: the scan ends with its job"
    );
    names(&only_event(&w, &tenant, "job.cancelled").await, run.job);
}

/// A running scan that is asked to stop goes on until its worker ends it.
pub async fn asking_a_running_job_to_stop_leaves_its_scan_running(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.forget_staged().await;
    let answer = w.queue.cancel(&tenant.scan, run.job).await.unwrap();
    assert_eq!(answer, CancelOutcome::Requested);
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running
    );
    assert!(
        !w.actions_of(&tenant)
            .await
            .contains(&"job.cancelled".to_owned()),
        "not yet"
    );
}

/// P2: a scan whose job lost too many leases has failed, says why, and history says so.
pub async fn a_crash_looped_job_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let RunningScan { scan, job, .. } = w.running_scan(&tenant).await;
    w.forget_staged().await;
    for nth in 1..=LOST_LEASE_LIMIT {
        if nth > 1 {
            assert_eq!(w.claim_one().await.reference().job, job);
        }
        w.lose_leases().await;
        let seen = w.read_scan(&tenant, scan).await;
        assert_eq!(
            seen.status,
            ScanStatus::Running,
            "after {} lost leases",
            nth - 1
        );
        assert_eq!(w.staged_of(&tenant).await, [], "nothing has ended");
        w.queue.recover_expired(10).await.unwrap();
    }
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Dead);
    let seen = w.read_scan(&tenant, scan).await;
    assert_eq!(
        seen.status,
        ScanStatus::Failed,
        "P2: the scan ends with its job"
    );
    assert_eq!(
        seen.error.as_deref(),
        Some(CRASH_LOOPED),
        "in words for its organization"
    );
    assert!(seen.finished_at.is_some());
    let event = only_event(&w, &tenant, "job.dead").await;
    assert_eq!(event.actor, Actor::System, "nobody's doing");
    names(&event, job);
}

/// P2: an orphan that was asked to stop takes its scan with it.
pub async fn an_orphan_asked_to_stop_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.queue.cancel(&tenant.scan, run.job).await.unwrap();
    w.forget_staged().await;
    w.lose_leases().await;
    w.queue.recover_expired(10).await.unwrap();
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Cancelled
    );
    names(&only_event(&w, &tenant, "job.cancelled").await, run.job);
}

/// P2: a scan job that its worker gives back although it was asked to stop ends, and so does its
/// scan.
pub async fn a_returned_job_that_was_asked_to_stop_ends_its_scan(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.queue.cancel(&tenant.scan, run.job).await.unwrap();
    w.forget_staged().await;
    let settlement = Settlement {
        lease: run.lease.reference(),
        outcome: JobOutcome::Returned,
    };
    let settled = w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(settled, [SettleOutcome::Settled(JobStatus::Cancelled)]);
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Cancelled
    );
    names(&only_event(&w, &tenant, "job.cancelled").await, run.job);
}

/// A scan job that its worker gives back waits again, and its scan goes on.
pub async fn a_returned_job_leaves_its_scan_running(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let settlement = Settlement {
        lease: run.lease.reference(),
        outcome: JobOutcome::Returned,
    };
    w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running
    );
    assert_eq!(w.claim_one().await.reference().job, run.job);
}

async fn only_event(w: &World, tenant: &Tenant, action: &str) -> AuditEvent {
    let mut events = w.staged_of(tenant).await;
    assert_eq!(
        events.len(),
        1,
        "P2: exactly one event is staged with it: {events:?}"
    );
    let event = events.remove(0);
    assert_eq!(
        (event.action.as_str(), event.organization),
        (action, tenant.id)
    );
    event
}

fn names(event: &AuditEvent, job: trueno_core::id::JobId) {
    let job = job.to_string();
    let named = event
        .targets
        .iter()
        .any(|target| target.kind == "job" && target.id == job);
    assert!(named, "the event is about the job: {event:?}");
}
