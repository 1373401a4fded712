//! Orphans: jobs whose worker vanished.

use trueno_core::model::JobStatus;
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::port::{CancelOutcome, JobOutcome, Recovered, SettleOutcome, Settlement};
use trueno_core::state::job::LOST_LEASE_LIMIT;

use super::World;

/// An orphan waits again; its lost lease is counted, and apart from failed attempts.
pub async fn a_lost_lease_is_counted_apart_from_failed_attempts(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    w.claim_one().await;
    w.lose_leases().await;
    let recovered = w.queue.recover_expired(10).await.unwrap();
    assert_eq!(
        recovered,
        Recovered {
            requeued: 1,
            ..Recovered::default()
        }
    );
    let seen = w.read_job(&tenant, job).await;
    assert_eq!(
        (seen.status, seen.lost_leases, seen.failed_attempts),
        (JobStatus::Queued, 1, 0)
    );
    let lease = w.claim_one().await;
    assert_eq!(lease.reference().job, job);
    assert_eq!(
        (lease.claim().lost_leases, lease.claim().failed_attempts),
        (1, 0)
    );
}

/// A lease that is held is left alone, and a second recovery finds nothing.
pub async fn a_held_lease_is_not_recovered(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    w.claim_one().await;
    w.lose_leases().await;
    let held_job = w.enqueue(&tenant, w.job()).await;
    let held = w.claim(10).await;
    assert!(held.iter().any(|lease| lease.reference().job == held_job));
    w.queue.recover_expired(10).await.unwrap();
    assert_eq!(
        w.queue.recover_expired(10).await.unwrap(),
        Recovered::default()
    );
    assert_eq!(
        w.job_status(&tenant, held_job).await,
        JobStatus::Running,
        "P3: it is held"
    );
}

/// A job that loses its lease too often is dead as crash-looped, and not before.
pub async fn a_job_that_crashes_its_workers_is_dead(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    for nth in 1..=LOST_LEASE_LIMIT {
        assert_eq!(
            w.claim_one().await.reference().job,
            job,
            "it waits again, time {nth}"
        );
        w.lose_leases().await;
        let recovered = w.queue.recover_expired(10).await.unwrap();
        let wanted = if nth < LOST_LEASE_LIMIT {
            Recovered {
                requeued: 1,
                ..Recovered::default()
            }
        } else {
            Recovered {
                dead: 1,
                ..Recovered::default()
            }
        };
        assert_eq!(recovered, wanted, "after {nth} lost leases");
    }
    let seen = w.read_job(&tenant, job).await;
    assert_eq!(
        (seen.status, seen.lost_leases),
        (JobStatus::Dead, LOST_LEASE_LIMIT)
    );
    assert_eq!(seen.failed_attempts, 0, "no attempt failed");
    assert!(seen.finished_at.is_some(), "it ended");
    assert_eq!(seen.last_error(), Some(CRASH_LOOPED), "and says of what");
    assert_eq!(w.claimable().await, [], "the dead do not run");
}

/// An orphan that was asked to stop is cancelled instead of waiting again.
pub async fn an_orphan_asked_to_stop_is_cancelled(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    w.claim_one().await;
    let asked = w.queue.cancel(&tenant.scan, job).await.unwrap();
    assert_eq!(asked, CancelOutcome::Requested);
    w.lose_leases().await;
    let recovered = w.queue.recover_expired(10).await.unwrap();
    assert_eq!(
        recovered,
        Recovered {
            cancelled: 1,
            ..Recovered::default()
        }
    );
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Cancelled);
    assert_eq!(w.claimable().await, []);
}

/// A recovery takes no more than its limit, and the next one the rest.
pub async fn a_recovery_keeps_to_its_limit(w: World) {
    let tenant = w.organization().await;
    for _ in 0..5 {
        w.enqueue(&tenant, w.job()).await;
    }
    w.claim(5).await;
    w.lose_leases().await;
    for wanted in [2, 2, 1, 0] {
        assert_eq!(w.queue.recover_expired(2).await.unwrap().requeued, wanted);
    }
}

/// P3: after another worker took a job over, its old holder changes nothing of it.
pub async fn a_zombie_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let zombie = w.claim_one().await.reference();
    let holder = w.take_over().await.reference();
    assert_eq!(holder.job, job);
    for outcome in [
        JobOutcome::Succeeded,
        JobOutcome::Returned,
        JobOutcome::Cancelled,
        JobOutcome::Failed {
            error: "late".to_owned(),
            retryable: false,
            retry_after: std::time::Duration::ZERO,
        },
    ] {
        let settlement = Settlement {
            lease: zombie,
            outcome,
        };
        assert_eq!(
            w.queue.settle(vec![settlement]).await.unwrap(),
            [SettleOutcome::Stale]
        );
        assert_eq!(
            w.job_status(&tenant, job).await,
            JobStatus::Running,
            "P3: it runs on"
        );
    }
    let settlement = Settlement {
        lease: holder,
        outcome: JobOutcome::Succeeded,
    };
    let settled = w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(
        settled,
        [SettleOutcome::Settled(JobStatus::Succeeded)],
        "P3: its holder settles"
    );
}
