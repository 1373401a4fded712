//! Holding back: paused jobs wait, and those that run run on.

use std::time::Duration;

use trueno_core::id::JobId;
use trueno_core::model::{JobStatus, QueueTarget};
use trueno_core::port::JobOutcome;

use super::World;
use crate::fixtures::{SCAN_KIND, Tenant, WORK_KIND};

fn organization(tenant: &Tenant) -> QueueTarget {
    QueueTarget::Organization(tenant.id)
}

fn kind(kind: &str) -> QueueTarget {
    QueueTarget::Kind(kind.parse().unwrap())
}

async fn drained(w: &World) -> Vec<JobId> {
    let mut jobs = w.drained().await;
    jobs.sort_unstable();
    jobs
}

/// A paused organization begins nothing, and enqueues all the same; what runs runs on, and waits
/// where it has to run again. Others go on. Pausing and resuming are the same done twice.
pub async fn a_paused_organization_begins_nothing(w: World) {
    let (paused, other) = (w.organization().await, w.organization().await);
    w.enqueue(&paused, w.job()).await;
    let retried = w.enqueue(&paused, w.job()).await;
    let leases = w.drain(10).await;
    assert_eq!(leases.len(), 2);
    let before = w.enqueue(&paused, w.job()).await;
    for _ in 0..2 {
        w.queue.pause(&organization(&paused)).await.unwrap();
    }
    let after = w.enqueue(&paused, w.job()).await;
    let theirs = w.enqueue(&other, w.job()).await;
    assert_eq!(drained(&w).await, [theirs], "others go on");

    for lease in leases {
        let outcome = match lease.job == retried {
            true => JobOutcome::Returned,
            false => JobOutcome::Succeeded,
        };
        let held = w.queue.heartbeat(lease.session, Duration::from_secs(30));
        assert!(!held.await.unwrap().held.is_empty(), "it runs on");
        let status = w.settle(lease, outcome).await;
        let wanted = match lease.job == retried {
            true => JobStatus::Queued,
            false => JobStatus::Succeeded,
        };
        assert_eq!(status, wanted, "what runs, runs on");
    }
    assert_eq!(w.drained().await, [], "what came back waits with the rest");
    for _ in 0..2 {
        w.queue.resume(&organization(&paused)).await.unwrap();
    }
    assert_eq!(drained(&w).await, [retried, before, after]);
}

/// A paused kind begins nothing in any organization; other kinds go on.
pub async fn a_paused_kind_begins_nothing_of_anybody(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let running = w.enqueue(&one, w.job_of_kind(WORK_KIND)).await;
    let lease = w.claim_one().await.reference();
    assert_eq!(lease.job, running);
    for _ in 0..2 {
        w.queue.pause(&kind(WORK_KIND)).await.unwrap();
    }
    let mut held_back = Vec::new();
    let mut others = Vec::new();
    for tenant in [&one, &two] {
        held_back.push(w.enqueue(tenant, w.job_of_kind(WORK_KIND)).await);
        others.push(w.enqueue(tenant, w.job_of_kind(SCAN_KIND)).await);
    }
    assert_eq!(drained(&w).await, others, "other kinds go on");
    let settled = w.settle(lease, JobOutcome::Succeeded).await;
    assert_eq!(settled, JobStatus::Succeeded, "what ran, ran on");
    for _ in 0..2 {
        w.queue.resume(&kind(WORK_KIND)).await.unwrap();
    }
    assert_eq!(drained(&w).await, held_back);
}

/// A kind may be held back before anybody enqueued a job of it, and let go that nobody held back.
pub async fn a_kind_that_nobody_enqueued_can_be_paused(w: World) {
    let tenant = w.organization().await;
    w.queue.resume(&kind(SCAN_KIND)).await.unwrap();
    w.queue.pause(&kind(SCAN_KIND)).await.unwrap();
    let scan = w.enqueue(&tenant, w.job_of_kind(SCAN_KIND)).await;
    let work = w.enqueue(&tenant, w.job_of_kind(WORK_KIND)).await;
    assert_eq!(w.drained().await, [work]);
    w.queue.resume(&kind(SCAN_KIND)).await.unwrap();
    assert_eq!(w.drained().await, [scan]);
}

/// A job that is held back twice waits until it is let go twice, in either order.
pub async fn both_pauses_have_to_be_lifted(w: World) {
    let tenant = w.organization().await;
    let (its, kinds) = (organization(&tenant), kind(WORK_KIND));
    for [first, second] in [[&its, &kinds], [&kinds, &its]] {
        let job = w.enqueue(&tenant, w.job()).await;
        w.queue.pause(first).await.unwrap();
        w.queue.pause(second).await.unwrap();
        assert_eq!(w.drained().await, [], "held back twice");
        w.queue.resume(first).await.unwrap();
        assert_eq!(w.drained().await, [], "held back once");
        w.queue.resume(second).await.unwrap();
        assert_eq!(w.drained().await, [job]);
    }
}
