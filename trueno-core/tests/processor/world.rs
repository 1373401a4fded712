//! An organization, its jobs, and a processor whose handlers do what a test says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::clock::{Clock, SharedClock};
use trueno_core::error::Result;
use trueno_core::id::{IdSource, JobId, OrganizationId, UserId};
use trueno_core::model::{
    EventDraft, Job, JobKind, JobPayload, JobStatus, NewJob, NewOrganization,
};
use trueno_core::port::{JobQueue, TenantStore};
use trueno_core::retry::Backoff;
use trueno_core::runtime::{
    Completion, JobContext, JobHandler, JobMiddleware, Processor, ProcessorConfig,
};
use trueno_store_memory::MemoryStore;
use trueno_testkit::fault::{FaultPlan, FaultyQueue, FaultyStore};

use crate::watched::{Log, WatchedQueue};

pub(crate) const KIND: JobKind = JobKind::known("test");
/// Far more than any test needs: a guard against a hang, not a measure.
pub(crate) const HANG: Duration = Duration::from_secs(60);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// The time of day as tokio's timers have it, so that leases and retries follow a paused time.
#[derive(Debug)]
struct TimerClock(Instant);

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        Timestamp::constant(1_767_225_600, 0) + self.0.elapsed()
    }
}

type Script = Arc<dyn Fn(JobContext, u32) -> BoxFuture<'static, Result<Completion>> + Send + Sync>;

/// Does what its test says, and counts how often it was asked.
#[derive(Clone)]
pub(crate) struct Scripted {
    kind: JobKind,
    runs: Arc<AtomicU32>,
    script: Script,
}

impl Scripted {
    /// Ends with the event `test.done`.
    pub(crate) fn new<F, R>(script: F) -> Self
    where
        F: Fn(JobContext, u32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        Self::ending(script, |context| {
            let job = context.lease.reference().job;
            Completion::new(EventDraft::new("test.done", "job", job))
        })
    }

    /// Ends without effects.
    pub(crate) fn silent<F, R>(script: F) -> Self
    where
        F: Fn(JobContext, u32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        Self::ending(script, |_| Completion::without_effects())
    }

    /// Ends as `end` says.
    pub(crate) fn ending<F, R>(script: F, end: fn(&JobContext) -> Completion) -> Self
    where
        F: Fn(JobContext, u32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<()>> + Send + 'static,
    {
        let script: Script = Arc::new(move |context, run| {
            let running = script(context.clone(), run);
            Box::pin(async move {
                running.await?;
                Ok(end(&context))
            })
        });
        Self {
            kind: KIND,
            runs: Arc::default(),
            script,
        }
    }

    pub(crate) fn of(mut self, kind: JobKind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scripted({})", self.kind)
    }
}

#[async_trait]
impl JobHandler for Scripted {
    fn kind(&self) -> JobKind {
        self.kind.clone()
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        (self.script)(context.clone(), run).await
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: FaultPlan,
    pub(crate) processor: Arc<Processor>,
    pub(crate) running: Option<tokio::task::JoinHandle<()>>,
    pub(crate) clock: SharedClock,
    ids: IdSource,
    organization: OrganizationId,
    owner: Identity,
    runs: Vec<Arc<AtomicU32>>,
    stop: CancellationToken,
}

impl World {
    /// With a processor that runs.
    pub(crate) async fn start(config: ProcessorConfig, handler: Scripted) -> Self {
        let mut world = Self::prepare(config, vec![handler]).await;
        world.run();
        world
    }

    /// Everything but a running processor.
    pub(crate) async fn prepare(config: ProcessorConfig, handlers: Vec<Scripted>) -> Self {
        Self::layered(config, handlers, Vec::new()).await
    }

    pub(crate) async fn layered(
        config: ProcessorConfig,
        handlers: Vec<Scripted>,
        layers: Vec<Arc<dyn JobMiddleware>>,
    ) -> Self {
        let clock = Arc::new(TimerClock(Instant::now()));
        Self::by(clock, config, handlers, layers).await
    }

    /// By this clock, which the store's leases follow.
    pub(crate) async fn by(
        clock: SharedClock,
        config: ProcessorConfig,
        handlers: Vec<Scripted>,
        layers: Vec<Arc<dyn JobMiddleware>>,
    ) -> Self {
        let ids = IdSource::seeded(1);
        let store = Arc::new(MemoryStore::new(clock.clone(), ids.clone()));
        let now = clock.now();
        let (organization, user): (OrganizationId, UserId) = (ids.next(now), ids.next(now));
        let new = NewOrganization::new(organization, "test", user).unwrap();
        let event = EventDraft::new("organization.created", "organization", organization);
        store.create_organization(new, event).await.unwrap();
        let runs = handlers.iter().map(|handler| handler.runs.clone());
        let runs = runs.collect();
        let (faults, log) = (FaultPlan::new(), Arc::new(Log::default()));
        let watched = WatchedQueue {
            real: store.clone(),
            log: log.clone(),
        };
        let handlers = handlers.into_iter().map(|handler| Arc::new(handler) as _);
        let processor = Processor::new(
            Arc::new(FaultyQueue::new(Arc::new(watched), faults.clone())),
            Arc::new(FaultyStore::new(store.clone(), faults.clone())),
            handlers.collect(),
            config,
            clock.clone(),
            ids.clone(),
        );
        let processor = layers
            .into_iter()
            .fold(processor.unwrap(), Processor::with_middleware);
        Self {
            store,
            log,
            faults,
            processor: Arc::new(processor),
            running: None,
            clock,
            ids,
            organization,
            owner: Identity::authenticated(user),
            runs,
            stop: CancellationToken::new(),
        }
    }

    /// Another processor on the same store, with ids of its own.
    pub(crate) fn another(&self, seed: u64, handler: Scripted) -> Processor {
        let (queue, store) = (self.store.clone(), self.store.clone());
        let (handlers, ids) = (vec![Arc::new(handler) as _], IdSource::seeded(seed));
        Processor::new(queue, store, handlers, quick(), self.clock.clone(), ids).unwrap()
    }

    pub(crate) fn run(&mut self) {
        let (processor, stopped) = (self.processor.clone(), self.stop.clone());
        self.running = Some(tokio::spawn(async move { processor.run(stopped).await }));
    }

    /// How often the handlers were asked to run a job.
    pub(crate) fn runs(&self) -> u32 {
        self.runs
            .iter()
            .map(|runs| runs.load(Ordering::SeqCst))
            .sum()
    }

    pub(crate) async fn scope(&self, action: Action) -> OrgScope {
        authorize(self.store.as_ref(), &self.owner, self.organization, action)
            .await
            .unwrap()
    }

    pub(crate) fn new_job(&self, kind: JobKind) -> NewJob {
        let payload = JobPayload {
            version: 1,
            body: json!({}),
        };
        NewJob::new(self.ids.next(self.clock.now()), kind, payload).unwrap()
    }

    pub(crate) async fn enqueue(&self) -> JobId {
        self.put(self.new_job(KIND)).await
    }

    pub(crate) async fn put(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.put_all(vec![job]).await;
        id
    }

    pub(crate) async fn enqueue_many(&self, kind: &JobKind, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.new_job(kind.clone())).collect();
        let ids = jobs.iter().map(|job| job.id).collect();
        self.put_all(jobs).await;
        ids
    }

    async fn put_all(&self, jobs: Vec<NewJob>) {
        let scope = self.scope(Action::Scan).await;
        self.store.enqueue(&scope, jobs).await.unwrap();
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        let scope = self.scope(Action::Read).await;
        let mut view = self.store.read(&scope).await.unwrap();
        view.job(id).await.unwrap()
    }

    pub(crate) async fn until(&self, id: JobId, wanted: JobStatus) -> Job {
        tokio::time::timeout(HANG, async {
            loop {
                let job = self.job(id).await;
                if job.status == wanted {
                    return job;
                }
                tokio::time::sleep(MS).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the job never became {wanted}"))
    }

    pub(crate) async fn until_all(&self, ids: &[JobId], wanted: JobStatus) {
        for &id in ids {
            self.until(id, wanted).await;
        }
    }

    /// Tells the processor to stop, and sees that it does.
    pub(crate) async fn shut_down(&mut self) {
        self.stop.cancel();
        let running = self.running.take().expect("it runs");
        tokio::time::timeout(HANG, running)
            .await
            .expect("it shuts down")
            .unwrap();
    }
}

pub(crate) fn quick() -> ProcessorConfig {
    ProcessorConfig::new("test")
        .with_poll_interval(10 * MS)
        .with_stop_grace(200 * MS)
        .with_backoff(Backoff::new(MS, 5 * MS))
}
