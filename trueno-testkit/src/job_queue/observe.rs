//! What operators and members see of the queue, and what wakes workers.

use std::time::Duration;

use futures::StreamExt as _;
use trueno_core::model::{EventDraft, JobStatus};
use trueno_core::port::{JobOutcome, QueueStats, Settlement, WaitReason, WakeUps};

use super::World;

/// Hints may be skipped, so enqueueing is repeated this often before a stream counts as silent.
const HINT_TRIES: u32 = 30;

/// `why_waiting` tells what a job waits for on its way: to be taken, its time, the next attempt, or
/// nothing.
pub async fn a_waiting_job_tells_its_way_to_the_end(w: World) {
    let tenant = w.organization().await;
    // A worker that stays, and takes nothing.
    let idle = w
        .claim_request(1)
        .with_lease_for(Duration::from_secs(3_600));
    assert_eq!(w.queue.claim(&idle).await.unwrap(), []);
    let job = w.enqueue(&tenant, w.job()).await;
    let why = async |job| w.queue.why_waiting(&tenant.read, job).await.unwrap();
    assert_eq!(why(job).await, WaitReason::Due);
    let run_at = w.now().await + Duration::from_secs(600);
    let scheduled = w.enqueue(&tenant, w.job().with_run_at(run_at)).await;
    assert_eq!(why(scheduled).await, WaitReason::Scheduled { run_at });

    let lease = w.claim_one().await.reference();
    assert_eq!(
        why(job).await,
        WaitReason::NotWaiting {
            status: JobStatus::Running
        }
    );
    let retry_after = Duration::from_secs(60);
    let error = "throttled by the provider".to_owned();
    let outcome = JobOutcome::Failed {
        error: error.clone(),
        retryable: true,
        retry_after,
    };
    w.queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap();
    let run_at = w.read_job(&tenant, job).await.run_at;
    assert_eq!(
        why(job).await,
        WaitReason::Backoff {
            run_at,
            last_error: Some(error)
        }
    );
    w.advance(Duration::from_secs(61)).await;
    assert_eq!(why(job).await, WaitReason::Due, "its wait is over");

    let lease = w.claim_one().await.reference();
    let outcome = JobOutcome::Succeeded;
    w.queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap();
    assert_eq!(
        why(job).await,
        WaitReason::NotWaiting {
            status: JobStatus::Succeeded
        }
    );
}

/// `stats` counts the live queue of every organization: waiting for whatever reason, and running.
pub async fn stats_count_the_live_queue(w: World) {
    assert_eq!(
        w.queue.stats().await.unwrap(),
        QueueStats::default(),
        "an empty queue"
    );
    let (one, two) = (w.organization().await, w.organization().await);
    for tenant in [&one, &one, &two, &two, &two] {
        w.enqueue(tenant, w.job()).await;
    }
    let run_at = w.now().await + Duration::from_secs(60);
    w.enqueue(&two, w.job().with_run_at(run_at)).await;
    let leases = w.claim(3).await;
    let retry_after = Duration::from_secs(60);
    let retried = JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable: true,
        retry_after,
    };
    let settlements = vec![
        Settlement {
            lease: leases[0].reference(),
            outcome: JobOutcome::Succeeded,
        },
        Settlement {
            lease: leases[1].reference(),
            outcome: retried,
        },
    ];
    w.queue.settle(settlements).await.unwrap();
    let counted = w.queue.stats().await.unwrap();
    assert_eq!(
        counted,
        QueueStats {
            waiting: 4,
            running: 1
        }
    );
    w.advance(Duration::from_secs(61)).await;
    w.queue.recover_expired(10).await.unwrap();
    let counted = w.queue.stats().await.unwrap();
    assert_eq!(
        counted,
        QueueStats {
            waiting: 5,
            running: 0
        }
    );
}

/// `horizon` answers, whoever is at work, and says nothing of any organization (P1).
pub async fn the_horizon_names_no_organization(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let view = w.store.read(&tenant.read).await.unwrap();
    let lease = w.claim_one().await;
    let said = format!("{:?}", w.queue.horizon().await.unwrap());
    for id in [tenant.id.to_string(), lease.reference().job.to_string()] {
        assert!(!said.contains(&id), "P1: {said}");
    }
    drop(view);
}

/// An enqueue wakes who listens. A hint may be skipped, but not every one.
pub async fn an_enqueue_wakes_a_listener(w: World) {
    let tenant = w.organization().await;
    let mut hints = w.queue.wake_ups().await.unwrap();
    for _ in 0..HINT_TRIES {
        w.enqueue(&tenant, w.job()).await;
        if hinted(&mut hints).await {
            return;
        }
    }
    panic!("{HINT_TRIES} enqueues, and no hint");
}

/// So does a unit of work that enqueues, once it is committed.
pub async fn a_committed_unit_of_work_wakes_a_listener(w: World) {
    let tenant = w.organization().await;
    let mut hints = w.queue.wake_ups().await.unwrap();
    for _ in 0..HINT_TRIES {
        let mut unit = w.begin_scan(&tenant).await;
        let job = w.job();
        let event = EventDraft::new("work.requested", "job", job.id);
        unit.enqueue(vec![job]).await.unwrap();
        unit.commit(event).await.unwrap();
        if hinted(&mut hints).await {
            return;
        }
    }
    panic!("{HINT_TRIES} commits, and no hint");
}

async fn hinted(hints: &mut WakeUps) -> bool {
    match tokio::time::timeout(Duration::from_secs(1), hints.next()).await {
        Ok(hint) => {
            assert!(hint.is_some(), "the stream of hints ended");
            true
        }
        Err(_) => false,
    }
}
