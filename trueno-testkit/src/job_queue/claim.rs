//! Claiming: order, limits, kinds, fairness, one holder.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::id::JobId;
use trueno_core::port::{ClaimRequest, JobOutcome, Settlement, WaitReason};

use super::World;
use crate::fixtures::{SCAN_KIND, WORK_KIND};
use crate::suite::refused;

/// A job is not handed out before its run-at, by the store's clock (P10).
pub async fn run_at_is_honoured(w: World) {
    let tenant = w.organization().await;
    let run_at = w.now().await + Duration::from_secs(60);
    let later = w.enqueue(&tenant, w.job().with_run_at(run_at)).await;
    let now = w.enqueue(&tenant, w.job()).await;
    assert_eq!(
        w.claimable().await,
        [now],
        "P10: what is not due is not handed out"
    );
    w.advance(Duration::from_secs(30)).await;
    assert_eq!(
        w.claimable().await,
        [],
        "P10: half way there it is not due either"
    );
    w.advance(Duration::from_secs(31)).await;
    assert_eq!(w.claimable().await, [later]);
}

/// A claim gives no more than its limit, and what is left to the next.
pub async fn a_claim_gives_no_more_than_its_limit(w: World) {
    let tenant = w.organization().await;
    let jobs = (0..5).map(|_| w.job()).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    let sizes = [
        w.claim(3).await.len(),
        w.claim(3).await.len(),
        w.claim(3).await.len(),
    ];
    assert_eq!(sizes, [3, 2, 0]);
}

/// A claim gives jobs of the kinds that it asks for, and leaves the others.
pub async fn a_claim_gives_only_the_kinds_it_asked_for(w: World) {
    let tenant = w.organization().await;
    let other = w
        .enqueue(
            &tenant,
            w.job_of_kind("other.kind").with_priority(9).unwrap(),
        )
        .await;
    let work = w.enqueue(&tenant, w.job_of_kind(WORK_KIND)).await;
    let scan = w.enqueue(&tenant, w.job_of_kind(SCAN_KIND)).await;
    let request = ClaimRequest::new(w.id(), "worker", vec![SCAN_KIND.parse().unwrap()], 10);
    let claims = w.queue.claim(&request).await.unwrap();
    assert_eq!(
        claims
            .iter()
            .map(|claim| claim.lease.job)
            .collect::<Vec<_>>(),
        [scan]
    );
    assert_eq!(w.claimable().await, [work]);
    let waits = w.queue.why_waiting(&tenant.read, other).await.unwrap();
    let wanted = WaitReason::NoWorker;
    assert_eq!(waits, wanted, "a kind that nobody handles waits");
}

/// However many claim at once, a job has one holder.
pub async fn concurrent_claimants_never_share_a_job(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    for tenant in [&one, &two] {
        let jobs = (0..30).map(|_| w.job()).collect();
        w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    }
    let w = Arc::new(w);
    let claimants = (0..6).map(|_| {
        let w = Arc::clone(&w);
        tokio::spawn(async move {
            let request = w.claim_request(4);
            let mut claims = Vec::new();
            // A claim may pass over jobs that another one is just taking, so one empty answer is
            // not the end; three are, since all jobs are due from the start.
            let mut empty = 0;
            while empty < 3 {
                let batch = w.queue.claim(&request).await.unwrap();
                empty = if batch.is_empty() { empty + 1 } else { 0 };
                claims.extend(batch);
                tokio::task::yield_now().await;
            }
            claims
        })
    });
    let mut jobs = Vec::new();
    for claimant in futures::future::join_all(claimants).await {
        jobs.extend(claimant.unwrap().into_iter().map(|claim| claim.lease.job));
    }
    jobs.extend(w.claimable().await);
    let distinct: BTreeSet<JobId> = jobs.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        jobs.len(),
        "P3: a job was handed to two holders"
    );
    assert_eq!(distinct.len(), 60, "every job was handed out");
}

/// P3: a new claim has a new token, also in the hands of the same session.
pub async fn each_claim_has_a_new_token(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let request = w.claim_request(1);
    let first = w.queue.claim(&request).await.unwrap().remove(0).lease;
    let outcome = JobOutcome::Returned;
    w.queue
        .settle(vec![Settlement {
            lease: first,
            outcome,
        }])
        .await
        .unwrap();
    let second = w.queue.claim(&request).await.unwrap().remove(0).lease;
    assert_eq!((second.job, second.session), (first.job, first.session));
    assert_ne!(second.token, first.token, "P3: a token is never used again");
}

/// A batch is spread over the organizations that wait: a large backlog does not hide a small one.
pub async fn a_batch_is_spread_over_organizations(w: World) {
    let (large, small) = (w.organization().await, w.organization().await);
    let jobs = (0..100)
        .map(|_| w.job().with_priority(9).unwrap())
        .collect();
    w.queue.enqueue(&large.scan, jobs).await.unwrap();
    let only = w.enqueue(&small, w.job()).await;
    let batch = w.claim(2).await;
    assert_eq!(batch.len(), 2);
    let served: Vec<_> = batch
        .iter()
        .map(|lease| lease.reference().organization)
        .collect();
    assert!(
        served.contains(&large.id) && served.contains(&small.id),
        "one each: {served:?}"
    );
    assert!(batch.iter().any(|lease| lease.reference().job == only));
}

/// No organization is starved, not even by one that never runs out of urgent work.
pub async fn no_organization_is_starved(w: World) {
    let (busy, quiet) = (w.organization().await, w.organization().await);
    for _ in 0..3 {
        w.enqueue(&busy, w.job().with_priority(9).unwrap()).await;
    }
    let patient = w.enqueue(&quiet, w.job()).await;
    for _ in 0..50 {
        let lease = w.claim(1).await.remove(0).reference();
        if lease.job == patient {
            return;
        }
        let outcome = JobOutcome::Succeeded;
        w.queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
        w.enqueue(&busy, w.job().with_priority(9).unwrap()).await;
    }
    panic!("after 50 claims of one job, another organization's only job still waits");
}

/// Claims that cannot be meant are refused: no jobs, no kinds, leases under 1 s or over 1 h.
pub async fn bad_claims_are_refused(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let kinds = vec![WORK_KIND.parse().unwrap()];
    let lasting = |lease_for| w.claim_request(1).with_lease_for(lease_for);
    for (request, what) in [
        (w.claim_request(0), "a limit of 0"),
        (
            ClaimRequest::new(w.id(), "worker", Vec::new(), 1),
            "no kinds",
        ),
        (lasting(Duration::ZERO), "no lease"),
        (lasting(Duration::from_millis(999)), "a lease under 1 s"),
        (
            lasting(Duration::from_millis(3_600_001)),
            "a lease over 1 h",
        ),
        (lasting(Duration::MAX), "a lease without an end"),
    ] {
        refused(w.queue.claim(&request).await, ErrorKind::InvalidInput, what);
    }
    let shortest = ClaimRequest::new(w.id(), "worker", kinds, 1);
    let shortest = shortest.with_lease_for(Duration::from_secs(1));
    let claims = w.queue.claim(&shortest).await.unwrap();
    assert_eq!(
        claims[0].lease.job, job,
        "a lease of 1 s is fine, and no refusal took the job"
    );
    let longest = lasting(Duration::from_secs(3_600));
    assert_eq!(
        w.queue.claim(&longest).await.unwrap(),
        [],
        "a lease of 1 h is fine"
    );
}
