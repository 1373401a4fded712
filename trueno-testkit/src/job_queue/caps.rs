//! The cap of an organization: never do more of its jobs run.

use std::time::Duration;

use trueno_core::model::{EventDraft, JobStatus, OrganizationLimits};
use trueno_core::port::{CancelOutcome, FinishOutcome, JobOutcome, Recovered};

use super::World;
use super::crowd::{Crowd, Gauge};
use crate::fixtures::Tenant;

/// Sets how many jobs of an organization may run.
async fn cap(w: &World, tenant: &Tenant, jobs: u32) {
    let limits = OrganizationLimits::default().with_max_running(jobs);
    let limits = limits.unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
}

async fn enqueue(w: &World, tenant: &Tenant, jobs: usize) {
    let jobs = (0..jobs).map(|_| w.job()).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
}

/// A claim gives as many as may still run, and nothing once they do: however large it is, and
/// whichever session asks. Each end makes room for one.
pub async fn no_more_run_than_max_running(w: World) {
    let tenant = w.organization().await;
    cap(&w, &tenant, 3).await;
    enqueue(&w, &tenant, 10).await;
    let mut running = w.drain(10).await;
    assert_eq!(running.len(), 3, "as many as may run");
    assert_eq!(w.drained().await, [], "no other session is given more");
    let mut done = 0;
    while let Some(lease) = running.pop() {
        w.settle(lease, JobOutcome::Succeeded).await;
        done += 1;
        let next = w.drain(10).await;
        let wanted = usize::from(done <= 7);
        assert_eq!(next.len(), wanted, "room for one, after {done} ended");
        running.extend(next);
    }
    assert_eq!(done, 10, "each of them ran");
}

/// A cap holds from the next claim on: raised, more begin; lowered, what runs runs on, and nothing
/// begins before fewer run than may; lifted, all begin.
pub async fn a_cap_can_be_changed_while_jobs_run(w: World) {
    let tenant = w.organization().await;
    enqueue(&w, &tenant, 20).await;
    cap(&w, &tenant, 4).await;
    let mut running = w.drain(10).await;
    assert_eq!(running.len(), 4);
    cap(&w, &tenant, 6).await;
    let more = w.drain(10).await;
    assert_eq!(more.len(), 2, "raised by two");
    running.extend(more);

    cap(&w, &tenant, 2).await;
    for left in (2..6).rev() {
        assert_eq!(w.drained().await, [], "more run than may");
        let lease = running.pop().unwrap();
        let settled = w.settle(lease, JobOutcome::Succeeded).await;
        assert_eq!(settled, JobStatus::Succeeded, "what ran, ran on");
        assert_eq!(running.len(), left);
    }
    assert_eq!(w.drained().await, [], "as many run as may");
    w.settle(running[0], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await.len(), 1, "one fewer");

    let none = OrganizationLimits::default();
    w.queue.set_limits(tenant.id, &none).await.unwrap();
    assert_eq!(w.drained().await.len(), 13, "no cap");
}

/// An attempt frees its place however it ends: settled in any way, finished, or asked to stop.
pub async fn a_place_is_free_however_the_attempt_ended(w: World) {
    let tenant = w.organization().await;
    cap(&w, &tenant, 1).await;
    enqueue(&w, &tenant, 10).await;
    let retried = |retryable| JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after: Duration::from_secs(3_600),
    };
    for outcome in [
        JobOutcome::Succeeded,
        retried(true),
        retried(false),
        JobOutcome::Returned,
        JobOutcome::Cancelled,
    ] {
        let lease = w.claim_one().await.reference();
        assert_eq!(w.drained().await, [], "one runs");
        w.settle(lease, outcome).await;
    }

    let lease = w.claim_one().await;
    assert_eq!(w.drained().await, [], "one runs");
    let event = EventDraft::new("work.done", "job", lease.reference().job);
    let done = FinishOutcome::new(JobOutcome::Succeeded);
    w.store.finish(&lease, done, event).await.unwrap();

    let lease = w.claim_one().await.reference();
    let asked = w.queue.cancel(&tenant.scan, lease.job).await.unwrap();
    assert_eq!(asked, CancelOutcome::Requested);
    assert_eq!(w.drained().await, [], "it was asked to stop, and runs");
    w.settle(lease, JobOutcome::Returned).await;
    w.claim_one().await;
}

/// A job whose worker is lost keeps its place until it is recovered: it may run still.
pub async fn a_lost_lease_keeps_its_place_until_it_is_recovered(w: World) {
    let tenant = w.organization().await;
    cap(&w, &tenant, 2).await;
    enqueue(&w, &tenant, 5).await;
    assert_eq!(w.drained().await.len(), 2);
    w.lose_leases().await;
    assert_eq!(w.drained().await, [], "nobody took them back");
    let one = w.queue.recover_expired(1).await.unwrap();
    let requeued = |requeued| Recovered {
        requeued,
        ..Recovered::default()
    };
    assert_eq!(one, requeued(1));
    assert_eq!(w.drained().await.len(), 1, "one was taken back");
    let other = w.queue.recover_expired(10).await.unwrap();
    assert_eq!(other, requeued(1), "the one that is held stays");
    assert_eq!(w.drained().await.len(), 1, "and so was the other");
    assert_eq!(w.drained().await, [], "as many run as may");
}

/// Who may begin no more holds nobody else back, whatever they have waiting.
pub async fn a_full_organization_holds_no_other_back(w: World) {
    let (full, other) = (w.organization().await, w.organization().await);
    cap(&w, &full, 1).await;
    let urgent = || w.job().with_priority(100).unwrap();
    let jobs = (0..200).map(|_| urgent()).collect();
    w.queue.enqueue(&full.scan, jobs).await.unwrap();
    enqueue(&w, &other, 20).await;
    let leases = w.drain(3).await;
    let theirs = leases.iter().filter(|lease| lease.organization == other.id);
    assert_eq!((theirs.count(), leases.len()), (20, 21));
}

/// However many sessions claim and settle at once, no more run than may.
pub async fn max_running_holds_when_many_claim_at_once(w: World) {
    let (capped, other) = (w.organization().await, w.organization().await);
    cap(&w, &capped, 4).await;
    enqueue(&w, &capped, 60).await;
    enqueue(&w, &other, 20).await;
    let gauge = Gauge::new(4);
    let crowd = Crowd::of(w, 80);
    let capped = capped.id;
    let counted = gauge.clone();
    crowd
        .work(move |claim| (claim.lease.organization == capped).then(|| counted.clone()))
        .await;
    assert!(gauge.begun() >= 60, "each of them ran, some more than once");
}
