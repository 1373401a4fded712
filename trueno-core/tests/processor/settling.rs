//! Successes without effects: told to the queue together, soon, and before the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::Instant;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::model::JobStatus;
use trueno_core::port::AuditOutbox;
use trueno_core::runtime::Completion;

use crate::world::{KIND, MS, Scripted, World, quick};

/// Longer than anything else in these tests takes.
const LONG: Duration = Duration::from_secs(20);

/// The first run takes so long, the others no time.
fn first_takes(time: Duration) -> Scripted {
    Scripted::silent(move |_, run| async move {
        if run == 1 {
            tokio::time::sleep(time).await;
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn successes_without_effects_are_told_together_and_leave_no_event() {
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let config = quick().with_concurrency(1_000);
    let mut world = World::prepare(config, vec![handler]).await;
    let staged = world.store.staged(10_000).await.unwrap().len();
    let jobs = world.enqueue_many(&KIND, 1_200).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    world.shut_down().await;
    assert_eq!(world.runs(), 1_200);
    let sizes: Vec<usize> = world
        .log
        .settled()
        .iter()
        .map(|one| one.jobs.len())
        .collect();
    assert_eq!(
        sizes.iter().sum::<usize>(),
        1_200,
        "each told once: {sizes:?}"
    );
    assert!(sizes.iter().all(|size| *size <= 500), "{sizes:?}");
    assert!(sizes.len() <= 12, "at least 100 at a time: {sizes:?}");
    assert_eq!(world.faults.calls("tenant_store.finish"), 0);
    assert_eq!(world.store.staged(10_000).await.unwrap().len(), staged);
}

#[tokio::test(start_paused = true)]
async fn a_success_waits_for_others_and_not_for_longer_than_the_delay() {
    let config = quick().with_settle_delay(40 * MS);
    let mut world = World::prepare(config, vec![first_takes(Duration::from_secs(1))]).await;
    let begin = Instant::now();
    let jobs = world.enqueue_many(&KIND, 3).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    let settled = world.log.settled();
    let sizes: Vec<usize> = settled.iter().map(|one| one.jobs.len()).collect();
    assert_eq!(sizes, [2, 1]);
    let waited = settled[0].at - begin;
    assert!((40 * MS..50 * MS).contains(&waited), "{waited:?}");
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_of_the_jobs_that_run_waits_for_nobody() {
    let config = quick().with_settle_delay(LONG);
    let mut world = World::prepare(config, vec![first_takes(100 * MS)]).await;
    let begin = Instant::now();
    let jobs = world.enqueue_many(&KIND, 3).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(world.log.settled().len(), 1, "all three together");
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_waits_for_nobody() {
    let config = quick().with_concurrency(600).with_settle_delay(LONG);
    let mut world = World::prepare(config, vec![first_takes(LONG)]).await;
    let begin = Instant::now();
    world.enqueue_many(&KIND, 520).await;
    world.run();
    while world.log.settled().is_empty() {
        assert!(begin.elapsed() < LONG / 2, "nothing was told");
        tokio::time::sleep(MS).await;
    }
    assert_eq!(world.log.settled()[0].jobs.len(), 500);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_batch_is_under_way_the_next_one_gathers() {
    let both = Arc::new(Barrier::new(2));
    let handler = Scripted::silent(move |_, run| {
        let both = both.clone();
        async move {
            // Two that begin only after the first was told, and end while it is under way.
            if run > 1 {
                both.wait().await;
            }
            Ok(())
        }
    });
    let mut world = World::prepare(quick(), vec![handler]).await;
    let slow = trueno_testkit::fault::Fault::Delay(500 * MS);
    world.faults.fail("job_queue.settle", 1, slow);
    let first = world.enqueue().await;
    world.run();
    tokio::time::sleep(100 * MS).await;
    let others = world.enqueue_many(&KIND, 2).await;
    tokio::time::sleep(200 * MS).await;
    assert_eq!(world.runs(), 3, "jobs begin and end meanwhile");
    world.until(first, JobStatus::Succeeded).await;
    world.until_all(&others, JobStatus::Succeeded).await;
    let sizes: Vec<usize> = world
        .log
        .settled()
        .iter()
        .map(|one| one.jobs.len())
        .collect();
    assert_eq!(sizes, [1, 2]);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_what_was_gathered() {
    let handler = Scripted::silent(|context, run| async move {
        if run == 1 {
            context.stop.cancelled().await;
            return Err(Error::new(ErrorKind::Cancelled, "stopped"));
        }
        Ok(())
    });
    let config = quick().with_settle_delay(LONG);
    let mut world = World::prepare(config, vec![handler]).await;
    let jobs = world.enqueue_many(&KIND, 4).await;
    world.run();
    while world.runs() < 4 {
        tokio::time::sleep(MS).await;
    }
    let begin = Instant::now();
    world.shut_down().await;
    assert!(begin.elapsed() <= Duration::from_millis(2_200));
    let mut statuses = Vec::new();
    for job in jobs {
        statuses.push(world.job(job).await.status);
    }
    statuses.sort_unstable_by_key(|status| status.as_str());
    let done = JobStatus::Succeeded;
    assert_eq!(statuses, [JobStatus::Queued, done, done, done]);
}

/// Only the queue is told that it failed, so it is told at once and with an event, as ever.
#[tokio::test(start_paused = true)]
async fn a_failure_without_effects_goes_through_the_store() {
    let handler = Scripted::silent(|_, run| async move {
        if run == 1 {
            return Err(Error::new(ErrorKind::Unavailable, "not yet"));
        }
        Ok(())
    });
    let mut world = World::start(quick(), handler).await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!(job.failed_attempts, 1);
    assert_eq!(world.faults.calls("tenant_store.finish"), 1);
    assert_eq!(world.log.settled().len(), 1);
    world.shut_down().await;
}

/// A follower is an effect, also of a job that has no event to tell.
#[tokio::test(start_paused = true)]
async fn a_completion_with_a_follower_goes_through_the_store() {
    let handler = Scripted::ending(
        |_, _| async { Ok(()) },
        |context| {
            let mut completion = Completion::without_effects();
            if context.lease.claim().payload.body["follow"] == true {
                let id = uuid::Uuid::from_u128(77).into();
                let payload = context.lease.claim().payload.clone();
                let mut next = trueno_core::model::NewJob::new(id, KIND, payload).unwrap();
                next.payload.body = serde_json::json!({});
                completion.next.push(next);
            }
            completion
        },
    );
    let mut world = World::start(quick(), handler).await;
    let mut first = world.new_job(KIND);
    first.payload.body = serde_json::json!({ "follow": true });
    let first = world.put(first).await;
    world.until(first, JobStatus::Succeeded).await;
    let next = uuid::Uuid::from_u128(77).into();
    world.until(next, JobStatus::Succeeded).await;
    world.shut_down().await;
    let events = world.store.staged(100).await.unwrap();
    let ended = events
        .iter()
        .filter(|event| event.action == "job.succeeded");
    assert_eq!(ended.count(), 1, "P2: the follower came with its event");
}
