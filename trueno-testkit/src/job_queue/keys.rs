//! Concurrency keys: never do more jobs run under one than may.

use std::collections::BTreeMap;
use std::time::Duration;

use trueno_core::id::JobId;
use trueno_core::model::{Concurrency, JobStatus, NewJob};
use trueno_core::port::{JobOutcome, Recovered};

use super::World;
use super::crowd::{Crowd, Gauge};
use crate::fixtures::{SCAN_KIND, Tenant, WORK_KIND};

fn under(job: NewJob, key: &str, limit: u32) -> NewJob {
    job.with_concurrency(Concurrency::new(key, limit).unwrap())
}

/// Enqueues jobs that are due one after the other, so that their order is theirs here. Answers their
/// ids.
async fn enqueue(w: &World, tenant: &Tenant, jobs: Vec<NewJob>) -> Vec<JobId> {
    let first = w.now().await - Duration::from_secs(3_600);
    let jobs: Vec<NewJob> = (0_u64..)
        .zip(jobs)
        .map(|(nth, job)| job.with_run_at(first + Duration::from_secs(nth)))
        .collect();
    let ids = jobs.iter().map(|job| job.id).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    ids
}

/// Each key has its own count, and what it holds back holds back nothing behind it.
pub async fn a_concurrency_key_limits_what_runs_under_it(w: World) {
    let tenant = w.organization().await;
    let jobs = vec![
        under(w.job(), "account-1", 2),
        under(w.job(), "account-1", 2),
        under(w.job(), "account-1", 2),
        under(w.job(), "account-2", 1),
        under(w.job(), "account-2", 1),
        w.job(),
        under(w.job(), "account-1", 2),
        w.job(),
    ];
    let jobs = enqueue(&w, &tenant, jobs).await;
    let leases = w.drain(10).await;
    let begun: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
    let wanted = [jobs[0], jobs[1], jobs[3], jobs[5], jobs[7]];
    assert_eq!(begun, wanted, "two, one, and those without a key");

    w.settle(leases[3], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [], "an end without a key frees none");
    w.settle(leases[2], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [jobs[4]], "an end under the second");
    w.settle(leases[1], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [jobs[2]], "an end under the first");
    w.settle(leases[0], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [jobs[6]], "and another");
}

/// What a full key holds back is in nobody's way, however much comes first and however few are claimed.
pub async fn a_claim_for_one_job_finds_it_behind_a_full_key(w: World) {
    let tenant = w.organization().await;
    let running = enqueue(&w, &tenant, vec![under(w.job(), "account", 1)]).await;
    assert_eq!(w.claim_one().await.reference().job, running[0]);
    // Of as many priorities: what is kept of jobs that are alike would be looked past at once.
    let held_back = (1..=40).map(|priority| {
        let job = under(w.job(), "account", 1);
        job.with_priority(priority).unwrap()
    });
    let jobs = held_back.chain([w.job()]).collect();
    let jobs = enqueue(&w, &tenant, jobs).await;
    let claims = w.claim(1).await;
    let claimed: Vec<JobId> = claims.iter().map(|claim| claim.reference().job).collect();
    assert_eq!(claimed, jobs[40..], "the one without a key");
}

/// Each job brings its own limit: it begins where fewer than that run under its key.
pub async fn each_job_brings_its_own_limit(w: World) {
    let tenant = w.organization().await;
    let jobs = vec![
        under(w.job(), "account", 1),
        under(w.job(), "account", 3),
        under(w.job(), "account", 1),
        under(w.job(), "account", 3),
        under(w.job(), "account", 3),
    ];
    let jobs = enqueue(&w, &tenant, jobs).await;
    let leases = w.drain(10).await;
    let begun: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
    assert_eq!(begun, [jobs[0], jobs[1], jobs[3]], "none, one and two ran");
    w.settle(leases[0], JobOutcome::Succeeded).await;
    let last = w.drain(10).await;
    assert_eq!(last.len(), 1, "two ran: {last:?}");
    assert_eq!(last[0].job, jobs[4], "the third asks for none beside it");
    w.settle(leases[1], JobOutcome::Succeeded).await;
    w.settle(leases[2], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [], "one runs");
    w.settle(last[0], JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [jobs[2]], "none runs");
}

/// A key counts whatever runs under it, whichever kind it is.
pub async fn a_key_is_shared_by_kinds(w: World) {
    let tenant = w.organization().await;
    let jobs = vec![
        under(w.job_of_kind(SCAN_KIND), "account", 1),
        under(w.job_of_kind(WORK_KIND), "account", 1),
        under(w.job_of_kind(SCAN_KIND), "account", 1),
    ];
    let jobs = enqueue(&w, &tenant, jobs).await;
    for job in jobs {
        let lease = w.claim_one().await.reference();
        assert_eq!(lease.job, job);
        assert_eq!(w.drained().await, [], "one runs, of whichever kind");
        w.settle(lease, JobOutcome::Succeeded).await;
    }
}

/// A place under a key is free however the attempt ended; a lost lease keeps it until it is
/// recovered.
pub async fn a_place_under_a_key_is_free_however_the_attempt_ended(w: World) {
    let tenant = w.organization().await;
    let jobs = (0..8).map(|_| under(w.job(), "account", 1)).collect();
    enqueue(&w, &tenant, jobs).await;
    let failed = |retryable| JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after: Duration::from_secs(3_600),
    };
    for outcome in [
        JobOutcome::Returned,
        JobOutcome::Succeeded,
        failed(true),
        failed(false),
        JobOutcome::Cancelled,
    ] {
        let lease = w.claim_one().await.reference();
        assert_eq!(w.drained().await, [], "one runs");
        w.settle(lease, outcome).await;
    }
    w.claim_one().await;
    w.lose_leases().await;
    assert_eq!(w.drained().await, [], "nobody took it back: it may run");
    let recovered = w.queue.recover_expired(10).await.unwrap();
    let requeued = Recovered {
        requeued: 1,
        ..Recovered::default()
    };
    assert_eq!(recovered, requeued);
    let again = w.claim_one().await.reference();
    assert_eq!(w.drained().await, [], "one runs");
    let settled = w.settle(again, JobOutcome::Succeeded).await;
    assert_eq!(settled, JobStatus::Succeeded);
}

/// A job that waits under a key and is cancelled leaves the others their turn.
pub async fn a_cancelled_job_leaves_its_key_to_the_others(w: World) {
    let tenant = w.organization().await;
    let jobs = (0..4).map(|_| under(w.job(), "account", 1)).collect();
    let jobs = enqueue(&w, &tenant, jobs).await;
    w.queue.cancel(&tenant.scan, jobs[0]).await.unwrap();
    let lease = w.claim_one().await.reference();
    assert_eq!(lease.job, jobs[1], "the first was cancelled");
    w.queue.cancel(&tenant.scan, jobs[2]).await.unwrap();
    assert_eq!(w.drained().await, [], "one runs");
    w.settle(lease, JobOutcome::Succeeded).await;
    assert_eq!(w.drained().await, [jobs[3]]);
}

/// Hundreds that may not begin hold nothing back, however few jobs a claim asks for.
pub async fn blocked_jobs_hold_no_others_back(w: World) {
    let (tenant, other) = (w.organization().await, w.organization().await);
    let mut jobs: Vec<NewJob> = (0..300).map(|_| under(w.job(), "account", 1)).collect();
    jobs.extend((0..5).map(|_| w.job()));
    let jobs = enqueue(&w, &tenant, jobs).await;
    let theirs = w.enqueue(&other, w.job()).await;
    let mut begun: Vec<JobId> = w.drain(1).await.iter().map(|lease| lease.job).collect();
    begun.sort_unstable();
    let mut wanted = vec![jobs[0], theirs];
    wanted.extend(&jobs[300..]);
    wanted.sort_unstable();
    assert_eq!(begun, wanted);
}

/// P1: the same key in another organization is another key.
pub async fn a_key_counts_within_its_organization(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let mut wanted = Vec::new();
    for tenant in [&one, &two] {
        let jobs = (0..2).map(|_| under(w.job(), "account", 1)).collect();
        wanted.push(enqueue(&w, tenant, jobs).await[0]);
    }
    let mut begun = w.drained().await;
    begun.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(begun, wanted, "P1: one of each");
}

/// However many sessions claim and settle at once, no more run under a key than may.
pub async fn key_limits_hold_when_many_claim_at_once(w: World) {
    const KEYS: [(&str, u32); 4] = [("one", 1), ("two", 2), ("three", 3), ("five", 5)];
    const EACH: usize = 15;
    let tenant = w.organization().await;
    let mut gauges = BTreeMap::new();
    let mut jobs = Vec::new();
    let mut key_of: BTreeMap<JobId, &str> = BTreeMap::new();
    for (key, limit) in KEYS {
        gauges.insert(key, Gauge::new(limit as usize));
        for _ in 0..EACH {
            let job = under(w.job(), key, limit);
            key_of.insert(job.id, key);
            jobs.push(job);
        }
    }
    jobs.extend((0..EACH).map(|_| w.job()));
    let all = jobs.len();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    let counted = gauges.clone();
    Crowd::of(w, all)
        .work(move |claim| counted.get(key_of.get(&claim.lease.job)?).cloned())
        .await;
    for (key, gauge) in gauges {
        assert!(gauge.begun() >= EACH, "each under {key} ran");
    }
}
