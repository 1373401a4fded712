//! What becomes of missed ticks, and of scans of one account.

use std::time::Duration;

use jiff::Timestamp;
use trueno_core::id::{IdSource, JobId};
use trueno_core::model::{Concurrency, MissedTicks};
use trueno_core::port::tenant_store::{FIRED, MISSED, PASSED_OVER};
use trueno_core::port::{ClaimRequest, JobOutcome, WaitReason};
use trueno_core::runtime::scan::{JOB_KIND, ScanRequest, request};
use trueno_core::runtime::{Scheduler, SchedulerConfig, TickReport};

use super::{HOUR, World, add, due, hourly, read, remove, scans, the_due_one};
use crate::clock::ManualClock;

/// Lets a scheduler look until nothing is left.
pub(super) async fn catch_up(w: &World) -> TickReport {
    let config = SchedulerConfig::default();
    let ids = IdSource::seeded(7);
    let scheduler = Scheduler::new(w.store.clone(), config, ids).unwrap();
    let mut sum = TickReport::default();
    loop {
        let report = scheduler.tick().await.unwrap();
        sum.enqueued += report.enqueued;
        sum.passed_over += report.passed_over;
        sum.failed += report.failed;
        if !report.more {
            return sum;
        }
    }
}

/// After three missed ticks, the latest one half an hour old: skipping runs none, running once the
/// latest, running all each of them. Then the schedule goes on with the one to come.
pub async fn each_policy_has_its_way_with_missed_ticks(w: World) {
    for (missed, ran, passed_over) in [
        (MissedTicks::Skip, 0, 3),
        (MissedTicks::RunOnce, 1, 2),
        (MissedTicks::RunAll, 3, 0),
    ] {
        let tenant = w.organization().await;
        let account = w.account(&tenant).await;
        let new = hourly(&w, &account).await.with_missed(missed);
        let made = add(&w, &tenant, new).await;
        w.advance(3 * HOUR).await;
        w.forget_staged().await;
        let before = the_due_one(&w).await;
        let report = catch_up(&w).await;
        assert_eq!(
            (report.enqueued, report.passed_over, report.failed),
            (ran, passed_over, 0)
        );
        let present = read(&w, &tenant, &made).await;
        assert_eq!(
            present.next_run_at,
            Some(before.due_at + 3 * HOUR),
            "{missed}"
        );
        assert!(present.next_run_at.unwrap() > w.now().await);
        let mut ticks: Vec<Timestamp> = Vec::new();
        let events = w.staged_of(&tenant).await;
        for event in &events {
            if event.action == FIRED {
                ticks.push(event.details["tick"].as_str().unwrap().parse().unwrap());
            } else {
                assert_eq!(
                    (&*event.action, &event.details["reason"]),
                    (PASSED_OVER, &MISSED.into())
                );
            }
        }
        let all = [
            before.due_at,
            before.due_at + HOUR,
            before.due_at + 2 * HOUR,
        ];
        assert_eq!(
            ticks,
            all[all.len() - ticks.len()..],
            "{missed}: the latest of them, in order"
        );
        let told: u64 = events
            .iter()
            .map(|event| event.details["passed_over"].as_u64().unwrap())
            .sum();
        assert_eq!(told, passed_over, "{missed}: events tell of every tick");
        assert_eq!(scans(&w, &tenant).await.len() as u64, ran, "{missed}");
        assert_eq!(due(&w).await, [], "{missed}: nothing is left");
        remove(&w, &tenant, &made).await;
    }
}

/// Where every tick runs, no two scans of the account do so at the same time: neither those of ticks, nor
/// one that a member requested. Who waits says for what.
pub async fn ticks_that_all_run_wait_for_each_other(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let new = hourly(&w, &account).await.with_missed(MissedTicks::RunAll);
    add(&w, &tenant, new).await;
    w.advance(2 * HOUR).await;
    assert_eq!(catch_up(&w).await.enqueued, 2);
    let (wanted, clock) = (
        ScanRequest::new(account.id),
        ManualClock::new(w.now().await),
    );
    let ids = IdSource::seeded(8);
    let by_hand = request(&*w.store, &tenant.scan, &wanted, &ids, &clock).await;
    let by_hand = by_hand.unwrap().job;

    let one_at_a_time = Concurrency::new(&account.id.to_string(), 1).unwrap();
    let full = WaitReason::ConcurrencyLimit {
        concurrency: one_at_a_time,
    };
    let mut waiting: Vec<JobId> = scans(&w, &tenant).await.iter().map(|s| s.job).collect();
    assert!(waiting.len() == 3 && waiting.contains(&by_hand));
    let claim = ClaimRequest::new(w.id(), "worker", vec![JOB_KIND], 10);
    while !waiting.is_empty() {
        let running = w.queue.claim(&claim).await.unwrap();
        assert_eq!(running.len(), 1, "one at a time, of {}", waiting.len());
        let lease = running[0].lease;
        waiting.retain(|job| *job != lease.job);
        for job in &waiting {
            let why = w.queue.why_waiting(&tenant.read, *job).await.unwrap();
            assert_eq!(why, full, "it waits for the other scan of its account");
        }
        assert_eq!(w.queue.claim(&claim).await.unwrap(), [], "none beside it");
        let failed = JobOutcome::Failed {
            error: "for good".to_owned(),
            retryable: false,
            retry_after: Duration::ZERO,
        };
        w.settle(lease, failed).await;
    }
}
