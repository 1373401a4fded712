//! A queue whose calls go wrong as planned.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{JobId, OrganizationId, WorkerSessionId};
use trueno_core::model::{NewJob, OrganizationLimits, QueueTarget};
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, Heartbeat, Horizon, JobQueue, QueueStats,
    Recovered, SettleOutcome, Settlement, WaitReason, WakeUps,
};

use super::FaultPlan;

/// A [`JobQueue`] whose calls go wrong as planned. Otherwise it is the queue that it wraps.
#[derive(Clone, Debug)]
pub struct FaultyQueue {
    real: Arc<dyn JobQueue>,
    plan: FaultPlan,
}

impl FaultyQueue {
    /// Wraps `real`.
    #[must_use]
    pub fn new(real: Arc<dyn JobQueue>, plan: FaultPlan) -> Self {
        Self { real, plan }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobQueue for FaultyQueue {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.plan
            .through("job_queue.enqueue", self.real.enqueue(scope, jobs))
            .await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        self.plan
            .through("job_queue.claim", self.real.claim(request))
            .await
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        self.plan
            .through(
                "job_queue.heartbeat",
                self.real.heartbeat(session, lease_for),
            )
            .await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        self.plan
            .through("job_queue.settle", self.real.settle(settlements))
            .await
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        self.plan
            .through("job_queue.cancel", self.real.cancel(scope, job))
            .await
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        self.plan
            .through(
                "job_queue.recover_expired",
                self.real.recover_expired(limit),
            )
            .await
    }

    async fn wake_ups(&self) -> Result<WakeUps> {
        self.plan
            .through("job_queue.wake_ups", self.real.wake_ups())
            .await
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        let call = self.real.set_limits(organization, limits);
        self.plan.through("job_queue.set_limits", call).await
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        self.plan
            .through("job_queue.limits", self.real.limits(organization))
            .await
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        self.plan
            .through("job_queue.pause", self.real.pause(target))
            .await
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        self.plan
            .through("job_queue.resume", self.real.resume(target))
            .await
    }

    async fn stats(&self) -> Result<QueueStats> {
        self.plan
            .through("job_queue.stats", self.real.stats())
            .await
    }

    async fn horizon(&self) -> Result<Option<Horizon>> {
        self.plan
            .through("job_queue.horizon", self.real.horizon())
            .await
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        let call = self.real.forget_finished(age, limit);
        self.plan.through("job_queue.forget_finished", call).await
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        self.plan
            .through("job_queue.why_waiting", self.real.why_waiting(scope, job))
            .await
    }
}
