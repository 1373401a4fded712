//! Cancelling.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::JobStatus;
use trueno_core::port::{CancelOutcome, JobOutcome, SettleOutcome, Settlement};

use super::World;
use crate::suite::refused;

fn failed(retryable: bool) -> JobOutcome {
    let retry_after = Duration::from_secs(60);
    JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after,
    }
}

/// A job that waits (for a worker, for its time, for a retry) is cancelled and never runs.
pub async fn a_waiting_job_is_cancelled_and_never_runs(w: World) {
    let tenant = w.organization().await;
    let retried = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    w.queue
        .settle(vec![Settlement {
            lease,
            outcome: failed(true),
        }])
        .await
        .unwrap();
    let queued = w.enqueue(&tenant, w.job()).await;
    let run_at = w.now().await + Duration::from_secs(60);
    let scheduled = w.enqueue(&tenant, w.job().with_run_at(run_at)).await;
    for job in [queued, scheduled, retried] {
        let answer = w.queue.cancel(&tenant.scan, job).await.unwrap();
        assert_eq!(answer, CancelOutcome::Cancelled);
        let seen = w.read_job(&tenant, job).await;
        assert_eq!(seen.status, JobStatus::Cancelled);
        assert!(seen.finished_at.is_some(), "it ended");
    }
    w.advance(Duration::from_secs(120)).await;
    assert_eq!(w.claimable().await, []);
}

/// A running job is asked to stop: its worker learns it with the next heartbeat, and ends it.
pub async fn a_running_job_is_asked_to_stop(w: World) {
    let tenant = w.organization().await;
    let asked = w.enqueue(&tenant, w.job()).await;
    let other = w.enqueue(&tenant, w.job()).await;
    let session = w.id();
    let claims = w
        .queue
        .claim(&w.claim_request_of(session, 2))
        .await
        .unwrap();
    for _ in 0..2 {
        let answer = w.queue.cancel(&tenant.scan, asked).await.unwrap();
        assert_eq!(answer, CancelOutcome::Requested, "asking twice is asking");
    }
    assert!(w.read_job(&tenant, asked).await.cancel_requested);
    let held = w
        .queue
        .heartbeat(session, Duration::from_secs(30))
        .await
        .unwrap()
        .held;
    assert_eq!(held.len(), 2, "both are still held");
    for held in held {
        assert_eq!(
            held.cancel_requested,
            held.lease.job == asked,
            "{other} was not asked"
        );
    }
    let lease = claims
        .iter()
        .find(|claim| claim.lease.job == asked)
        .unwrap()
        .lease;
    let settlement = Settlement {
        lease,
        outcome: JobOutcome::Cancelled,
    };
    let settled = w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(settled, [SettleOutcome::Settled(JobStatus::Cancelled)]);
}

/// A job that was asked to stop does not wait again: given back or failed, it is cancelled.
pub async fn a_job_asked_to_stop_does_not_wait_again(w: World) {
    let tenant = w.organization().await;
    for outcome in [JobOutcome::Returned, failed(true)] {
        let job = w.enqueue(&tenant, w.job()).await;
        let lease = w.claim_one().await.reference();
        w.queue.cancel(&tenant.scan, job).await.unwrap();
        let settled = w
            .queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
        assert_eq!(settled, [SettleOutcome::Settled(JobStatus::Cancelled)]);
    }
    w.advance(Duration::from_secs(120)).await;
    assert_eq!(w.claimable().await, []);
}

/// A job that had ended keeps its end.
pub async fn a_finished_job_is_left_alone(w: World) {
    let tenant = w.organization().await;
    for (outcome, status) in [
        (JobOutcome::Succeeded, JobStatus::Succeeded),
        (failed(false), JobStatus::Dead),
        (JobOutcome::Cancelled, JobStatus::Cancelled),
    ] {
        let job = w.enqueue(&tenant, w.job()).await;
        let lease = w.claim_one().await.reference();
        w.queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
        let answer = w.queue.cancel(&tenant.scan, job).await.unwrap();
        assert_eq!(answer, CancelOutcome::AlreadyFinished(status));
        assert_eq!(w.job_status(&tenant, job).await, status, "it keeps its end");
    }
}

/// A scope that only reads cancels nothing, and neither does a lease.
pub async fn cancelling_needs_a_scope_that_writes(w: World) {
    let tenant = w.organization().await;
    let running = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let waiting = w.enqueue(&tenant, w.job()).await;
    for (scope, what) in [
        (&tenant.read, "a scope to read"),
        (lease.scope(), "a lease's scope"),
    ] {
        refused(
            w.queue.cancel(scope, waiting).await,
            ErrorKind::Denied,
            what,
        );
    }
    assert_eq!(w.job_status(&tenant, waiting).await, JobStatus::Queued);
    assert_eq!(w.job_status(&tenant, running).await, JobStatus::Running);
}

/// A job that nobody enqueued is not there.
pub async fn an_unknown_job_is_not_found(w: World) {
    let tenant = w.organization().await;
    let answer = w.queue.cancel(&tenant.scan, w.id()).await;
    refused(answer, ErrorKind::NotFound, "a job that nobody enqueued");
    let answer = w.queue.why_waiting(&tenant.read, w.id()).await;
    refused(answer, ErrorKind::NotFound, "a job that nobody enqueued");
}
