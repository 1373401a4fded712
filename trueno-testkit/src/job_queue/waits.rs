//! What holds a due job back, as its organization is told.

use std::time::Duration;

use trueno_core::id::JobId;
use trueno_core::model::{Concurrency, JobKind, OrganizationLimits, QueueTarget};
use trueno_core::port::{ClaimRequest, JobOutcome, WaitReason};

use super::World;
use crate::fixtures::{SCAN_KIND, Tenant, WORK_KIND};

async fn why(w: &World, tenant: &Tenant, job: JobId) -> WaitReason {
    w.queue.why_waiting(&tenant.read, job).await.unwrap()
}

fn kind(kind: &str) -> JobKind {
    kind.parse().unwrap()
}

/// A job of which no worker that is there takes the kind says so: none ever claimed it, or those that
/// did are over. A claim that leaves a kind out for now takes nothing back: a worker names the kinds
/// that it has room for.
pub async fn a_job_waits_for_a_worker_of_its_kind(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job_of_kind(SCAN_KIND)).await;
    assert_eq!(why(&w, &tenant, job).await, WaitReason::NoWorker, "nobody");
    let session = w.id();
    let claim = async |kinds| {
        let request = ClaimRequest::new(session, "worker", kinds, 1);
        w.queue.claim(&request).await.unwrap()
    };
    assert_eq!(claim(vec![kind(WORK_KIND)]).await, []);
    let waits = why(&w, &tenant, job).await;
    assert_eq!(waits, WaitReason::NoWorker, "a worker of another kind");

    let begun = claim(vec![kind(WORK_KIND), kind(SCAN_KIND)]).await;
    assert_eq!(begun[0].lease.job, job);
    w.settle(begun[0].lease, JobOutcome::Returned).await;
    assert_eq!(why(&w, &tenant, job).await, WaitReason::Due);

    assert_eq!(claim(vec![kind(WORK_KIND)]).await, []);
    assert_eq!(why(&w, &tenant, job).await, WaitReason::Due, "it took it");
    w.lose_leases().await;
    let waits = why(&w, &tenant, job).await;
    assert_eq!(waits, WaitReason::NoWorker, "its time ran out");
}

/// A job that an operator holds back says so, whether by its organization or by its kind.
pub async fn a_job_waits_while_it_is_paused(w: World) {
    let tenant = w.organization().await;
    assert_eq!(w.drained().await, [], "a worker is there");
    let job = w.enqueue(&tenant, w.job()).await;
    for target in [
        QueueTarget::Organization(tenant.id),
        QueueTarget::Kind(kind(WORK_KIND)),
    ] {
        w.queue.pause(&target).await.unwrap();
        assert_eq!(why(&w, &tenant, job).await, WaitReason::Paused);
        w.queue.resume(&target).await.unwrap();
        assert_eq!(why(&w, &tenant, job).await, WaitReason::Due);
    }
    let other = QueueTarget::Kind(kind(SCAN_KIND));
    w.queue.pause(&other).await.unwrap();
    assert_eq!(why(&w, &tenant, job).await, WaitReason::Due, "another kind");
}

/// A job of an organization of which as many run as may says so, and how many may.
pub async fn a_job_waits_for_room_in_its_organization(w: World) {
    let tenant = w.organization().await;
    let limits = OrganizationLimits::default().with_max_running(2).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(w.enqueue(&tenant, w.job()).await);
    }
    let leases = w.drain(10).await;
    let full = |max_running| WaitReason::OrganizationLimit { max_running };
    assert_eq!(why(&w, &tenant, jobs[2]).await, full(2));
    let lower = OrganizationLimits::default().with_max_running(1).unwrap();
    w.queue.set_limits(tenant.id, &lower).await.unwrap();
    assert_eq!(why(&w, &tenant, jobs[2]).await, full(1));
    w.settle(leases[0], JobOutcome::Succeeded).await;
    assert_eq!(why(&w, &tenant, jobs[2]).await, full(1));
    w.settle(leases[1], JobOutcome::Succeeded).await;
    assert_eq!(why(&w, &tenant, jobs[2]).await, WaitReason::Due);
}

/// A job under a key under which as many run as may says so, with its key and its own limit.
pub async fn a_job_waits_for_room_under_its_key(w: World) {
    let tenant = w.organization().await;
    let (one, two) = (
        Concurrency::new("account", 1).unwrap(),
        Concurrency::new("account", 2).unwrap(),
    );
    let first = w.enqueue(&tenant, w.job().with_concurrency(one.clone()));
    first.await;
    let lease = w.claim_one().await.reference();
    let narrow = w.enqueue(&tenant, w.job().with_concurrency(one.clone()));
    let narrow = narrow.await;
    let wide = w.enqueue(&tenant, w.job().with_concurrency(two));
    let wide = wide.await;
    let other = Concurrency::new("another account", 1).unwrap();
    let other = w.enqueue(&tenant, w.job().with_concurrency(other)).await;
    let plain = w.enqueue(&tenant, w.job()).await;
    let full = WaitReason::ConcurrencyLimit { concurrency: one };
    assert_eq!(why(&w, &tenant, narrow).await, full);
    for job in [wide, other, plain] {
        assert_eq!(why(&w, &tenant, job).await, WaitReason::Due);
    }
    w.settle(lease, JobOutcome::Succeeded).await;
    assert_eq!(why(&w, &tenant, narrow).await, WaitReason::Due);
}

/// Of several reasons the one is told that comes first: its time, a pause, no worker, the
/// organization's cap, its key.
pub async fn the_first_reason_is_told(w: World) {
    let tenant = w.organization().await;
    let key = Concurrency::new("account", 1).unwrap();
    let keyed = |job: trueno_core::model::NewJob| job.with_concurrency(key.clone());
    let limits = OrganizationLimits::default().with_max_running(1).unwrap();
    w.queue.set_limits(tenant.id, &limits).await.unwrap();
    w.enqueue(&tenant, keyed(w.job())).await;
    let lease = w.claim_one().await.reference();
    let run_at = w.now().await + Duration::from_secs(600);
    let scheduled = w.enqueue(&tenant, keyed(w.job()).with_run_at(run_at)).await;
    let job = w.enqueue(&tenant, keyed(w.job())).await;
    let unknown = w
        .enqueue(&tenant, keyed(w.job_of_kind("nobody.takes")))
        .await;
    let target = QueueTarget::Organization(tenant.id);
    w.queue.pause(&target).await.unwrap();

    let waits = WaitReason::Scheduled { run_at };
    assert_eq!(why(&w, &tenant, scheduled).await, waits);
    assert_eq!(why(&w, &tenant, unknown).await, WaitReason::Paused);
    w.queue.resume(&target).await.unwrap();
    assert_eq!(why(&w, &tenant, unknown).await, WaitReason::NoWorker);
    let full = WaitReason::OrganizationLimit { max_running: 1 };
    assert_eq!(why(&w, &tenant, job).await, full);
    let none = OrganizationLimits::default();
    w.queue.set_limits(tenant.id, &none).await.unwrap();
    let waits = WaitReason::ConcurrencyLimit { concurrency: key };
    assert_eq!(why(&w, &tenant, job).await, waits);
    w.settle(lease, JobOutcome::Succeeded).await;
    assert_eq!(why(&w, &tenant, job).await, WaitReason::Due);
}
