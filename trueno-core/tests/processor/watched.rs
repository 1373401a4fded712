//! A queue that writes down claims and settlements, and refuses what it is told to refuse.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use trueno_core::access::OrgScope;
use trueno_core::error::{Error, Result};
use trueno_core::id::{JobId, LeaseToken, OrganizationId, WorkerSessionId};
use trueno_core::model::{JobKind, NewJob, OrganizationLimits, QueueTarget};
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, Heartbeat, Horizon, JobQueue, QueueStats,
    Recovered, SettleOutcome, Settlement, WaitReason, WakeUps,
};

/// One claim that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) sent: Instant,
    pub(crate) kinds: Vec<JobKind>,
    pub(crate) limit: usize,
    pub(crate) jobs: usize,
}

/// One call of `settle`, whatever was answered.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) at: Instant,
    pub(crate) jobs: Vec<JobId>,
}

/// What the queue was asked, and what it is to do wrong.
#[derive(Debug, Default)]
pub(crate) struct Log {
    claims: Mutex<Vec<Claimed>>,
    settled: Mutex<Vec<Settled>>,
    refused: Mutex<HashSet<JobId>>,
    stale: Mutex<HashSet<JobId>>,
    panics: Mutex<u32>,
    horizon: Mutex<Option<Horizon>>,
}

impl Log {
    pub(crate) fn claims(&self) -> Vec<Claimed> {
        self.claims.lock().unwrap().clone()
    }

    pub(crate) fn settled(&self) -> Vec<Settled> {
        self.settled.lock().unwrap().clone()
    }

    /// Every batch that `job` is in is refused.
    pub(crate) fn refuse(&self, job: JobId) {
        self.refused.lock().unwrap().insert(job);
    }

    /// The next settlement of `job` names a lease that is not its.
    pub(crate) fn mistake(&self, job: JobId) {
        self.stale.lock().unwrap().insert(job);
    }

    /// The next call of `settle` panics.
    pub(crate) fn panic_once(&self) {
        *self.panics.lock().unwrap() += 1;
    }

    /// This holds the horizon back from now on.
    pub(crate) fn hold(&self, horizon: Option<Horizon>) {
        *self.horizon.lock().unwrap() = horizon;
    }

    fn settles(&self, settlements: &mut [Settlement]) -> Result<()> {
        let jobs: Vec<JobId> = settlements.iter().map(|one| one.lease.job).collect();
        let at = Instant::now();
        self.settled.lock().unwrap().push(Settled {
            at,
            jobs: jobs.clone(),
        });
        {
            let mut panics = self.panics.lock().unwrap();
            if *panics > 0 {
                *panics -= 1;
                drop(panics);
                panic!("planted panic of the queue");
            }
        }
        for one in settlements {
            if self.stale.lock().unwrap().remove(&one.lease.job) {
                one.lease.token = LeaseToken::from_uuid(uuid::Uuid::from_u128(1));
            }
        }
        let refused = self.refused.lock().unwrap();
        match jobs.iter().find(|job| refused.contains(job)) {
            Some(job) => Err(Error::invalid("settlement", &format!("{job} is refused"))),
            None => Ok(()),
        }
    }
}

/// A [`JobQueue`] that writes into a [`Log`]. Otherwise it is the queue that it wraps.
#[derive(Debug)]
pub(crate) struct WatchedQueue {
    pub(crate) real: Arc<dyn JobQueue>,
    pub(crate) log: Arc<Log>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobQueue for WatchedQueue {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.real.enqueue(scope, jobs).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let sent = Instant::now();
        let claims = self.real.claim(request).await?;
        self.log.claims.lock().unwrap().push(Claimed {
            sent,
            kinds: request.kinds.clone(),
            limit: request.limit,
            jobs: claims.len(),
        });
        Ok(claims)
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        self.real.heartbeat(session, lease_for).await
    }

    async fn settle(&self, mut settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        self.log.settles(&mut settlements)?;
        self.real.settle(settlements).await
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        self.real.cancel(scope, job).await
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        self.real.recover_expired(limit).await
    }

    async fn wake_ups(&self) -> Result<WakeUps> {
        self.real.wake_ups().await
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        self.real.set_limits(organization, limits).await
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        self.real.limits(organization).await
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        self.real.pause(target).await
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        self.real.resume(target).await
    }

    async fn stats(&self) -> Result<QueueStats> {
        self.real.stats().await
    }

    async fn horizon(&self) -> Result<Option<Horizon>> {
        Ok(self.log.horizon.lock().unwrap().clone())
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        self.real.forget_finished(age, limit).await
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        self.real.why_waiting(scope, job).await
    }
}
