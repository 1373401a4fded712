//! What the queue in memory does beyond the contract: exact shares, and hints where there is room
//! again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use std::time::Duration;

use common::Memory;
use futures::{FutureExt as _, StreamExt as _};
use trueno_core::error::ErrorKind;
use trueno_core::model::{Concurrency, EventDraft, OrganizationLimits, QueueTarget};
use trueno_core::port::{JobOutcome, WakeUps};
use trueno_testkit::fixtures::{Tenant, World};
use trueno_testkit::suite::refused;

async fn world() -> World {
    World::new(Memory::new().await).await
}

async fn enqueue(w: &World, tenant: &Tenant, jobs: usize) {
    let jobs = (0..jobs).map(|_| w.job()).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
}

/// Takes the hint that lies there, if there is one.
fn hinted(hints: &mut WakeUps) -> bool {
    hints.next().now_or_never().flatten().is_some()
}

/// While they wait, no two organizations are ever further apart than one job of each, by what their
/// weights say and whatever a claim asks for: the bound of start-time fair queueing.
#[tokio::test]
async fn shares_are_exact_to_the_job() {
    const WEIGHTS: [u32; 3] = [1, 3, 6];
    for size in [1, 2, 7, 10, 33] {
        let w = world().await;
        let mut tenants = Vec::new();
        for weight in WEIGHTS {
            let tenant = w.organization().await;
            let limits = OrganizationLimits::default().with_weight(weight).unwrap();
            w.queue.set_limits(tenant.id, &limits).await.unwrap();
            enqueue(&w, &tenant, 400).await;
            tenants.push(tenant);
        }
        let request = w.claim_request(size);
        let mut begun = [0_u32; 3];
        while begun.iter().sum::<u32>() < 400 {
            for claim in w.queue.claim(&request).await.unwrap() {
                let of = |tenant: &Tenant| tenant.id == claim.lease.organization;
                begun[tenants.iter().position(of).unwrap()] += 1;
                for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                    let (w_one, w_other) = (WEIGHTS[one], WEIGHTS[other]);
                    let apart = (begun[one] * w_other).abs_diff(begun[other] * w_one);
                    assert!(
                        apart <= w_one + w_other,
                        "claims of {size}: {begun:?} for {WEIGHTS:?}"
                    );
                }
            }
        }
    }
}

/// Whatever lets jobs begin that could not is hinted at: a place that is free, a cap that was raised,
/// a pause that was lifted.
#[tokio::test]
async fn what_lets_jobs_begin_wakes_workers() {
    let w = world().await;
    let tenant = w.organization().await;
    let cap = |jobs| {
        OrganizationLimits::default()
            .with_max_running(jobs)
            .unwrap()
    };
    w.queue.set_limits(tenant.id, &cap(1)).await.unwrap();
    enqueue(&w, &tenant, 5).await;
    let lease = w.claim_one().await.reference();
    let mut hints = w.queue.wake_ups().await.unwrap();
    assert_eq!(w.drained().await, []);
    assert!(!hinted(&mut hints), "nothing may begin");
    w.settle(lease, JobOutcome::Succeeded).await;
    assert!(hinted(&mut hints), "a place is free");
    w.claim_one().await;
    assert!(!hinted(&mut hints), "nothing may begin");
    w.queue.set_limits(tenant.id, &cap(2)).await.unwrap();
    assert!(hinted(&mut hints), "the cap was raised");
    for target in [
        QueueTarget::Organization(tenant.id),
        QueueTarget::Kind(w.job().kind),
    ] {
        w.queue.pause(&target).await.unwrap();
        assert!(!hinted(&mut hints), "nothing may begin");
        w.queue.resume(&target).await.unwrap();
        assert!(hinted(&mut hints), "the pause was lifted");
    }
}

/// So is the end of a job under a key that held another one back, and a moment that came.
#[tokio::test]
async fn room_under_a_key_and_a_moment_that_came_wake_workers() {
    let w = world().await;
    let tenant = w.organization().await;
    for _ in 0..2 {
        let job = w.job();
        let job = job.with_concurrency(Concurrency::new("account", 1).unwrap());
        w.enqueue(&tenant, job).await;
    }
    let lease = w.claim_one().await.reference();
    let mut hints = w.queue.wake_ups().await.unwrap();
    w.settle(lease, JobOutcome::Succeeded).await;
    assert!(hinted(&mut hints), "there is room under the key");
    w.claim_one().await;
    let run_at = w.now().await + Duration::from_secs(60);
    w.enqueue(&tenant, w.job().with_run_at(run_at)).await;
    assert!(hinted(&mut hints), "it was enqueued");
    w.advance(Duration::from_secs(61)).await;
    w.queue.stats().await.unwrap();
    assert!(hinted(&mut hints), "its moment came");
}

/// A unit of work that ends jobs makes room for those that it enqueues.
#[tokio::test]
async fn a_unit_of_work_counts_the_jobs_that_it_ends() {
    let w = world().await;
    let tenant = w.organization().await;
    let limits = OrganizationLimits::default().with_max_live(2).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
    let first = w.enqueue(&tenant, w.job()).await;
    w.enqueue(&tenant, w.job()).await;
    let mut unit = w.begin_scan(&tenant).await;
    unit.cancel_job(first).await.unwrap();
    unit.enqueue(vec![w.job()]).await.unwrap();
    let event = EventDraft::new("work.replaced", "job", first);
    unit.commit(event).await.unwrap();
    let answer = w.queue.enqueue(&tenant.scan, vec![w.job()]).await;
    refused(answer, ErrorKind::Exhausted, "as many as before");
    assert_eq!(w.drained().await.len(), 2);
}
