//! The port to the queue.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Claim, Horizon, LeaseRef};
use crate::access::OrgScope;
use crate::error::{Error, Result};
use crate::id::{JobId, OrganizationId, WorkerSessionId};
use crate::model::{Concurrency, JobKind, JobStatus, NewJob, OrganizationLimits, QueueTarget};
use crate::text::without_nul;

/// What enqueueing one job answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "job", rename_all = "snake_case")]
pub enum Enqueued {
    /// It is in the queue.
    Created(JobId),
    /// A job has its dedupe key already: that one stands for it.
    Duplicate(JobId),
}

impl Enqueued {
    /// The job that runs, or ran.
    #[must_use]
    pub const fn job(self) -> JobId {
        match self {
            Self::Created(job) | Self::Duplicate(job) => job,
        }
    }
}

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The worker's session: made new by every process at its start.
    pub session: WorkerSessionId,
    /// The worker's name, for people (`locked_by`).
    pub worker: String,
    /// The kinds that it has handlers for.
    pub kinds: Vec<JobKind>,
    /// How many jobs at the most.
    pub limit: usize,
    /// How long the session's leases last from now, unless a heartbeat extends them.
    pub lease_for: Duration,
}

impl ClaimRequest {
    /// A claim of up to `limit` jobs of `kinds`, with leases of 30 s.
    #[must_use]
    pub fn new(session: WorkerSessionId, worker: &str, kinds: Vec<JobKind>, limit: usize) -> Self {
        let lease_for = Duration::from_secs(30);
        Self {
            session,
            worker: worker.to_owned(),
            kinds,
            limit,
            lease_for,
        }
    }

    /// Passes a request that a queue can serve; every queue asks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for no kinds, and a
    /// worker's name with a NUL.
    pub fn check(&self) -> Result<()> {
        if self.kinds.is_empty() {
            return Err(Error::invalid("kinds", "needs at least one"));
        }
        without_nul("worker", &self.worker)
    }

    /// With leases of this length.
    #[must_use]
    pub fn with_lease_for(mut self, lease_for: Duration) -> Self {
        self.lease_for = lease_for;
        self
    }
}

/// What a heartbeat answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// When the session's leases run out now, by the store's clock.
    pub expires_at: Timestamp,
    /// The leases that the session still holds, and whether each job was asked to stop.
    pub held: Vec<HeldLease>,
}

/// One lease that a heartbeat extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// The lease.
    pub lease: LeaseRef,
    /// A cancellation was asked for.
    pub cancel_requested: bool,
}

/// How an attempt ended, in the eyes of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobOutcome {
    /// Done.
    Succeeded,
    /// The attempt failed.
    Failed {
        /// Why, in words for the organization.
        error: String,
        /// Whether another attempt can help.
        retryable: bool,
        /// How long to wait before it, from the store's now.
        retry_after: Duration,
    },
    /// Given back untouched, as on a graceful shutdown: no attempt is counted.
    Returned,
    /// Stopped because a cancellation was asked for.
    Cancelled,
}

impl JobOutcome {
    /// Passes an outcome that can be stored; every queue and store asks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for an error with a NUL.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Failed { error, .. } => without_nul("error of the job", error),
            _ => Ok(()),
        }
    }

    /// The event of the job machine that it stands for, under `lease`.
    #[must_use]
    pub fn event(&self, lease: &LeaseRef) -> crate::state::job::JobEvent {
        use crate::state::job::JobEvent;
        let token = lease.token;
        match self {
            Self::Succeeded => JobEvent::Succeeded(token),
            Self::Failed {
                retryable,
                retry_after,
                ..
            } => JobEvent::Failed {
                token,
                retryable: *retryable,
                retry_after: *retry_after,
            },
            Self::Returned => JobEvent::Returned(token),
            Self::Cancelled => JobEvent::CancelledBy(token),
        }
    }
}

/// One job to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The lease.
    pub lease: LeaseRef,
    /// How it ended.
    pub outcome: JobOutcome,
}

/// What settling one job answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// Settled; the job is now here.
    Settled(JobStatus),
    /// The same lease settled it before; nothing changed now.
    AlreadySettled,
    /// The lease is no longer held; nothing changed.
    Stale,
}

/// What a request to cancel answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It had not begun, and never will.
    Cancelled,
    /// It runs; its worker learns of it with the next heartbeat.
    Requested,
    /// It had ended before, in this status.
    AlreadyFinished(JobStatus),
}

/// What a recovery of orphans did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that wait again.
    pub requeued: u64,
    /// Jobs that lost too many leases and are dead as crash-looped.
    pub dead: u64,
    /// Jobs whose cancellation had been asked for.
    pub cancelled: u64,
}

/// Counts over the live queue of every organization: for operators. They are kept, not counted: what
/// they cost does not grow with the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Waiting: for a worker, for their time, or for the next attempt.
    pub waiting: u64,
    /// Held by a worker.
    pub running: u64,
}

/// Why a job has not begun. Says nothing of other organizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitReason {
    /// It is due and no worker has taken it yet.
    Due,
    /// Its time has not come.
    Scheduled {
        /// When it comes.
        run_at: Timestamp,
    },
    /// An attempt failed; it waits for the next.
    Backoff {
        /// When the next one may begin.
        run_at: Timestamp,
        /// Why the last one failed.
        last_error: Option<String>,
    },
    /// An operator holds its organization back, or every job of its kind.
    Paused,
    /// As many jobs of its organization run as may.
    OrganizationLimit {
        /// How many may.
        max_running: u32,
    },
    /// As many jobs run under its concurrency key as may.
    ConcurrencyLimit {
        /// The key, and how many may.
        concurrency: Concurrency,
    },
    /// No worker that is there ever asked for jobs of its kind.
    NoWorker,
    /// It does not wait: it is in this status.
    NotWaiting {
        /// The status.
        status: JobStatus,
    },
}

/// Passes what [`JobQueue::forget_finished`] can be asked; every queue asks.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for an age under an hour and a
/// limit of 0.
pub fn check_forget(age: Duration, limit: usize) -> Result<()> {
    if age < Duration::from_secs(3_600) {
        return Err(Error::invalid("age", "needs an hour or more"));
    }
    if limit == 0 {
        return Err(Error::invalid("limit", "needs at least 1"));
    }
    Ok(())
}

/// Says that there may be work: a hint. Streams may skip and repeat; the worker polls all the same.
pub type WakeUps = BoxStream<'static, ()>;

/// Hands jobs to workers, each to one at a time, fenced by a token.
///
/// # Contract
/// - **Atomic**: a batch of `enqueue` is in the queue as a whole or not at all. `claim` and
///   `settle` decide job by job; each job's change is atomic.
/// - **At most one holder**: a job is held under one token at a time; a new claim has a new token.
/// - **Fenced** (P3): every effect names a [`LeaseRef`]. A token that is no longer held changes
///   nothing: `settle` answers [`SettleOutcome::Stale`], or [`SettleOutcome::AlreadySettled`] to the
///   token that settled it. A lease ends when its session's time runs out, by the store's clock
///   alone (P10), whether or not `recover_expired` has run.
/// - **Sessions**: the first claim of a session opens it; each claim and heartbeat extends all its
///   leases. Once expired, a session is over, also after its jobs were recovered: `claim` and
///   `heartbeat` answer [`StaleLease`](crate::error::ErrorKind::StaleLease) and the worker takes a
///   new session id. A heartbeat of a session that no claim opened is answered the same. Neither
///   ever shortens a lease.
/// - **Order**: within an organization by `run_at - priority × `[`PRIORITY_POINT`](crate::model::PRIORITY_POINT), the earliest
///   first, then by id, and a batch comes back in that order: priority that ages.
/// - **Fairness**: while organizations wait, they begin jobs in proportion to their
///   [weights](OrganizationLimits::with_weight), whatever they have waiting and however urgent: a
///   batch is spread over them, and batches of one too. Across organizations no order is promised.
/// - **Caps**: never do more jobs of an organization run than its
///   [`max_running`](OrganizationLimits::with_max_running), nor more under a concurrency key than
///   its [limit](Concurrency), counting every job that is held, whether or not its session's time
///   ran out. A job that may not begin holds no other back.
/// - **Paused** jobs wait; those that run run on.
/// - **Quota**: `enqueue`, here and in a unit of work, is refused with
///   [`Exhausted`](crate::error::ErrorKind::Exhausted) once an organization has
///   [`max_live`](OrganizationLimits::with_max_live) jobs; it never waits for a worker or for another
///   organization. What `finish` enqueues is always taken.
/// - **Ids**: a job's id stays in use after the job finished.
/// - **Rights**: `enqueue` and `cancel` need a scope that
///   [may write](crate::access::OrgScope::require_write).
/// - **Isolation** (P1): `cancel` and `why_waiting` answer
///   [`NotFound`](crate::error::ErrorKind::NotFound) for a job of another organization.
/// - **Ends of scans** (P2): where a job that runs a scan ends here (cancelled while it waited, or
///   cancelled or dead when its lease was lost), the scan ends in the same transaction and an audit
///   event (`job.cancelled` by whoever asked or by the system, `job.dead` by the system) is staged
///   with it. Work that has effects in the store ends through
///   [`TenantStore::finish`](super::TenantStore::finish), not through `settle`: a batch with a held
///   job that runs a scan and is said to have succeeded is refused as a whole
///   ([`InvalidInput`](crate::error::ErrorKind::InvalidInput)), because nobody would end the scan.
/// - **Cancel-safety**: a dropped future was applied or not. A dropped `claim`, or one whose answer
///   was lost, may leave jobs held by the session, and heartbeats extend them too: a worker that
///   goes on with the session gives back what a heartbeat says it holds and it does not know of.
/// - **Errors**: [`InvalidInput`](crate::error::ErrorKind::InvalidInput) for a limit of 0, no kinds,
///   a lease (of a claim or a heartbeat) under 1 s or over 1 h, and texts that hold a NUL; otherwise
///   those of the store.
#[async_trait]
pub trait JobQueue: Send + Sync + std::fmt::Debug {
    /// Enqueues jobs of the scope's organization. Answers in the order of `jobs`. A job id in use
    /// fails with [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists).
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;

    /// Claims due jobs. Applications use [`claim_leases`](super::claim_leases), which makes leases
    /// of them.
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>>;

    /// Extends every lease of a session by `lease_for` from now.
    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat>;

    /// Settles jobs whose handlers have no effects in the store. Answers in the order of
    /// `settlements`.
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>>;

    /// Asks to stop a job.
    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome>;

    /// Takes up to `limit` jobs back from sessions whose time ran out.
    async fn recover_expired(&self, limit: usize) -> Result<Recovered>;

    /// Hints that there may be work.
    async fn wake_ups(&self) -> Result<WakeUps>;

    /// Sets how much of the workers an organization gets: for operators. Holds from the next claim
    /// on. [`NotFound`](crate::error::ErrorKind::NotFound) where there is no such organization.
    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()>;

    /// How much of the workers an organization gets: for operators.
    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits>;

    /// Holds jobs back from the next claim on: for operators. Done again, it changes nothing.
    /// [`NotFound`](crate::error::ErrorKind::NotFound) where there is no such organization.
    async fn pause(&self, target: &QueueTarget) -> Result<()>;

    /// Lets jobs go on: for operators. Done again, it changes nothing.
    /// [`NotFound`](crate::error::ErrorKind::NotFound) where there is no such organization.
    async fn resume(&self, target: &QueueTarget) -> Result<()>;

    /// Counts of the live queue, for operators.
    async fn stats(&self) -> Result<QueueStats>;

    /// Whoever has held the horizon of the queue's tables back for longest: for operators. `None` where
    /// nothing does, and from a store that has nothing to clean up.
    async fn horizon(&self) -> Result<Option<Horizon>>;

    /// Forgets up to `limit` jobs that ended at least `age` ago, by the store's clock: for operators.
    /// Answers how many; less than `limit` where no more are that old. Dead ones stay until somebody
    /// lets them begin anew or discards them. Ids of forgotten jobs are not to be used again, and
    /// nobody looks whether they are. [`InvalidInput`](crate::error::ErrorKind::InvalidInput) for an
    /// age under an hour, which is as long as a lease lasts: until then a worker that settles again
    /// is told that it had.
    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64>;

    /// Why a job has not begun.
    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason>;
}
