//! Handlers that block the threads that run them.

use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trueno_core::model::{Job, JobStatus};
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::port::{AuditOutbox, JobQueue, Recovered};
use trueno_core::state::job::LOST_LEASE_LIMIT;
use trueno_testkit::clock::ManualClock;

use crate::world::{HANG, KIND, MS, Scripted, World, quick};

/// Holds threads back, not tasks, until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn wait(&self) {
        let (open, opened) = &*self.0;
        let waited = opened.wait_timeout_while(open.lock().unwrap(), HANG, |open| !*open);
        assert!(!waited.unwrap().1.timed_out(), "nobody opened the gate");
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Waits without a timer of the runtime, which is what may have stopped.
fn until(what: &str, done: impl Fn() -> bool) {
    let mut waited = Duration::ZERO;
    while !done() {
        assert!(waited < HANG / 2, "waited too long until {what}");
        std::thread::sleep(MS);
        waited += MS;
    }
}

/// The thread that waited for timers is the one that runs the handler: it found the job by a timer.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn heartbeats_go_on_while_a_handler_blocks_its_thread() {
    let gate = Gate::default();
    let held = gate.clone();
    let handler = Scripted::silent(move |_, _| {
        let held = held.clone();
        async move {
            held.wait();
            Ok(())
        }
    });
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::start(config, handler).await;
    let run_at = world.clock.now() + 100 * MS;
    let id = world.put(world.new_job(KIND).with_run_at(run_at)).await;
    until("the handler blocks", || world.runs() == 1);
    let before = world.faults.calls("job_queue.heartbeat");
    until("more than a lease has passed", || {
        world.faults.calls("job_queue.heartbeat") >= before + 5
    });
    assert!(world.processor.status().is_live());
    gate.open();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.lost_leases, world.runs()), (0, 1));
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_is_given_up_at_its_timeout_and_others_go_on() {
    let gate = Gate::default();
    let held = gate.clone();
    let handler = Scripted::new(move |_, run| {
        let held = held.clone();
        async move {
            if run == 1 {
                held.wait();
            }
            Ok(())
        }
    });
    let mut world = World::start(quick(), handler).await;
    let job = world.new_job(KIND).with_timeout(100 * MS).unwrap();
    let id = world.put(job).await;
    until("the handler blocks", || world.runs() == 1);
    let others = world.enqueue_many(&KIND, 3).await;
    world.until_all(&others, JobStatus::Succeeded).await;
    let job = world.until(id, JobStatus::Succeeded).await;
    let why = "the attempt took longer than its timeout of 100ms";
    assert_eq!(errors(&job), [why]);
    assert_eq!((job.failed_attempts, job.lost_leases), (1, 0));
    assert_eq!(world.runs(), 5, "the first one blocks still");
    gate.open();
    world.shut_down().await;
    assert_eq!(
        done(&world).await,
        4,
        "P3: what it was given up in is no end"
    );
}

/// A worker that is one thread: what blocks its handler blocks its heartbeats too.
struct Worker {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    fn start(world: &World, nth: u32, handler: Scripted) -> Self {
        let processor = world.another(u64::from(nth) + 100, handler);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(processor.run(stopped));
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.cancel();
        self.thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_job_that_blocks_every_worker_is_taken_from_each_and_dead_in_the_end() {
    let clock = ManualClock::default();
    let gate = Gate::default();
    let (begun, begins) = mpsc::channel();
    let held = gate.clone();
    let handler = Scripted::new(move |_, _| {
        let (held, begun) = (held.clone(), begun.clone());
        async move {
            begun.send(()).unwrap();
            held.wait();
            Ok(())
        }
    });
    let unused = Scripted::silent(|_, _| async { Ok(()) });
    let world = World::by(clock.shared(), quick(), vec![unused], Vec::new()).await;
    let id = world.enqueue().await;
    let mut workers = Vec::new();
    for nth in 1..=LOST_LEASE_LIMIT {
        workers.push(Worker::start(&world, nth, handler.clone()));
        begins.recv_timeout(HANG).expect("the worker runs the job");
        clock.advance(Duration::from_secs(31));
        let dead = u64::from(nth == LOST_LEASE_LIMIT);
        let mut wanted = Recovered::default();
        (wanted.requeued, wanted.dead) = (1 - dead, dead);
        let recovered = world.store.recover_expired(10).await.unwrap();
        assert_eq!(recovered, wanted, "after {nth} workers");
    }
    gate.open();
    // Workers that were taken for dead go on, under sessions that are new.
    let other = world.enqueue().await;
    world.until(other, JobStatus::Succeeded).await;
    for worker in workers {
        worker.end();
    }
    let job = world.job(id).await;
    assert_eq!(
        (job.status, job.lost_leases, job.failed_attempts),
        (JobStatus::Dead, LOST_LEASE_LIMIT, 0)
    );
    assert_eq!(errors(&job), [CRASH_LOOPED]);
    assert_eq!(done(&world).await, 1, "P3: no late end counts");
}

fn errors(job: &Job) -> Vec<&str> {
    job.errors
        .iter()
        .map(|error| error.error.as_str())
        .collect()
}

/// How many ends were applied.
async fn done(world: &World) -> usize {
    let events = world.store.staged(100).await.unwrap();
    let done = events.iter().filter(|event| event.action == "test.done");
    done.count()
}
