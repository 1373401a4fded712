//! The quota: how many jobs of an organization may wait or run.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::{EventDraft, JobStatus, NewJob, OrganizationLimits};
use trueno_core::port::{CancelOutcome, FinishOutcome, Finished, JobOutcome};

use super::World;
use crate::fixtures::Tenant;
use crate::suite::refused;

async fn set_quota(w: &World, tenant: &Tenant, jobs: u32) {
    let limits = OrganizationLimits::default().with_max_live(jobs).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
}

fn jobs(w: &World, jobs: usize) -> Vec<NewJob> {
    (0..jobs).map(|_| w.job()).collect()
}

async fn fill(w: &World, tenant: &Tenant, with: usize) {
    w.queue.enqueue(&tenant.scan, jobs(w, with)).await.unwrap();
}

/// Enqueueing this many is too much: refused with what is there and what may be, and none of them is
/// in the queue.
async fn assert_full(w: &World, tenant: &Tenant, more: usize, live: usize, quota: u32) {
    let answer = w.queue.enqueue(&tenant.scan, jobs(w, more)).await;
    let what = format!("{more} more than {live}, of {quota}");
    let error = refused(answer, ErrorKind::Exhausted, &what).to_string();
    let wanted = format!(
        "the organization has {live} jobs waiting or running, and its quota is {quota}: wait for \
         some to end, or raise max_live"
    );
    assert_eq!(error, wanted);
    let stats = w.queue.stats().await.unwrap();
    let in_queue = stats.waiting + stats.running;
    assert_eq!(in_queue, live as u64, "P2: none of them is in the queue");
}

/// An organization fills its quota to the last job, and not further: a batch that goes past it is
/// refused as a whole. What runs and what waits for its time counts.
pub async fn a_full_organization_enqueues_no_more(w: World) {
    let tenant = w.organization().await;
    set_quota(&w, &tenant, 5).await;
    assert_full(&w, &tenant, 6, 0, 5).await;
    fill(&w, &tenant, 2).await;
    let later = w.now().await + Duration::from_secs(3_600);
    w.enqueue(&tenant, w.job().with_run_at(later)).await;
    assert_full(&w, &tenant, 3, 3, 5).await;
    assert_eq!(w.drain(10).await.len(), 2, "they run");
    assert_full(&w, &tenant, 3, 3, 5).await;
    fill(&w, &tenant, 2).await;
    assert_full(&w, &tenant, 1, 5, 5).await;
}

/// A job that ended counts no more, however it ended; one that waits for a retry does.
pub async fn every_end_makes_room(w: World) {
    let tenant = w.organization().await;
    set_quota(&w, &tenant, 3).await;
    fill(&w, &tenant, 3).await;
    let failed = |retryable| JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after: Duration::ZERO,
    };
    for (outcome, ends) in [
        (JobOutcome::Succeeded, true),
        (failed(true), false),
        (failed(false), true),
        (JobOutcome::Returned, false),
        (JobOutcome::Cancelled, true),
    ] {
        let lease = w.claim(1).await.remove(0).reference();
        assert_full(&w, &tenant, 1, 3, 3).await;
        let status = w.settle(lease, outcome).await;
        assert_eq!(status.is_terminal(), ends);
        if ends {
            assert_full(&w, &tenant, 2, 2, 3).await;
            fill(&w, &tenant, 1).await;
        }
        assert_full(&w, &tenant, 1, 3, 3).await;
    }
    let lease = w.claim(1).await.remove(0);
    let event = EventDraft::new("work.done", "job", lease.reference().job);
    let done = FinishOutcome::new(JobOutcome::Succeeded);
    w.store.finish(&lease, done, event).await.unwrap();
    fill(&w, &tenant, 1).await;
    assert_full(&w, &tenant, 1, 3, 3).await;

    let waiting = w.claimable().await;
    w.lose_leases().await;
    w.queue.recover_expired(10).await.unwrap();
    assert_full(&w, &tenant, 1, 3, 3).await;
    for job in waiting {
        let cancelled = w.queue.cancel(&tenant.scan, job).await.unwrap();
        assert_eq!(cancelled, CancelOutcome::Cancelled);
    }
    fill(&w, &tenant, 3).await;
    assert_full(&w, &tenant, 1, 3, 3).await;
}

/// A unit of work counts what it enqueued itself, though nobody else sees it, and its commit counts
/// for everybody. Dropped, it counts for nobody.
pub async fn the_quota_counts_what_a_unit_of_work_enqueued(w: World) {
    let tenant = w.organization().await;
    set_quota(&w, &tenant, 4).await;
    fill(&w, &tenant, 1).await;
    let mut unit = w.begin_scan(&tenant).await;
    unit.enqueue(jobs(&w, 1)).await.unwrap();
    unit.enqueue(jobs(&w, 1)).await.unwrap();
    let answer = unit.enqueue(jobs(&w, 2)).await;
    let error = refused(answer, ErrorKind::Exhausted, "two more than three, of four");
    assert!(error.to_string().contains("has 3 jobs"), "{error}");
    drop(unit);

    let mut unit = w.begin_scan(&tenant).await;
    unit.enqueue(jobs(&w, 2)).await.unwrap();
    unit.enqueue(jobs(&w, 1)).await.unwrap();
    let event = EventDraft::new("work.requested", "test", "it");
    unit.commit(event).await.unwrap();
    assert_full(&w, &tenant, 1, 4, 4).await;
    assert_eq!(w.drain(10).await.len(), 4);
}

/// What a job enqueues as it finishes is taken, full or not: work that has begun goes on.
pub async fn what_finish_enqueues_is_always_taken(w: World) {
    let tenant = w.organization().await;
    set_quota(&w, &tenant, 1).await;
    fill(&w, &tenant, 1).await;
    let lease = w.claim_one().await;
    let done = FinishOutcome::new(JobOutcome::Succeeded).with_next(jobs(&w, 3));
    let event = EventDraft::new("work.done", "job", lease.reference().job);
    let finished = w.store.finish(&lease, done, event).await.unwrap();
    let Finished::Applied { job, next } = finished else {
        panic!("it was not finished before");
    };
    assert_eq!((job, next.len()), (JobStatus::Succeeded, 3));
    assert_full(&w, &tenant, 1, 3, 1).await;
    for lease in w.drain(10).await {
        w.settle(lease, JobOutcome::Succeeded).await;
    }
    fill(&w, &tenant, 1).await;
}

/// A quota that is lowered takes nothing away and lets nothing in until there is room; raised or
/// lifted, it lets in more.
pub async fn a_lowered_quota_takes_nothing_away(w: World) {
    let tenant = w.organization().await;
    fill(&w, &tenant, 6).await;
    set_quota(&w, &tenant, 4).await;
    assert_full(&w, &tenant, 1, 6, 4).await;
    for lease in w.drain(2).await.into_iter().take(3) {
        w.settle(lease, JobOutcome::Succeeded).await;
    }
    fill(&w, &tenant, 1).await;
    assert_full(&w, &tenant, 1, 4, 4).await;
    set_quota(&w, &tenant, 6).await;
    fill(&w, &tenant, 2).await;
    assert_full(&w, &tenant, 1, 6, 6).await;
    let none = OrganizationLimits::default();
    w.queue.set_limits(tenant.id, &none).await.unwrap();
    fill(&w, &tenant, 50).await;
}
