//! How a processor works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::model::JobKind;
use crate::port::check_forget;
use crate::retry::Backoff;
use crate::runtime::JobHandler;

/// How a processor works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessorConfig {
    /// The worker's name, for people.
    pub worker: String,
    /// Jobs at the same time: 4 by default.
    pub concurrency: usize,
    /// Jobs of one kind at the same time, for the kinds that may not have every place.
    pub kind_concurrency: BTreeMap<JobKind, usize>,
    /// Jobs that one claim asks for at the most: 500 by default. A claim waits until this many
    /// places, or a quarter of them, are free, but not for longer than 2 ms.
    pub claim_batch: usize,
    /// How long leases last without a heartbeat: 30 s by default. One is sent every third of it.
    pub lease_for: Duration,
    /// How long to wait before asking again when nothing was due and no wake-up came: 1 s by
    /// default. Waits begin at 50 ms, or this if it is shorter, and double up to this.
    pub poll_interval: Duration,
    /// How long the success of a job without effects waits, at the most, for others to be told to
    /// the queue with it: 5 ms by default. Up to 500 are told at once; where no other job runs, or
    /// the processor shuts down, none waits.
    pub settle_delay: Duration,
    /// How long an attempt may take where the job does not say: for ever by default.
    pub timeout: Option<Duration>,
    /// How long a job may take to stop before it is dropped: 3 s by default.
    pub stop_grace: Duration,
    /// The wait between attempts of a job that does not say.
    pub backoff: Backoff,
    /// How long a job that ended is kept, dead ones apart: 30 days by default, for ever where `None`.
    pub retention: Option<Duration>,
    /// For how long anything may hold the horizon of the queue's tables back before it is warned of,
    /// every minute: 10 minutes by default. Nobody looks where `None`.
    pub horizon_limit: Option<Duration>,
}

impl ProcessorConfig {
    /// The defaults, under this worker name.
    #[must_use]
    pub fn new(worker: &str) -> Self {
        Self {
            worker: worker.to_owned(),
            concurrency: 4,
            kind_concurrency: BTreeMap::new(),
            claim_batch: 500,
            lease_for: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
            settle_delay: Duration::from_millis(5),
            timeout: None,
            stop_grace: Duration::from_secs(3),
            backoff: Backoff::default(),
            retention: Some(Duration::from_secs(30 * 24 * 3_600)),
            horizon_limit: Some(Duration::from_secs(600)),
        }
    }

    /// So many jobs at the same time.
    #[must_use]
    pub fn with_concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs;
        self
    }

    /// So many jobs of this kind at the same time, at the most. Counted here only: for a limit
    /// across processors see [`Concurrency`](crate::model::Concurrency).
    #[must_use]
    pub fn with_kind_concurrency(mut self, kind: JobKind, jobs: usize) -> Self {
        self.kind_concurrency.insert(kind, jobs);
        self
    }

    /// With claims of at most so many jobs.
    #[must_use]
    pub fn with_claim_batch(mut self, jobs: usize) -> Self {
        self.claim_batch = jobs;
        self
    }

    /// With leases of this length.
    #[must_use]
    pub fn with_lease_for(mut self, lease_for: Duration) -> Self {
        self.lease_for = lease_for;
        self
    }

    /// With this longest wait between polls.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// With this longest wait of a success without effects before the queue is told.
    #[must_use]
    pub fn with_settle_delay(mut self, delay: Duration) -> Self {
        self.settle_delay = delay;
        self
    }

    /// With this long for an attempt, where the job does not say.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// With this long for a job to stop.
    #[must_use]
    pub fn with_stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// With this wait between attempts, where the job does not say.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// With jobs that are kept for so long after they ended, or for ever: an hour or more.
    #[must_use]
    pub fn with_retention(mut self, age: Option<Duration>) -> Self {
        self.retention = age;
        self
    }

    /// With a warning of whoever holds the horizon back for longer than this, or none.
    #[must_use]
    pub fn with_horizon_limit(mut self, age: Option<Duration>) -> Self {
        self.horizon_limit = age;
        self
    }

    /// Passes settings that can work, with these handlers.
    pub(super) fn check(&self, handlers: &BTreeMap<JobKind, Arc<dyn JobHandler>>) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Config, message));
        if handlers.is_empty() || self.concurrency == 0 {
            return wrong("a processor needs a handler and room for one job".to_owned());
        }
        if self.claim_batch == 0 {
            return wrong("a claim needs to ask for at least one job".to_owned());
        }
        // What every queue takes; asked here, an operator learns of it at the start.
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&self.lease_for) {
            return wrong("a lease needs to last 1 s to 1 h".to_owned());
        }
        if let Some(age) = self.retention {
            check_forget(age, 1).map_err(|error| {
                let message = format!("the time that finished jobs are kept for: {error}");
                Error::new(ErrorKind::Config, message)
            })?;
        }
        if self.poll_interval.is_zero() {
            return wrong("polls need a wait between them".to_owned());
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return wrong("an attempt needs more time than none".to_owned());
        }
        for (kind, jobs) in &self.kind_concurrency {
            if *jobs == 0 {
                return wrong(format!(
                    "jobs of kind {kind} need room for one: to take none, leave its handler out"
                ));
            }
            // A limit under a mistyped name would limit nothing.
            if !handlers.contains_key(kind) {
                return wrong(format!("there is no handler for {kind}, which has a limit"));
            }
        }
        Ok(())
    }
}
