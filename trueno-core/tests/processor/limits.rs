//! How long attempts may take, and how long retries wait.

use std::time::Duration;

use tokio::time::Instant;
use trueno_core::clock::SystemClock;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::id::IdSource;
use trueno_core::model::{JobKind, JobStatus};
use trueno_core::retry::Backoff;
use trueno_core::runtime::{Processor, ProcessorConfig};
use trueno_store_memory::MemoryStore;

use crate::world::{KIND, MS, Scripted, World, quick};

const TOO_LONG: &str = "the attempt took longer than its timeout of 30s";

/// Waits until it is told to stop, and stops.
fn obedient() -> Scripted {
    Scripted::new(|context, _| async move {
        context.stop.cancelled().await;
        Err(Error::new(ErrorKind::Cancelled, "stopped"))
    })
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_stopped_and_tried_again() {
    let mut world = World::start(quick(), obedient()).await;
    let job = world.new_job(KIND).with_timeout(Duration::from_secs(30));
    let begin = Instant::now();
    let id = world.put(job.unwrap()).await;
    let job = world.until(id, JobStatus::Failed).await;
    let took = begin.elapsed().as_millis();
    assert!((30_000..30_100).contains(&took), "{took}");
    assert_eq!(job.last_error(), Some(TOO_LONG));
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!((job.failed_attempts, world.runs()), (2, 2));
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_does_not_stop_at_its_timeout_is_dropped() {
    let handler = Scripted::silent(|_, run| async move {
        if run == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let mut world = World::start(quick(), handler).await;
    let job = world.new_job(KIND).with_timeout(Duration::from_secs(30));
    let begin = Instant::now();
    let id = world.put(job.unwrap()).await;
    let job = world.until(id, JobStatus::Failed).await;
    let took = begin.elapsed().as_millis();
    assert!(
        (30_200..30_300).contains(&took),
        "timeout and grace: {took}"
    );
    assert_eq!(job.last_error(), Some(TOO_LONG));
    world.until(id, JobStatus::Succeeded).await;
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_done_within_the_grace_is_done() {
    let handler = Scripted::silent(|context, _| async move {
        context.stop.cancelled().await;
        tokio::time::sleep(100 * MS).await;
        Ok(())
    });
    let mut world = World::start(quick().with_timeout(50 * MS), handler).await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, world.runs()), (0, 1));
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_says_nothing_has_the_timeout_of_its_worker() {
    let config = quick().with_timeout(Duration::from_secs(10));
    let mut world = World::start(config, obedient()).await;
    let own = world.new_job(KIND).with_timeout(Duration::from_secs(30));
    let (own, none) = (world.put(own.unwrap()).await, world.enqueue().await);
    let job = world.until(none, JobStatus::Failed).await;
    let why = job.last_error().unwrap();
    assert_eq!(why, "the attempt took longer than its timeout of 10s");
    assert_eq!(world.job(own).await.status, JobStatus::Running);
    let job = world.until(own, JobStatus::Failed).await;
    assert_eq!(job.last_error(), Some(TOO_LONG));
    world.shut_down().await;
}

/// Somebody asked first: that it then was too slow as well changes nothing.
#[tokio::test(start_paused = true)]
async fn a_job_that_stops_for_a_shutdown_past_its_timeout_is_returned() {
    let handler = Scripted::new(|context, _| async move {
        context.stop.cancelled().await;
        tokio::time::sleep(100 * MS).await;
        context.proceed()
    });
    let mut world = World::start(quick().with_timeout(150 * MS), handler).await;
    let id = world.enqueue().await;
    tokio::time::sleep(100 * MS).await;
    world.shut_down().await;
    let job = world.job(id).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Queued, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_its_job_says_and_else_as_its_worker_does() {
    let handler =
        Scripted::silent(|_, _| async { Err(Error::new(ErrorKind::Unavailable, "not yet")) });
    let minute = Duration::from_secs(60);
    let config = quick().with_backoff(Backoff::new(minute, minute));
    let mut world = World::start(config, handler).await;
    let own = Backoff::new(60 * minute, 60 * minute);
    let own = world.new_job(KIND).with_backoff(own).unwrap();
    let now = world.clock.now();
    let (own, none) = (world.put(own).await, world.enqueue().await);
    // A delay is between half of its ceiling and the whole.
    for (id, wait) in [(own, 60 * minute), (none, minute)] {
        let job = world.until(id, JobStatus::Failed).await;
        let waits = Duration::try_from(job.run_at.duration_since(now)).unwrap();
        let range = wait / 2..=wait + Duration::from_secs(1);
        assert!(range.contains(&waits), "{waits:?} of {wait:?}");
    }
    world.shut_down().await;
}

#[test]
fn settings_that_cannot_work_are_refused() {
    const OTHER: JobKind = JobKind::known("other");
    let build = |config: ProcessorConfig, handlers: usize| {
        let ids = IdSource::seeded(1);
        let clock = std::sync::Arc::new(SystemClock);
        let store = std::sync::Arc::new(MemoryStore::new(clock.clone(), ids.clone()));
        let handlers = (0..handlers).map(|_| std::sync::Arc::new(obedient()) as _);
        Processor::new(store.clone(), store, handlers.collect(), config, clock, ids)
    };
    assert!(build(quick().with_kind_concurrency(KIND, 1), 1).is_ok());
    let wrong = [
        (quick(), 0),
        (quick(), 2),
        (quick().with_concurrency(0), 1),
        (quick().with_claim_batch(0), 1),
        (quick().with_timeout(Duration::ZERO), 1),
        (quick().with_poll_interval(Duration::ZERO), 1),
        (quick().with_lease_for(999 * MS), 1),
        (quick().with_kind_concurrency(KIND, 0), 1),
        (quick().with_kind_concurrency(OTHER, 1), 1),
    ];
    for (config, handlers) in wrong {
        let text = format!("{config:?}");
        let error = build(config, handlers).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
    }
    let error = build(quick().with_kind_concurrency(KIND, 0), 1).unwrap_err();
    let said = "jobs of kind test need room for one: to take none, leave its handler out";
    assert_eq!(error.to_string(), said);
}
