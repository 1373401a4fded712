//! What every bench starts from: a database with organizations, jobs in it, and processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection as _, Executor as _, Row as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trueno_core::clock::SystemClock;
use trueno_core::error::Result;
use trueno_core::id::IdSource;
use trueno_core::model::{JobKind, JobPayload, NewJob, OrganizationLimits};
use trueno_core::port::JobQueue as _;
use trueno_core::runtime::{Completion, JobContext, JobHandler, Processor, ProcessorConfig};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{Tenant, World};

use crate::support::{self, Database};

pub(crate) const KIND: JobKind = JobKind::known("bench.nothing");

/// A fresh database with a store on it.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let database = Database::migrated(&support::keys()).await;
        let config = database.config().with_max_connections(8);
        let harness = support::harness_of(database, config).await;
        Self {
            database: harness.database.borrowed(),
            store: harness.store.clone(),
            world: World::new(harness).await,
        }
    }

    /// An organization with a cap, so that running jobs are counted.
    pub(crate) async fn organization(&self) -> Tenant {
        let tenant = self.world.organization().await;
        let limits = OrganizationLimits::default()
            .with_max_running(10_000)
            .unwrap();
        self.store.set_limits(tenant.id, &limits).await.unwrap();
        tenant
    }

    /// Enqueues jobs that do nothing, through the port, in batches.
    pub(crate) async fn enqueue(&self, tenant: &Tenant, jobs: usize) {
        for from in (0..jobs).step_by(1_000) {
            let batch = (from..jobs.min(from + 1_000)).map(|nth| self.job(nth));
            self.store
                .enqueue(&tenant.scan, batch.collect())
                .await
                .unwrap();
        }
    }

    pub(crate) fn job(&self, nth: usize) -> NewJob {
        let payload = JobPayload {
            version: 1,
            body: serde_json::json!({ "nth": nth }),
        };
        NewJob::new(self.world.id(), KIND, payload).unwrap()
    }

    /// As the peers have it before they are measured: nothing is left to write or to learn.
    pub(crate) async fn settle_down(&self) {
        let mut admin = self.database.admin().await;
        for statement in ["vacuum (analyze)", "checkpoint"] {
            admin.execute(statement).await.unwrap();
        }
        admin.close().await.unwrap();
    }

    /// Runs processors until every job is done. Answers how long that took, from the first job's start
    /// until none is left in the queue.
    pub(crate) async fn drain(&self, jobs: usize, processors: usize) -> Duration {
        let handler = Arc::new(Nothing::default());
        let workers: Vec<Worker> = (0..processors)
            .map(|_| Worker::start(self, handler.clone()))
            .collect();
        let mut started = None;
        while handler.done.load(Ordering::Relaxed) < jobs {
            if started.is_none() && handler.done.load(Ordering::Relaxed) > 0 {
                started = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let started = started.unwrap_or_else(Instant::now);
        let mut admin = self.database.admin().await;
        loop {
            // By its index: how many other jobs there are is not to be measured.
            let row = sqlx::query(
                "select exists (
                    select from trueno.queue_lane l
                    join trueno.job j on j.organization_id = l.organization_id and j.lane = l.lane
                    where l.kind = 'bench.nothing'
                 ) as left",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if !row.get::<bool, _>("left") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = started.elapsed();
        for worker in workers {
            worker.stop().await;
        }
        took
    }
}

/// A handler of jobs that do nothing.
#[derive(Debug, Default)]
pub(crate) struct Nothing {
    pub(crate) done: AtomicUsize,
    /// Told of each job that starts.
    pub(crate) starts: Option<mpsc::UnboundedSender<Instant>>,
}

#[async_trait]
impl JobHandler for Nothing {
    fn kind(&self) -> JobKind {
        KIND
    }

    async fn run(&self, _: &JobContext) -> Result<Completion> {
        if let Some(starts) = &self.starts {
            let _ = starts.send(Instant::now());
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(Completion::without_effects())
    }
}

/// A processor in a task of its own.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(bench: &Bench, handler: Arc<Nothing>) -> Self {
        let config = ProcessorConfig::new("bench")
            .with_concurrency(4_000)
            .with_claim_batch(1_000);
        Self::of(bench, handler, config)
    }

    /// With a handler and settings of the caller's own.
    pub(crate) fn of(bench: &Bench, handler: Arc<dyn JobHandler>, config: ProcessorConfig) -> Self {
        let processor = Processor::new(
            Arc::new(bench.store.clone()),
            Arc::new(bench.store.clone()),
            vec![handler],
            config,
            Arc::new(SystemClock),
            IdSource::random(),
        )
        .unwrap();
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::spawn(async move { processor.run(until).await });
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
