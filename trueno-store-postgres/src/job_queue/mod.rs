//! The queue: one file per side of it.

mod horizon;
mod member;
mod operator;
mod settle;
mod wake_ups;
mod worker;

use std::time::Duration;

use async_trait::async_trait;
use trueno_core::access::OrgScope;
use trueno_core::error::{Error, Result};
use trueno_core::id::{JobId, OrganizationId, WorkerSessionId};
use trueno_core::model::{NewJob, OrganizationLimits, QueueTarget};
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, Heartbeat, Horizon, JobQueue, QueueStats,
    Recovered, SettleOutcome, Settlement, WaitReason, WakeUps,
};

use self::operator::Hold;
use crate::store::PostgresStore;

fn named(operation: &'static str) -> impl FnOnce(Error) -> Error {
    move |error| error.with_operation(operation)
}

#[async_trait]
impl JobQueue for PostgresStore {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        member::enqueue(self, scope, jobs)
            .await
            .map_err(named("job_queue.enqueue"))
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        worker::claim(self, request)
            .await
            .map_err(named("job_queue.claim"))
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        worker::heartbeat(self, session, lease_for)
            .await
            .map_err(named("job_queue.heartbeat"))
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        settle::settle(self, settlements)
            .await
            .map_err(named("job_queue.settle"))
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        member::cancel(self, scope, job)
            .await
            .map_err(named("job_queue.cancel"))
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        worker::recover_expired(self, limit)
            .await
            .map_err(named("job_queue.recover_expired"))
    }

    async fn wake_ups(&self) -> Result<WakeUps> {
        wake_ups::wake_ups(self).map_err(named("job_queue.wake_ups"))
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        operator::set_limits(self, organization, limits)
            .await
            .map_err(named("job_queue.set_limits"))
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        operator::limits(self, organization)
            .await
            .map_err(named("job_queue.limits"))
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        operator::hold(self, target, Hold::Pause)
            .await
            .map_err(named("job_queue.pause"))
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        operator::hold(self, target, Hold::Resume)
            .await
            .map_err(named("job_queue.resume"))
    }

    async fn stats(&self) -> Result<QueueStats> {
        worker::stats(self).await.map_err(named("job_queue.stats"))
    }

    async fn horizon(&self) -> Result<Option<Horizon>> {
        horizon::horizon(self)
            .await
            .map_err(named("job_queue.horizon"))
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        worker::forget_finished(self, age, limit)
            .await
            .map_err(named("job_queue.forget_finished"))
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        member::why_waiting(self, scope, job)
            .await
            .map_err(named("job_queue.why_waiting"))
    }
}
