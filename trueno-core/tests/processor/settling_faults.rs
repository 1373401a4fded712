//! Successes without effects, and a queue that does not take them.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::JobStatus;
use trueno_testkit::fault::Fault;

use crate::world::{KIND, MS, Scripted, World, quick};

fn nothing_to_do() -> Scripted {
    Scripted::silent(|_, _| async { Ok(()) })
}

/// Longer than two leases: heartbeats keep what is not told yet, and take none of it for unknown.
#[tokio::test(start_paused = true)]
async fn what_the_queue_does_not_take_is_told_again_and_never_run_again() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![nothing_to_do()]).await;
    for nth in 1..=8 {
        let kinds = [ErrorKind::Unavailable, ErrorKind::StorageFull];
        let down = Fault::Before(kinds[usize::from(nth > 4)]);
        world.faults.fail("job_queue.settle", nth, down);
    }
    let jobs = world.enqueue_many(&KIND, 3).await;
    let begin = tokio::time::Instant::now();
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    assert!(begin.elapsed() > Duration::from_secs(3));
    for job in jobs {
        let job = world.job(job).await;
        assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    }
    world.shut_down().await;
    assert_eq!(world.runs(), 3);
    assert_eq!(world.faults.calls("job_queue.settle"), 9);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_asked_for_again() {
    let mut world = World::prepare(quick(), vec![nothing_to_do()]).await;
    let lost = Fault::After(ErrorKind::Unavailable);
    world.faults.fail("job_queue.settle", 1, lost);
    let jobs = world.enqueue_many(&KIND, 3).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.shut_down().await;
    assert_eq!(world.runs(), 3);
    assert_eq!(world.log.settled().len(), 2, "once lost, once answered");
    assert_eq!(world.faults.calls("tenant_store.finish"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_stale_lease_in_a_batch_is_dropped_and_the_others_are_settled() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![nothing_to_do()]).await;
    let jobs = world.enqueue_many(&KIND, 3).await;
    world.log.mistake(jobs[1]);
    world.run();
    world.until(jobs[0], JobStatus::Succeeded).await;
    world.until(jobs[2], JobStatus::Succeeded).await;
    assert_eq!(world.log.settled().len(), 1);
    assert_eq!(world.job(jobs[1]).await.status, JobStatus::Running);
    // Its place is given up, so heartbeats find that nobody runs it.
    let job = world.until(jobs[1], JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    assert_eq!(world.runs(), 4);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn one_success_that_is_refused_spoils_no_other() {
    let mut world = World::prepare(quick(), vec![nothing_to_do()]).await;
    let jobs = world.enqueue_many(&KIND, 4).await;
    world.log.refuse(jobs[2]);
    world.run();
    for nth in [0, 1, 3] {
        let job = world.until(jobs[nth], JobStatus::Succeeded).await;
        assert_eq!(job.failed_attempts, 0);
    }
    let bad = world.until(jobs[2], JobStatus::Dead).await;
    let why = bad.last_error().unwrap();
    assert!(why.starts_with("the result was refused: "), "{why}");
    world.shut_down().await;
    assert_eq!(world.runs(), 4, "none ran again");
    let sizes: Vec<usize> = world
        .log
        .settled()
        .iter()
        .map(|one| one.jobs.len())
        .collect();
    assert_eq!(sizes, [4, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_panics_while_it_settles_is_asked_again() {
    let mut world = World::prepare(quick(), vec![nothing_to_do()]).await;
    world.log.panic_once();
    let jobs = world.enqueue_many(&KIND, 3).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    let later = world.enqueue().await;
    world.until(later, JobStatus::Succeeded).await;
    world.shut_down().await;
    assert_eq!(world.runs(), 4);
}

/// The batch hangs; the queue is asked again, and nothing behind it waits for ever.
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_is_asked_again() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![nothing_to_do()]).await;
    let hang = Fault::Delay(Duration::from_secs(3_600));
    world.faults.fail("job_queue.settle", 1, hang);
    let id = world.enqueue().await;
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!(job.lost_leases, 0);
    assert_eq!(world.runs(), 1);
    world.shut_down().await;
}

/// The session is lost while successes wait to be told: another run counts, not theirs.
#[tokio::test(start_paused = true)]
async fn what_lost_its_lease_is_not_told_any_more() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, vec![nothing_to_do()]).await;
    let down = || Fault::Before(ErrorKind::Unavailable);
    // Claims extend leases as heartbeats do.
    for nth in 1..=250 {
        world.faults.fail("job_queue.heartbeat", nth, down());
        world.faults.fail("job_queue.claim", nth + 1, down());
    }
    for nth in 1..=6 {
        world.faults.fail("job_queue.settle", nth, down());
    }
    let id = world.enqueue().await;
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 1));
    world.shut_down().await;
    assert_eq!(world.runs(), 2);
    tokio::time::sleep(10 * MS).await;
    assert_eq!(
        world.log.settled().len(),
        1,
        "P3: only the holder of the lease tells"
    );
}
