//! Queues with a planted defect: the simulation finds it within few seeds.

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
use trueno_testkit::simulation::Parts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// Orphans stay where they are.
    NoRecovery,
    /// Organizations' caps are one too high.
    CapOffByOne,
    /// A settlement that fails is told as one that was taken.
    StaleIsSettled,
}

/// A queue that is wrong in one way, and otherwise the one that it wraps.
#[derive(Debug)]
struct Wrong {
    real: Arc<dyn JobQueue>,
    defect: Defect,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobQueue for Wrong {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.real.enqueue(scope, jobs).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        self.real.claim(request).await
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        self.real.heartbeat(session, lease_for).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        let mut outcomes = self.real.settle(settlements).await?;
        if self.defect == Defect::StaleIsSettled {
            let settled = SettleOutcome::Settled(trueno_core::model::JobStatus::Succeeded);
            let stale = outcomes
                .iter_mut()
                .filter(|outcome| **outcome == SettleOutcome::Stale);
            stale.for_each(|outcome| *outcome = settled);
        }
        Ok(outcomes)
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        self.real.cancel(scope, job).await
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        if self.defect == Defect::NoRecovery {
            return Ok(Recovered::default());
        }
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
        let mut limits = *limits;
        if self.defect == Defect::CapOffByOne
            && let Some(most) = limits.max_running()
        {
            limits = limits.with_max_running(most + 1)?;
        }
        self.real.set_limits(organization, &limits).await
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
        self.real.horizon().await
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        self.real.forget_finished(age, limit).await
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        self.real.why_waiting(scope, job).await
    }
}

fn finds(defect: Defect, words: &str) {
    crate::finds(words, |parts| Parts {
        queue: Arc::new(Wrong {
            real: parts.queue,
            defect,
        }),
        ..parts
    });
}

#[test]
fn a_queue_that_takes_nothing_back_from_workers_that_crashed_is_found() {
    finds(Defect::NoRecovery, "something is stuck");
}

#[test]
fn a_cap_that_is_one_too_high_is_found() {
    finds(Defect::CapOffByOne, "cap of organization");
}

#[test]
fn a_stale_settlement_that_is_taken_is_found() {
    finds(Defect::StaleIsSettled, "P3: effects of");
}
