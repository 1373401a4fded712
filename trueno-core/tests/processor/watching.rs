//! Layers around handlers, and what a processor says of itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::JobStatus;
use trueno_core::runtime::{Completion, JobContext, JobMiddleware, Next};
use trueno_testkit::fault::Fault;

use crate::world::{MS, Scripted, World, quick};

type Steps = Arc<Mutex<Vec<String>>>;

/// Notes when a job comes through and when it comes back.
#[derive(Debug)]
struct Noted(&'static str, Steps);

impl Noted {
    fn note(&self, what: &str) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}

#[async_trait]
impl JobMiddleware for Noted {
    async fn run(&self, context: &JobContext, next: Next<'_>) -> Result<Completion> {
        self.note("in");
        let ended = next.run(context).await;
        self.note(if ended.is_ok() { "done" } else { "failed" });
        ended
    }
}

#[tokio::test(start_paused = true)]
async fn layers_lie_around_the_handler_in_the_order_in_which_they_were_added() {
    let steps = Steps::default();
    let seen = steps.clone();
    let handler = Scripted::silent(move |_, run| {
        seen.lock().unwrap().push(format!("run {run}"));
        async move {
            if run == 1 {
                return Err(Error::new(ErrorKind::Unavailable, "not yet"));
            }
            Ok(())
        }
    });
    let layer = |name| Arc::new(Noted(name, steps.clone())) as Arc<dyn JobMiddleware>;
    let layers = vec![layer("outer"), layer("inner")];
    let mut world = World::layered(quick(), vec![handler], layers).await;
    let id = world.enqueue().await;
    world.run();
    world.until(id, JobStatus::Succeeded).await;
    world.shut_down().await;
    let expected = [
        "outer in",
        "inner in",
        "run 1",
        "inner failed",
        "outer failed",
        "outer in",
        "inner in",
        "run 2",
        "inner done",
        "outer done",
    ];
    assert_eq!(*steps.lock().unwrap(), expected);
}

/// Answers in the handler's place; panics first.
#[derive(Debug)]
struct Closed(Mutex<bool>);

#[async_trait]
impl JobMiddleware for Closed {
    async fn run(&self, _: &JobContext, _: Next<'_>) -> Result<Completion> {
        let first = std::mem::replace(&mut *self.0.lock().unwrap(), false);
        assert!(!first, "planted panic of a layer");
        Err(Error::new(ErrorKind::Denied, "closed today"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_may_answer_for_the_handler_and_its_panic_is_a_failed_attempt() {
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let layers = vec![Arc::new(Closed(Mutex::new(true))) as Arc<dyn JobMiddleware>];
    let mut world = World::layered(quick(), vec![handler], layers).await;
    let id = world.enqueue().await;
    world.run();
    let job = world.until(id, JobStatus::Failed).await;
    assert_eq!(job.last_error(), Some("the job's handler panicked"));
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!(job.last_error(), Some("closed today"));
    assert_eq!(world.runs(), 0);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_says_how_it_does() {
    let handler = Scripted::new(|context, _| async move {
        context.stop.cancelled().await;
        tokio::time::sleep(100 * MS).await;
        Ok(())
    });
    let mut world = World::prepare(quick(), vec![handler]).await;
    let status = world.processor.status();
    assert!(!status.is_live() && !status.is_ready() && !status.is_shutting_down());
    assert_eq!((status.running(), status.since_claim()), (0, None));
    world.run();
    let ids = [world.enqueue().await, world.enqueue().await];
    world.until_all(&ids, JobStatus::Running).await;
    tokio::time::sleep(20 * MS).await;
    assert!(status.is_live() && status.is_ready() && !status.is_shutting_down());
    assert_eq!(status.running(), 2);
    assert!(status.since_claim().unwrap() <= 12 * MS);
    let watcher = tokio::spawn({
        let status = status.clone();
        async move {
            while !status.is_shutting_down() {
                tokio::time::sleep(MS).await;
            }
            (status.is_live(), status.is_ready(), status.running())
        }
    });
    world.shut_down().await;
    assert_eq!(
        watcher.await.unwrap(),
        (true, false, 2),
        "while it shuts down"
    );
    assert!(!status.is_live() && !status.is_ready() && status.is_shutting_down());
    assert_eq!(status.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_once_no_claim_succeeded_for_as_long_as_a_lease_lasts() {
    let lease = Duration::from_secs(5);
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let config = quick().with_lease_for(lease).with_poll_interval(100 * MS);
    let mut world = World::prepare(config, vec![handler]).await;
    for nth in 2..=200 {
        let down = Fault::Before(ErrorKind::Unavailable);
        world.faults.fail("job_queue.claim", nth, down);
    }
    world.run();
    let status = world.processor.status();
    tokio::time::sleep(lease / 2).await;
    assert!(
        status.is_ready(),
        "the last one that succeeded is not that old"
    );
    tokio::time::sleep(lease).await;
    assert!(!status.is_ready(), "heartbeats go on, and bring no jobs");
    assert!(status.since_heartbeat().unwrap() < lease);
    assert!(status.is_live(), "a restart would not help");
    tokio::time::sleep(lease * 4).await;
    assert!(status.is_ready(), "the queue answers again");
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_while_every_place_is_taken_for_longer_than_a_lease_lasts() {
    let lease = Duration::from_secs(1);
    let handler = Scripted::silent(|_, _| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(())
    });
    let config = quick().with_lease_for(lease).with_concurrency(1);
    let mut world = World::start(config, handler).await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    tokio::time::sleep(lease * 5).await;
    let status = world.processor.status();
    assert!(status.since_claim().unwrap() > lease);
    assert!(status.is_ready() && status.is_live());
    world.shut_down().await;
}

/// A claim that never comes back brings no jobs, whatever heartbeats say.
#[tokio::test(start_paused = true)]
async fn it_is_not_ready_while_a_claim_hangs() {
    let lease = Duration::from_secs(1);
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let mut world = World::prepare(quick().with_lease_for(lease), vec![handler]).await;
    let hang = Fault::Delay(Duration::from_secs(3_600));
    world.faults.fail("job_queue.claim", 2, hang);
    world.run();
    let status = world.processor.status();
    tokio::time::sleep(lease / 2).await;
    assert!(status.is_ready());
    tokio::time::sleep(lease * 2).await;
    assert!(!status.is_ready() && status.is_live());
    world.shut_down().await;
}
