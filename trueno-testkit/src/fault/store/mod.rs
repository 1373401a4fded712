//! A store whose doors, and whatever they open, go wrong as planned.

mod reads;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{AuditEventId, UserId};
use trueno_core::model::{AuditEvent, EventDraft, Membership, NewOrganization, Organization};
use trueno_core::port::{
    AuditOutbox, DuePosition, DueSchedule, FinishOutcome, Finished, Fire, Fired, Ingest, Lease,
    ReadView, Scheduling, TenantStore, UnitOfWork,
};

use super::FaultPlan;

/// A [`TenantStore`] whose calls, and those of what it opens, go wrong as planned. Otherwise it is
/// the store that it wraps.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    real: Arc<dyn TenantStore>,
    plan: FaultPlan,
}

impl FaultyStore {
    /// Wraps `real`.
    #[must_use]
    pub fn new(real: Arc<dyn TenantStore>, plan: FaultPlan) -> Self {
        Self { real, plan }
    }

    fn wrap<T: ?Sized>(&self, real: Box<T>) -> Box<Opened<T>> {
        Box::new(Opened {
            real,
            plan: self.plan.clone(),
        })
    }
}

/// What a door opened: a view, a unit of work or a batch.
struct Opened<T: ?Sized> {
    real: Box<T>,
    plan: FaultPlan,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditOutbox for FaultyStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        self.plan
            .through("tenant_store.staged", self.real.staged(limit))
            .await
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.plan
            .through("tenant_store.forget", self.real.forget(events))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scheduling for FaultyStore {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let call = self.real.due_schedules(after, limit);
        self.plan.through("scheduling.due_schedules", call).await
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        self.plan
            .through("scheduling.fire", self.real.fire(fire))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TenantStore for FaultyStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.plan
            .through("tenant_store.memberships", self.real.memberships(user))
            .await
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        let call = self.real.create_organization(new, event);
        self.plan
            .through("tenant_store.create_organization", call)
            .await
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let call = self.real.lapse_exceptions(now, limit);
        self.plan
            .through("tenant_store.lapse_exceptions", call)
            .await
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let real = self
            .plan
            .through("tenant_store.read", self.real.read(scope))
            .await?;
        Ok(self.wrap(real))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        let real = self
            .plan
            .through("tenant_store.begin", self.real.begin(scope))
            .await?;
        Ok(self.wrap(real))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        let real = self
            .plan
            .through("tenant_store.ingest", self.real.ingest(lease))
            .await?;
        Ok(self.wrap(real))
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        let call = self.real.finish(lease, outcome, event);
        self.plan.through("tenant_store.finish", call).await
    }
}
