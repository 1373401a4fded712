//! The processor: claims, runs, heartbeats, recovers, shuts down.

mod config;
mod finish;
mod horizon;
mod job;
mod kinds;
mod meters;
mod pace;
mod session;
mod settler;
mod status;
mod upkeep;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::finish::Finisher;
use self::job::JobRunner;
use self::meters::Meters;
use self::session::{Session, StopReason};
use self::settler::Settler;
use self::upkeep::Nudges;
use self::work::Work;
use super::{JobHandler, JobMiddleware};
use crate::clock::SharedClock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdSource;
use crate::model::JobKind;
use crate::port::{JobQueue, TenantStore};

pub use config::ProcessorConfig;
pub use status::ProcessorStatus;

/// How long ending jobs may take once they stopped, while the processor shuts down.
const FINISH_GRACE: Duration = Duration::from_secs(2);

/// Runs jobs until it is told to stop.
///
/// - **Claims** are large: for a quarter of the places or a whole
///   [`claim_batch`](ProcessorConfig::claim_batch), and for fewer once a place was free for 2 ms. One
///   is under way while jobs run.
/// - **Ends**: what a job did goes through [`TenantStore::finish`], one by one. Successes
///   [without effects](super::Completion::without_effects) are gathered and go through
///   [`JobQueue::settle`], up to 500 at once; such a job is told again, not run again, until the
///   queue knows of it or its lease is lost.
/// - **Kinds** with a [limit](ProcessorConfig::with_kind_concurrency) are claimed for the room that
///   they have. A kind with less room than a claim asks for has claims of its own, so the queue's
///   order holds within each claim and not between them.
#[derive(Debug)]
pub struct Processor {
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn TenantStore>,
    /// In order, so that claims name kinds in the same order whenever a run is replayed.
    handlers: BTreeMap<JobKind, Arc<dyn JobHandler>>,
    layers: Vec<Arc<dyn JobMiddleware>>,
    config: Arc<ProcessorConfig>,
    clock: SharedClock,
    ids: IdSource,
    status: ProcessorStatus,
}

impl Processor {
    /// A processor with these handlers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for no handler, two handlers of one kind, a concurrency, claim batch,
    /// poll interval, timeout or limit of 0, a limit of a kind that has no handler, and a lease that
    /// no queue gives.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        store: Arc<dyn TenantStore>,
        handlers: Vec<Arc<dyn JobHandler>>,
        config: ProcessorConfig,
        clock: SharedClock,
        ids: IdSource,
    ) -> Result<Self> {
        let count = handlers.len();
        let handlers: BTreeMap<_, _> = handlers.into_iter().map(|h| (h.kind(), h)).collect();
        if handlers.len() != count {
            let message = "two handlers have the same job kind";
            return Err(Error::new(ErrorKind::Config, message));
        }
        config.check(&handlers)?;
        Ok(Self {
            queue,
            store,
            handlers,
            layers: Vec::new(),
            status: ProcessorStatus::new(config.lease_for),
            config: Arc::new(config),
            clock,
            ids,
        })
    }

    /// With one more layer around every handler, inside those that it has.
    #[must_use]
    pub fn with_middleware(mut self, layer: Arc<dyn JobMiddleware>) -> Self {
        self.layers.push(layer);
        self
    }

    /// How it does, for probes.
    #[must_use]
    pub fn status(&self) -> ProcessorStatus {
        self.status.clone()
    }

    /// Runs jobs until `shutdown` fires; then claims no more, asks running jobs to stop, and returns
    /// or finishes every lease before it ends. That takes no longer than the configured grace and
    /// 2 s more; what a store that does not answer by then still holds comes back when the
    /// session's time runs out.
    ///
    /// A store that is down is waited for; it is no reason to end.
    ///
    /// Cancel-safety: dropping this drops running jobs where they await; their leases run out, and
    /// so do those of successes that the queue was not told of yet.
    pub async fn run(&self, shutdown: CancellationToken) {
        let status = &self.status;
        let _ended = status.begin();
        let meters = Arc::new(Meters::new(self.handlers.keys(), self.config.concurrency));
        let session = Arc::new(Session::new(
            self.ids.clone(),
            self.clock.clone(),
            self.config.lease_for,
            status.clone(),
            meters.clone(),
        ));
        let (hints, settled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        // Ended when this is dropped: heartbeats go on until every lease is given up.
        let _upkeep = self.keep_up(&session, &hints, &meters);
        // Several between two heartbeats.
        let _nudges = Nudges::every(self.config.lease_for / 12);
        let finisher = Arc::new(Finisher {
            store: self.store.clone(),
            config: self.config.clone(),
            ids: self.ids.clone(),
        });
        let (successes, taken) = settler::successes();
        let settler = Settler {
            queue: self.queue.clone(),
            session: session.clone(),
            finisher: finisher.clone(),
            meters: meters.clone(),
            settled: settled.clone(),
            shutdown: shutdown.clone(),
        };
        let settling = AbortOnDropHandle::new(tokio::spawn(settler.run(taken)));
        let runner = JobRunner {
            finisher,
            layers: self.layers.clone().into(),
            successes,
        };
        let mut work = Work::new(self, session.clone(), runner, meters, hints, settled);
        // Only a shutdown ends the loop.
        let _: Option<()> = shutdown.run_until_cancelled(work.go_on()).await;
        status.shuts_down();
        session.stop_all(StopReason::Shutdown);
        let deadline = Instant::now() + self.config.stop_grace + FINISH_GRACE;
        let ending = async {
            // With the last job goes the last sender to the settler, which ends once all is told.
            work.end().await;
            if let Err(panic) = settling.await {
                tracing::error!(error = %panic, "the queue panicked");
            }
        };
        if tokio::time::timeout_at(deadline, ending).await.is_err() {
            tracing::warn!("the store did not take every job back in time");
        }
    }

    /// Starts what goes on beside the jobs.
    fn keep_up(
        &self,
        session: &Arc<Session>,
        hints: &Arc<Notify>,
        meters: &Arc<Meters>,
    ) -> JoinSet<()> {
        let (queue, every) = (&self.queue, self.config.lease_for);
        let mut tasks = JoinSet::new();
        tasks.spawn(upkeep::beat(queue.clone(), session.clone(), every));
        tasks.spawn(upkeep::recover(queue.clone(), every, meters.clone()));
        let (store, clock) = (self.store.clone(), self.clock.clone());
        tasks.spawn(upkeep::lapse_exceptions(store, clock, every));
        if let Some(age) = self.config.retention {
            tasks.spawn(upkeep::forget_finished(queue.clone(), age, meters.clone()));
        }
        if let Some(limit) = self.config.horizon_limit {
            tasks.spawn(horizon::guard(queue.clone(), limit, meters.clone()));
        }
        let pause = self.config.poll_interval;
        let listen = upkeep::listen(queue.clone(), hints.clone(), pause, meters.clone());
        tasks.spawn(listen);
        tasks
    }
}
