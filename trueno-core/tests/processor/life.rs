//! What becomes of jobs whose handlers have effects, and of a processor that is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use trueno_core::access::Action;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::model::JobStatus;
use trueno_core::port::{AuditOutbox, CancelOutcome, JobQueue, TenantStore};
use trueno_core::runtime::ProcessorConfig;
use trueno_testkit::fault::Fault;

use crate::world::{HANG, Scripted, World, quick};

#[tokio::test(start_paused = true)]
async fn a_job_runs_once_and_its_event_is_staged() {
    let mut world = World::start(quick(), Scripted::new(|_, _| async { Ok(()) })).await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
    let events = world.store.staged(100).await.unwrap();
    let done: Vec<_> = events
        .iter()
        .filter(|event| event.action == "test.done")
        .collect();
    assert_eq!(done.len(), 1, "P2: the end and its event are one");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again() {
    let mut world = World::start(
        quick(),
        Scripted::new(|_, run| async move {
            if run == 1 {
                Err(Error::new(ErrorKind::Unavailable, "not yet"))
            } else {
                Ok(())
            }
        }),
    )
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!(job.failed_attempts, 1);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_stays_is_not_tried_again() {
    let mut world = World::start(
        quick(),
        Scripted::new(|_, _| async {
            Err(Error::new(ErrorKind::Denied, "the role does not let us in"))
        }),
    )
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!(job.failed_attempts, 1);
    assert_eq!(job.last_error(), Some("the role does not let us in"));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_harms_no_other_job() {
    let mut world = World::start(
        quick(),
        Scripted::new(|_, run| async move {
            assert!(run > 2, "planted panic of run {run}");
            Ok(())
        }),
    )
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!(job.failed_attempts, 2);
    let next = world.enqueue().await;
    world.until(next, JobStatus::Succeeded).await;
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_returns_what_stops_and_counts_no_attempt() {
    let mut world = World::start(
        quick(),
        Scripted::new(|context, _| async move {
            context.stop.cancelled().await;
            Err(Error::new(ErrorKind::Cancelled, "stopped"))
        }),
    )
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    world.shut_down().await;
    let job = world.job(id).await;
    assert_eq!(
        (job.status, job.failed_attempts, job.lost_leases),
        (JobStatus::Queued, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_does_not_wait_for_a_job_that_ignores_it() {
    let mut world = World::start(
        quick(),
        Scripted::new(|_, _| async {
            // Blocks its thread, which no abort can end.
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        }),
    )
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    world.shut_down().await;
    let job = world.job(id).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Queued, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_what_ends_in_time_end() {
    let mut world = World::start(
        quick(),
        Scripted::new(|context, _| async move {
            context.stop.cancelled().await;
            Ok(())
        }),
    )
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    world.shut_down().await;
    assert_eq!(world.job(id).await.status, JobStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_with_the_next_heartbeat() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::start(
        config,
        Scripted::new(|context, _| async move {
            context.stop.cancelled().await;
            Err(Error::new(ErrorKind::Cancelled, "stopped"))
        }),
    )
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    let scope = world.scope(Action::Scan).await;
    assert_eq!(
        world.store.cancel(&scope, id).await.unwrap(),
        CancelOutcome::Requested
    );
    world.until(id, JobStatus::Cancelled).await;
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_that_does_not_stop_is_dropped_and_cancelled() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let handler = Scripted::new(|_, _| std::future::pending());
    let mut world = World::start(config, handler).await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    let scope = world.scope(Action::Scan).await;
    world.store.cancel(&scope, id).await.unwrap();
    let job = world.until(id, JobStatus::Cancelled).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_job_that_outlives_its_first_lease() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::start(
        config,
        Scripted::new(|_, _| async {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            Ok(())
        }),
    )
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.lost_leases, job.failed_attempts), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1, "P3: nobody else took it");
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_at_once_than_there_is_room_for() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counts, peak) = (now.clone(), most.clone());
    let mut world = World::start(
        quick().with_concurrency(3),
        Scripted::new(move |_, _| {
            let (now, most) = (counts.clone(), peak.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }),
    )
    .await;
    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(world.enqueue().await);
    }
    for job in jobs {
        world.until(job, JobStatus::Succeeded).await;
    }
    world.shut_down().await;
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

/// The queue handed the job out, and nobody heard: every heartbeat extends its lease all the same.
#[tokio::test(start_paused = true)]
async fn a_job_whose_claim_was_never_heard_of_is_given_back_and_runs() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![Scripted::new(|_, _| async { Ok(()) })]).await;
    let id = world.enqueue().await;
    let lost = Fault::After(ErrorKind::Unavailable);
    world.faults.fail("job_queue.claim", 1, lost);
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_store_does_not_take_is_told_again_until_it_does() {
    let mut world = World::prepare(quick(), vec![Scripted::new(|_, _| async { Ok(()) })]).await;
    let id = world.enqueue().await;
    for nth in 1..=4 {
        let down = Fault::Before(ErrorKind::Unavailable);
        world.faults.fail("tenant_store.finish", nth, down);
    }
    world.faults.fail(
        "tenant_store.finish",
        5,
        Fault::After(ErrorKind::Unavailable),
    );
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
    let events = world.store.staged(100).await.unwrap();
    let done = events.iter().filter(|event| event.action == "test.done");
    assert_eq!(
        done.count(),
        1,
        "P2: applied once, however often it was told"
    );
}

/// Somebody has to make room first. That is no fault of the job, and no attempt of it failed.
#[tokio::test(start_paused = true)]
async fn a_store_without_room_is_told_again_until_it_has_some() {
    let mut world = World::prepare(quick(), vec![Scripted::new(|_, _| async { Ok(()) })]).await;
    let id = world.enqueue().await;
    for nth in 1..=9 {
        let full = Fault::Before(ErrorKind::StorageFull);
        world.faults.fail("tenant_store.finish", nth, full);
    }
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
}

/// The store stops answering just when the processor is told to stop.
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_store_that_does_not_answer() {
    let mut world = World::start(
        quick(),
        Scripted::new(|context, _| async move {
            context.stop.cancelled().await;
            Ok(())
        }),
    )
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    // Longer than the guard of `shut_down`: it would fire if the shutdown waited.
    let hang = Fault::Delay(HANG * 10);
    world.faults.fail_next("tenant_store.finish", hang);
    world.shut_down().await;
    assert_eq!(
        world.job(id).await.status,
        JobStatus::Running,
        "its lease runs out"
    );
}

/// Dropped, not told to stop: nobody is left who could hold the jobs' places.
#[tokio::test(start_paused = true)]
async fn a_processor_that_is_dropped_drops_its_jobs() {
    let (gone, hears) = tokio::sync::oneshot::channel::<()>();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let handler = Scripted::new(move |_, _| {
        let held = gone.lock().unwrap().take();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        }
    });
    let mut world = World::start(quick(), handler).await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    let running = world.running.take().expect("it runs");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let dropped = tokio::time::timeout(HANG, hears).await;
    assert!(dropped.expect("the handler is dropped").is_err());
}

#[tokio::test(start_paused = true)]
async fn what_ended_long_ago_is_forgotten_and_dead_letters_are_not() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let config = ProcessorConfig::new("test").with_retention(Some(2 * HOUR));
    let script = Scripted::new(|_, run| async move {
        match run {
            1 => Ok(()),
            _ => Err(Error::new(ErrorKind::Denied, "never")),
        }
    });
    let mut world = World::start(config, script).await;
    let done = world.enqueue().await;
    world.until(done, JobStatus::Succeeded).await;
    let dead = world.enqueue().await;
    world.until(dead, JobStatus::Dead).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.job(done).await.status, JobStatus::Succeeded);
    tokio::time::sleep(HOUR + HOUR / 4).await;
    let scope = world.scope(Action::Read).await;
    let mut view = world.store.read(&scope).await.unwrap();
    let forgotten = view.job(done).await.unwrap_err();
    assert_eq!(forgotten.kind(), ErrorKind::NotFound);
    assert_eq!(view.job(dead).await.unwrap().status, JobStatus::Dead);
    world.shut_down().await;
}
