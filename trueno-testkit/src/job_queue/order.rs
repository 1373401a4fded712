//! The order within an organization: by time and priority, so that priority ages.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::id::JobId;
use trueno_core::model::NewJob;

use super::World;
use crate::suite::refused;

/// Within an organization the smaller rank goes first, run-at less a minute for each point of
/// priority, and then the smaller id; one by one and within a batch.
pub async fn jobs_come_by_rank_then_id(w: World) {
    let tenant = w.organization().await;
    let now = w.now().await;
    let (early, late) = (now - Duration::from_secs(60), now - Duration::from_secs(30));
    let high = w.job().with_priority(5).unwrap().with_run_at(late);
    let (late_a, late_b) = (w.job().with_run_at(late), w.job().with_run_at(late));
    let early_job = w.job().with_run_at(early);
    let low = w.job().with_priority(-5).unwrap().with_run_at(early);
    let wanted = [high.id, early_job.id, late_a.id, late_b.id, low.id];
    let shuffled = vec![low, late_b, high, late_a, early_job];
    w.queue.enqueue(&tenant.scan, shuffled).await.unwrap();

    let mut claimed: Vec<JobId> = Vec::new();
    for _ in 0..2 {
        let one = w.claim(1).await;
        claimed.extend(one.iter().map(|lease| lease.reference().job));
    }
    claimed.extend(w.claimable().await);
    assert_eq!(claimed, wanted);
}

/// A job of priority 10 overtakes those of priority 0 that were due up to ten minutes before it, and
/// no others; one of priority -10 is overtaken likewise.
pub async fn priority_ages(w: World) {
    let tenant = w.organization().await;
    let now = w.now().await;
    let job = |priority: i16, minutes_ago: u64| -> NewJob {
        let run_at = now - Duration::from_secs(60 * minutes_ago);
        w.job().with_priority(priority).unwrap().with_run_at(run_at)
    };
    let plain = job(0, 60);
    let five_minutes_after = job(10, 55);
    let eleven_minutes_after = job(10, 49);
    let eight_minutes_before = job(-10, 68);
    let eleven_minutes_before = job(-10, 71);
    let wanted = [
        five_minutes_after.id,
        eleven_minutes_before.id,
        plain.id,
        eleven_minutes_after.id,
        eight_minutes_before.id,
    ];
    // So that ids say something else than ranks.
    let jobs = vec![
        plain,
        eleven_minutes_after,
        eight_minutes_before,
        five_minutes_after,
        eleven_minutes_before,
    ];
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    assert_eq!(w.claimable().await, wanted);
}

/// Also where they wait one by one, and where a batch takes in only some of them.
pub async fn priority_ages_from_claim_to_claim(w: World) {
    let tenant = w.organization().await;
    let due = w.now().await - Duration::from_secs(3_600);
    let mut wanted: Vec<(i64, JobId)> = Vec::new();
    let mut jobs = Vec::new();
    for nth in 0..40_u32 {
        // A spread of priorities and times in which both decide.
        let (priority, minutes) = ((nth * 7 % 21) as i16 - 10, u64::from(nth * 11 % 17));
        let run_at = due + Duration::from_secs(60 * minutes);
        let job = w.job().with_priority(priority).unwrap().with_run_at(run_at);
        wanted.push((minutes as i64 - i64::from(priority), job.id));
        jobs.push(job);
    }
    wanted.sort_unstable();
    w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    let claimed: Vec<JobId> = w.drain(3).await.iter().map(|lease| lease.job).collect();
    let wanted: Vec<JobId> = wanted.into_iter().map(|(_, job)| job).collect();
    assert_eq!(claimed, wanted);
}

/// Priorities go from -100 to 100; others are refused, by the constructor and by the queue.
pub async fn priorities_out_of_range_are_refused(w: World) {
    let tenant = w.organization().await;
    let now = w.now().await;
    let job = |priority| w.job().with_priority(priority).unwrap().with_run_at(now);
    let (lowest, middle, highest) = (job(-100), w.job().with_run_at(now), job(100));
    let wanted = [highest.id, middle.id, lowest.id];
    for priority in [i16::MIN, -101, 101, i16::MAX] {
        let what = format!("priority {priority}");
        refused(
            w.job().with_priority(priority),
            ErrorKind::InvalidInput,
            &what,
        );
        let mut broken = w.job();
        broken.priority = priority;
        let batch = vec![w.job(), broken];
        let answer = w.queue.enqueue(&tenant.scan, batch).await;
        refused(answer, ErrorKind::InvalidInput, &what);
    }
    let batch = vec![lowest, middle, highest];
    w.queue.enqueue(&tenant.scan, batch).await.unwrap();
    assert_eq!(w.claimable().await, wanted, "P2: and nothing of a refusal");
}
