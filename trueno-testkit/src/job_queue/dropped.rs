//! Cancel-safety: a future that was given up half way was applied or not, as a whole.

use std::collections::BTreeSet;

use trueno_core::id::JobId;
use trueno_core::model::JobStatus;
use trueno_core::port::{JobOutcome, SettleOutcome, Settlement};

use super::World;
use crate::suite::dropped_after;

/// How many polls a future is given before it is dropped: from none to more than one needs.
const POLLS: std::ops::Range<u32> = 0..16;

/// P2: an enqueue that was given up left all of its batch or nothing, and enqueueing goes on.
pub async fn a_dropped_enqueue_is_whole_or_nothing(w: World) {
    let tenant = w.organization().await;
    for polls in POLLS {
        let batch: Vec<_> = (0..3).map(|_| w.job()).collect();
        drop(dropped_after(polls, w.queue.enqueue(&tenant.scan, batch)).await);
    }
    let last = w.enqueue(&tenant, w.job()).await;
    let claimed = w.claimable().await;
    assert!(claimed.contains(&last), "the queue goes on");
    assert_eq!(
        (claimed.len() - 1) % 3,
        0,
        "P2: a batch is there as a whole or not at all: {} jobs",
        claimed.len()
    );
}

/// Jobs that a claim took before it was given up are held by its session, and come back when its
/// time runs out: none is lost, none is handed out twice.
pub async fn a_dropped_claim_comes_back(w: World) {
    let tenant = w.organization().await;
    let jobs: Vec<_> = (0..32).map(|_| w.job()).collect();
    let all: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    for polls in POLLS {
        let request = w.claim_request(2);
        drop(dropped_after(polls, w.queue.claim(&request)).await);
    }
    w.lose_leases().await;
    w.queue.recover_expired(100).await.unwrap();
    let claimed = w.claimable().await;
    let distinct: BTreeSet<JobId> = claimed.iter().copied().collect();
    assert_eq!(distinct.len(), claimed.len(), "P3: none twice");
    assert_eq!(distinct, all, "none is lost");
}

/// A settlement that was given up was applied or not; sending it again tells, and ends the job once.
pub async fn a_dropped_settlement_can_be_sent_again(w: World) {
    let tenant = w.organization().await;
    for polls in POLLS {
        let job = w.enqueue(&tenant, w.job()).await;
        let lease = w.claim_one().await.reference();
        let settlement = Settlement {
            lease,
            outcome: JobOutcome::Succeeded,
        };
        let settle = w.queue.settle(vec![settlement.clone()]);
        drop(dropped_after(polls, settle).await);
        let again = w.queue.settle(vec![settlement]).await.unwrap();
        let settled = [SettleOutcome::Settled(JobStatus::Succeeded)];
        let told = again == settled || again == [SettleOutcome::AlreadySettled];
        assert!(told, "after {polls} polls: {again:?}");
        assert_eq!(w.job_status(&tenant, job).await, JobStatus::Succeeded);
    }
}
