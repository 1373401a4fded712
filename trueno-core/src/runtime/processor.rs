//! The processor: claims, runs, heartbeats, recovers, shuts down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JobHandler;
use super::job::JobRunner;
use super::session::{Session, StopReason};
use crate::clock::SharedClock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdSource;
use crate::model::JobKind;
use crate::port::{ClaimRequest, JobQueue, Lease, TenantStore, claim_leases};
use crate::retry::Backoff;

/// How long ending jobs may take once they stopped, while the processor shuts down.
const FINISH_GRACE: Duration = Duration::from_secs(2);

/// How many exceptions end in one transaction.
const LAPSED_AT_ONCE: usize = 100;

/// A claim whose answer has not come.
type Claiming = JoinHandle<Result<Vec<Lease>>>;

/// How a processor works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessorConfig {
    /// The worker's name, for people.
    pub worker: String,
    /// Jobs at the same time: 4 by default.
    pub concurrency: usize,
    /// How long leases last without a heartbeat: 30 s by default. One is sent every third of it.
    pub lease_for: Duration,
    /// How long to wait before asking again when nothing was due and no wake-up came: 1 s by default.
    pub poll_interval: Duration,
    /// How long a job may take to stop before it is dropped: 3 s by default.
    pub stop_grace: Duration,
    /// The wait between attempts of a job.
    pub backoff: Backoff,
}

impl ProcessorConfig {
    /// The defaults, under this worker name.
    #[must_use]
    pub fn new(worker: &str) -> Self {
        Self {
            worker: worker.to_owned(),
            concurrency: 4,
            lease_for: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
            stop_grace: Duration::from_secs(3),
            backoff: Backoff::default(),
        }
    }

    /// So many jobs at the same time.
    #[must_use]
    pub fn with_concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs;
        self
    }

    /// With leases of this length.
    #[must_use]
    pub fn with_lease_for(mut self, lease_for: Duration) -> Self {
        self.lease_for = lease_for;
        self
    }

    /// With this wait between polls.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// With this long for a job to stop.
    #[must_use]
    pub fn with_stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// With this wait between attempts.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// Runs jobs until it is told to stop.
#[derive(Debug)]
pub struct Processor {
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn TenantStore>,
    handlers: HashMap<JobKind, Arc<dyn JobHandler>>,
    config: ProcessorConfig,
    clock: SharedClock,
    ids: IdSource,
}

impl Processor {
    /// A processor with these handlers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for no handler, two handlers of one kind, or a concurrency of 0.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        store: Arc<dyn TenantStore>,
        handlers: Vec<Arc<dyn JobHandler>>,
        config: ProcessorConfig,
        clock: SharedClock,
        ids: IdSource,
    ) -> Result<Self> {
        let wrong = |message: &'static str| Err(Error::new(ErrorKind::Config, message));
        if handlers.is_empty() || config.concurrency == 0 {
            return wrong("a processor needs a handler and room for one job");
        }
        let count = handlers.len();
        let handlers: HashMap<_, _> = handlers.into_iter().map(|h| (h.kind(), h)).collect();
        if handlers.len() != count {
            return wrong("two handlers have the same job kind");
        }
        Ok(Self {
            queue,
            store,
            handlers,
            config,
            clock,
            ids,
        })
    }

    /// Runs jobs until `shutdown` fires; then claims no more, asks running jobs to stop, and returns
    /// or finishes every lease before it ends. That takes no longer than the configured grace and
    /// 2 s more; what a store that does not answer by then still holds comes back when the
    /// session's time runs out.
    ///
    /// A store that is down is waited for; it is no reason to end.
    ///
    /// Cancel-safety: dropping this drops running jobs where they await; their leases run out.
    pub async fn run(&self, shutdown: CancellationToken) {
        let session = Arc::new(Session::new(
            self.ids.clone(),
            self.clock.clone(),
            self.config.lease_for,
        ));
        let helpers = CancellationToken::new();
        let _stop_helpers = helpers.clone().drop_guard();
        let (queue, every) = (&self.queue, self.config.lease_for);
        let mut background = JoinSet::new();
        background.spawn(beat(queue.clone(), session.clone(), every, helpers.clone()));
        background.spawn(recover(queue.clone(), every, helpers.clone()));
        let (store, clock) = (self.store.clone(), self.clock.clone());
        background.spawn(lapse_exceptions(store, clock, every, helpers));

        let mut jobs = JoinSet::new();
        // Only a shutdown ends the loop.
        let claim_left = {
            let mut claim = None;
            let _: Option<()> = shutdown
                .run_until_cancelled(self.work(&session, &mut jobs, &mut claim))
                .await;
            claim
        };
        session.stop_all(StopReason::Shutdown);
        let deadline = Instant::now() + self.config.stop_grace + FINISH_GRACE;
        let ending = async {
            // A claim that is dropped half-way would leave its jobs held by nobody.
            if let Some(claim) = claim_left
                && let Ok(leases) = claim.await
            {
                self.start(&session, &mut jobs, leases.unwrap_or_default());
                session.stop_all(StopReason::Shutdown);
            }
            while jobs.join_next().await.is_some() {}
        };
        if tokio::time::timeout_at(deadline, ending).await.is_err() {
            tracing::warn!("the store did not take every job back in time");
        }
    }

    /// Claims and runs until it is dropped. A claim under way is left in `claiming`.
    async fn work(
        &self,
        session: &Arc<Session>,
        jobs: &mut JoinSet<()>,
        claiming: &mut Option<Claiming>,
    ) {
        let mut wake_ups = self.wake_ups().await;
        loop {
            let claimed = self.claim(session, jobs, claiming).await;
            let full = jobs.len() >= self.config.concurrency;
            if claimed > 0 && !full {
                continue;
            }
            tokio::select! {
                biased;
                Some(_) = jobs.join_next(), if !jobs.is_empty() => {}
                hint = wake_ups.next(), if !full => {
                    if hint.is_none() {
                        // The stream broke; polling goes on without it until it is there again.
                        wake_ups = self.wake_ups().await;
                        tokio::time::sleep(self.config.poll_interval).await;
                    }
                }
                () = tokio::time::sleep(self.config.poll_interval), if !full => {}
            }
            while jobs.try_join_next().is_some() {}
        }
    }

    async fn wake_ups(&self) -> crate::port::WakeUps {
        match self.queue.wake_ups().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(?error, "no wake-ups; polling only");
                futures::stream::pending().boxed()
            }
        }
    }

    /// Fills the free places. Answers how many jobs began. The request runs in a task of its own,
    /// so that its answer is not lost when this is dropped.
    async fn claim(
        &self,
        session: &Arc<Session>,
        jobs: &mut JoinSet<()>,
        claiming: &mut Option<Claiming>,
    ) -> usize {
        let free = self.config.concurrency - jobs.len().min(self.config.concurrency);
        if free == 0 {
            return 0;
        }
        let kinds = self.handlers.keys().cloned().collect();
        let id = session.id();
        let request = ClaimRequest::new(id, &self.config.worker, kinds, free)
            .with_lease_for(self.config.lease_for);
        let (queue, sent) = (self.queue.clone(), Instant::now());
        let under_way = tokio::spawn(async move { claim_leases(queue.as_ref(), &request).await });
        let answer = claiming.insert(under_way).await;
        *claiming = None;
        let leases = match answer {
            Ok(Ok(leases)) => leases,
            Ok(Err(error)) if error.kind() == ErrorKind::StaleLease => {
                session.renew(id);
                return 0;
            }
            Ok(Err(error)) => {
                tracing::warn!(?error, "claim failed");
                return 0;
            }
            Err(panic) => {
                tracing::error!(error = %panic, "the queue panicked");
                return 0;
            }
        };
        session.extended(id, sent);
        self.start(session, jobs, leases)
    }

    /// Runs what was claimed. Answers how many jobs began.
    fn start(&self, session: &Arc<Session>, jobs: &mut JoinSet<()>, leases: Vec<Lease>) -> usize {
        let count = leases.len();
        for lease in leases {
            let Some(handler) = self.handlers.get(&lease.claim().kind) else {
                // The queue was asked for these kinds only; a heartbeat gives the job back.
                debug_assert!(false, "P3: a claim of a kind that was not asked for");
                continue;
            };
            let place = session.add(lease.reference().token);
            let runner = JobRunner {
                store: self.store.clone(),
                handler: handler.clone(),
                config: self.config.clone(),
                ids: self.ids.clone(),
            };
            jobs.spawn(runner.run(lease, place));
        }
        count
    }
}

async fn beat(
    queue: Arc<dyn JobQueue>,
    session: Arc<Session>,
    lease_for: Duration,
    stop: CancellationToken,
) {
    let beats = async {
        loop {
            tokio::time::sleep(lease_for / 3).await;
            session.beat(queue.as_ref()).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(beats).await;
}

async fn recover(queue: Arc<dyn JobQueue>, every: Duration, stop: CancellationToken) {
    let rounds = async {
        loop {
            match queue.recover_expired(100).await {
                Ok(done) if done != Default::default() => {
                    tracing::info!(
                        requeued = done.requeued,
                        dead = done.dead,
                        cancelled = done.cancelled,
                        "took back jobs of vanished workers"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(?error, "recovery failed"),
            }
            tokio::time::sleep(every).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(rounds).await;
}

async fn lapse_exceptions(
    store: Arc<dyn TenantStore>,
    clock: SharedClock,
    every: Duration,
    stop: CancellationToken,
) {
    let rounds = async {
        loop {
            match store.lapse_exceptions(clock.now(), LAPSED_AT_ONCE).await {
                Ok(0) => {}
                Ok(lapsed) => {
                    tracing::info!(lapsed, "exceptions ran out of time");
                    if lapsed >= LAPSED_AT_ONCE as u64 {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(?error, "no exception was ended"),
            }
            tokio::time::sleep(every).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(rounds).await;
}
