//! The processor over the memory store, with handlers that do what handlers should not.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::clock::{Clock, SystemClock};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{IdSource, JobId, OrganizationId, UserId};
use trueno_core::model::{
    EventDraft, Job, JobKind, JobPayload, JobStatus, NewJob, NewOrganization,
};
use trueno_core::port::{AuditOutbox, CancelOutcome, JobQueue, TenantStore};
use trueno_core::retry::Backoff;
use trueno_core::runtime::{Completion, JobContext, JobHandler, Processor, ProcessorConfig};
use trueno_store_memory::MemoryStore;
use trueno_testkit::fault::{Fault, FaultPlan, FaultyQueue, FaultyStore};

const KIND: JobKind = JobKind::known("test");
/// Far more than any test needs: a guard against a hang, not a measure.
const HANG: Duration = Duration::from_secs(60);

type Script =
    Arc<dyn Fn(JobContext, u32) -> futures::future::BoxFuture<'static, Result<()>> + Send + Sync>;

/// Does what its test says, and counts how often it was asked.
#[derive(Clone)]
struct Scripted {
    runs: Arc<AtomicU32>,
    script: Script,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl JobHandler for Scripted {
    fn kind(&self) -> JobKind {
        KIND
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        (self.script)(context.clone(), run).await?;
        let job = context.lease.reference().job;
        Ok(Completion::new(EventDraft::new("test.done", "job", job)))
    }
}

struct World {
    store: Arc<MemoryStore>,
    ids: IdSource,
    organization: OrganizationId,
    owner: Identity,
    runs: Arc<AtomicU32>,
    faults: FaultPlan,
    processor: Arc<Processor>,
    stop: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn start<F, R>(config: ProcessorConfig, script: F) -> Self
    where
        F: Fn(JobContext, u32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        let mut world = Self::prepare(config, script).await;
        world.run();
        world
    }

    /// Everything but a running processor.
    async fn prepare<F, R>(config: ProcessorConfig, script: F) -> Self
    where
        F: Fn(JobContext, u32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        let ids = IdSource::seeded(1);
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), ids.clone()));
        let now = SystemClock.now();
        let (organization, user): (OrganizationId, UserId) = (ids.next(now), ids.next(now));
        let new = NewOrganization::new(organization, "test", user).unwrap();
        let event = EventDraft::new("organization.created", "organization", organization);
        store.create_organization(new, event).await.unwrap();
        let runs = Arc::new(AtomicU32::new(0));
        let script: Script = Arc::new(move |context, run| Box::pin(script(context, run)));
        let handler = Scripted {
            runs: runs.clone(),
            script,
        };
        let faults = FaultPlan::new();
        let processor = Processor::new(
            Arc::new(FaultyQueue::new(store.clone(), faults.clone())),
            Arc::new(FaultyStore::new(store.clone(), faults.clone())),
            vec![Arc::new(handler)],
            config,
            Arc::new(SystemClock),
            ids.clone(),
        )
        .unwrap();
        Self {
            store,
            ids,
            organization,
            owner: Identity::authenticated(user),
            runs,
            faults,
            processor: Arc::new(processor),
            stop: CancellationToken::new(),
            running: None,
        }
    }

    fn run(&mut self) {
        let (processor, stopped) = (self.processor.clone(), self.stop.clone());
        self.running = Some(tokio::spawn(async move { processor.run(stopped).await }));
    }

    async fn scope(&self, action: Action) -> OrgScope {
        authorize(self.store.as_ref(), &self.owner, self.organization, action)
            .await
            .unwrap()
    }

    async fn enqueue(&self) -> JobId {
        let id = self.ids.next(SystemClock.now());
        let payload = JobPayload {
            version: 1,
            body: json!({}),
        };
        let job = NewJob::new(id, KIND, payload).unwrap();
        self.store
            .enqueue(&self.scope(Action::Scan).await, vec![job])
            .await
            .unwrap();
        id
    }

    async fn job(&self, id: JobId) -> Job {
        let scope = self.scope(Action::Read).await;
        self.store
            .read(&scope)
            .await
            .unwrap()
            .job(id)
            .await
            .unwrap()
    }

    async fn until(&self, id: JobId, wanted: JobStatus) -> Job {
        tokio::time::timeout(HANG, async {
            loop {
                let job = self.job(id).await;
                if job.status == wanted {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the job never became {wanted}"))
    }

    async fn shut_down(&mut self) {
        self.stop.cancel();
        let running = self.running.take().expect("it runs");
        tokio::time::timeout(HANG, running)
            .await
            .expect("it shuts down")
            .unwrap();
    }
}

fn quick() -> ProcessorConfig {
    ProcessorConfig::new("test")
        .with_poll_interval(Duration::from_millis(10))
        .with_stop_grace(Duration::from_millis(200))
        .with_backoff(Backoff::new(
            Duration::from_millis(1),
            Duration::from_millis(5),
        ))
}

#[tokio::test]
async fn a_job_runs_once_and_its_event_is_staged() {
    let mut world = World::start(quick(), |_, _| async { Ok(()) }).await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs.load(Ordering::SeqCst), 1);
    let events = world.store.staged(100).await.unwrap();
    let done: Vec<_> = events
        .iter()
        .filter(|event| event.action == "test.done")
        .collect();
    assert_eq!(done.len(), 1, "P2: the end and its event are one");
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    let mut world = World::start(quick(), |_, run| async move {
        if run == 1 {
            Err(Error::new(ErrorKind::Unavailable, "not yet"))
        } else {
            Ok(())
        }
    })
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!(job.failed_attempts, 1);
    world.shut_down().await;
}

#[tokio::test]
async fn a_failure_that_stays_is_not_tried_again() {
    let mut world = World::start(quick(), |_, _| async {
        Err(Error::new(ErrorKind::Denied, "the role does not let us in"))
    })
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!(job.failed_attempts, 1);
    assert_eq!(
        job.last_error.as_deref(),
        Some("the role does not let us in")
    );
    world.shut_down().await;
    assert_eq!(world.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_harms_no_other_job() {
    let mut world = World::start(quick(), |_, run| async move {
        assert!(run > 2, "planted panic of run {run}");
        Ok(())
    })
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Dead).await;
    assert_eq!(job.failed_attempts, 2);
    let next = world.enqueue().await;
    world.until(next, JobStatus::Succeeded).await;
    world.shut_down().await;
}

#[tokio::test]
async fn a_shutdown_returns_what_stops_and_counts_no_attempt() {
    let mut world = World::start(quick(), |context, _| async move {
        context.stop.cancelled().await;
        Err(Error::new(ErrorKind::Cancelled, "stopped"))
    })
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
    let mut world = World::start(quick(), |_, _| async {
        // Blocks its thread, which no abort can end.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    })
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    world.shut_down().await;
    let job = world.job(id).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Queued, 0));
}

#[tokio::test]
async fn a_shutdown_lets_what_ends_in_time_end() {
    let mut world = World::start(quick(), |context, _| async move {
        context.stop.cancelled().await;
        Ok(())
    })
    .await;
    let id = world.enqueue().await;
    world.until(id, JobStatus::Running).await;
    world.shut_down().await;
    assert_eq!(world.job(id).await.status, JobStatus::Succeeded);
}

#[tokio::test]
async fn a_cancelled_job_stops_with_the_next_heartbeat() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::start(config, |context, _| async move {
        context.stop.cancelled().await;
        Err(Error::new(ErrorKind::Cancelled, "stopped"))
    })
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

#[tokio::test]
async fn heartbeats_keep_a_job_that_outlives_its_first_lease() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::start(config, |_, _| async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        Ok(())
    })
    .await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.lost_leases, job.failed_attempts), (0, 0));
    world.shut_down().await;
    assert_eq!(
        world.runs.load(Ordering::SeqCst),
        1,
        "P3: nobody else took it"
    );
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_there_is_room_for() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counts, peak) = (now.clone(), most.clone());
    let mut world = World::start(quick().with_concurrency(3), move |_, _| {
        let (now, most) = (counts.clone(), peak.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    })
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
#[tokio::test]
async fn a_job_whose_claim_was_never_heard_of_is_given_back_and_runs() {
    let config = quick().with_lease_for(Duration::from_secs(1));
    let mut world = World::prepare(config, |_, _| async { Ok(()) }).await;
    let id = world.enqueue().await;
    let lost = Fault::After(ErrorKind::Unavailable);
    world.faults.fail("job_queue.claim", 1, lost);
    world.run();
    let job = world.until(id, JobStatus::Succeeded).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (0, 0));
    world.shut_down().await;
    assert_eq!(world.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_end_that_the_store_does_not_take_is_told_again_until_it_does() {
    let mut world = World::prepare(quick(), |_, _| async { Ok(()) }).await;
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
    assert_eq!(world.runs.load(Ordering::SeqCst), 1);
    let events = world.store.staged(100).await.unwrap();
    let done = events.iter().filter(|event| event.action == "test.done");
    assert_eq!(
        done.count(),
        1,
        "P2: applied once, however often it was told"
    );
}

/// The store stops answering just when the processor is told to stop.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_store_that_does_not_answer() {
    let mut world = World::start(quick(), |context, _| async move {
        context.stop.cancelled().await;
        Ok(())
    })
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
