//! Jobs that no queue should take, and moments that lie far away.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use trueno_core::error::ErrorKind;
use trueno_core::id::JobId;
use trueno_core::model::limits::JSON_DEPTH;
use trueno_core::model::{Concurrency, EventDraft, JobPayload, JobStatus, NewJob};
use trueno_core::port::{CancelOutcome, FinishOutcome, JobOutcome, WaitReason};

use super::World;
use crate::fixtures::Tenant;
use crate::suite::refused;

/// A job with this body, whether it may be enqueued or not.
fn with_body(w: &World, body: Value) -> NewJob {
    let mut job = w.job();
    job.payload.body = body;
    job
}

/// Every way to enqueue refuses a batch with `bad` in it and says `problem`; nothing is enqueued, and
/// a job that would enqueue it as its follower runs on.
async fn refused_everywhere(w: &World, tenant: &Tenant, bad: NewJob, problem: &str) {
    let kind = ErrorKind::InvalidInput;
    let holder = w.enqueue(tenant, w.job()).await;
    let lease = w.claim_one().await;
    let batch = || vec![w.job(), bad.clone(), w.job()];

    let alone = w.queue.enqueue(&tenant.scan, batch()).await;
    let mut unit = w.begin_scan(tenant).await;
    let within = unit.enqueue(batch()).await;
    drop(unit);
    let done = FinishOutcome::new(JobOutcome::Succeeded).with_next(batch());
    let event = EventDraft::new("work.done", "job", holder);
    let follower = w
        .store
        .finish(&lease, done, event)
        .await
        .map(|_| Vec::new());
    for answer in [alone, within, follower] {
        let error = refused(
            answer,
            kind,
            "P2: a batch is taken as a whole or not at all",
        );
        let said = error.to_string();
        assert!(said.contains(problem), "no {problem:?} in {said:?}");
    }

    assert_eq!(w.job_status(tenant, holder).await, JobStatus::Running);
    w.settle(lease.reference(), JobOutcome::Succeeded).await;
    assert_eq!(w.claimable().await, [], "P2: nothing was enqueued");
}

/// A payload of the largest size goes through, and one that is a byte larger is refused with both
/// sizes, whichever way it comes.
pub async fn a_payload_that_is_too_large_is_refused_with_its_size(w: World) {
    let tenant = w.organization().await;
    // With its two quotes.
    let of = |bytes: usize| json!("p".repeat(bytes - 2));
    let problem = "job payload: has 65537 bytes as JSON and may have 65536";
    let bad = with_body(&w, of(JobPayload::MAX_BYTES + 1));
    refused_everywhere(&w, &tenant, bad, problem).await;
    let largest = with_body(&w, of(JobPayload::MAX_BYTES));
    w.enqueue(&tenant, largest.clone()).await;
    assert_eq!(w.claim_one().await.claim().payload, largest.payload);
}

/// A payload that is nested deeper than a store can read back is refused: one such job would be in
/// the way of every claim.
pub async fn a_payload_that_is_nested_too_deep_is_refused(w: World) {
    let tenant = w.organization().await;
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "in": inner }));
    let problem = "job payload: is nested deeper than 64 levels";
    for levels in [JSON_DEPTH + 1, 500] {
        let bad = with_body(&w, nested(levels));
        refused_everywhere(&w, &tenant, bad, problem).await;
    }
    let deepest = with_body(&w, nested(JSON_DEPTH));
    w.enqueue(&tenant, deepest.clone()).await;
    assert_eq!(w.claim_one().await.claim().payload, deepest.payload);
}

/// A run-at before 1970 is refused: the first moments that a timestamp can say are before what
/// databases keep. 1970 itself is a moment long past.
pub async fn a_run_at_before_1970_is_refused(w: World) {
    let tenant = w.organization().await;
    let problem = "run-at: needs a moment from 1970 on";
    for early in [
        Timestamp::MIN,
        Timestamp::UNIX_EPOCH - Duration::from_secs(1),
    ] {
        let bad = w.job().with_run_at(early);
        refused_everywhere(&w, &tenant, bad, problem).await;
    }
    let past = w.enqueue(&tenant, w.job().with_run_at(Timestamp::UNIX_EPOCH));
    let past = past.await;
    assert_eq!(w.claimable().await, [past]);
}

/// A job that is due at the end of time waits for it, tells so, is in nobody's way, and can be
/// cancelled; so does one whose next attempt is that far away.
pub async fn a_job_of_the_far_future_waits_and_can_be_cancelled(w: World) {
    let tenant = w.organization().await;
    let key = Concurrency::new("account", 1).unwrap();
    let far = |priority| {
        let job = w.job().with_priority(priority).unwrap();
        job.with_concurrency(key.clone())
            .with_run_at(Timestamp::MAX)
    };
    let mut waiting = Vec::new();
    for priority in [-100, 0, 100] {
        waiting.push(w.enqueue(&tenant, far(priority)).await);
    }
    let now = w
        .enqueue(&tenant, w.job().with_concurrency(key.clone()))
        .await;
    let lease = w.claim_one().await.reference();
    assert_eq!(lease.job, now);
    let outcome = JobOutcome::Failed {
        error: "later".to_owned(),
        retryable: true,
        retry_after: Duration::MAX,
    };
    assert_eq!(w.settle(lease, outcome).await, JobStatus::Failed);
    waiting.push(now);
    w.advance(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(w.claimable().await, []);

    let stats = w.queue.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.running), (4, 0));
    for (nth, job) in waiting.into_iter().enumerate() {
        let run_at = match why(&w, &tenant, job).await {
            WaitReason::Scheduled { run_at } if nth < 3 => run_at,
            WaitReason::Backoff { run_at, .. } if nth == 3 => run_at,
            other => panic!("job {nth} waits for {other:?}"),
        };
        assert!(run_at > "9999-12-01T00:00:00Z".parse().unwrap(), "{run_at}");
        let cancelled = w.queue.cancel(&tenant.scan, job).await.unwrap();
        assert_eq!(cancelled, CancelOutcome::Cancelled);
    }
}

async fn why(w: &World, tenant: &Tenant, job: JobId) -> WaitReason {
    w.queue.why_waiting(&tenant.read, job).await.unwrap()
}
