//! The four doors: one file per aggregate, each with its SQL and its part of the ports.

mod accounts;
mod audit;
mod dead_jobs;
pub(crate) mod events;
mod exceptions;
mod findings;
mod finish;
mod ingest;
mod inventory;
pub(crate) mod jobs;
mod members;
pub(crate) mod organizations;
mod outbox;
mod paging;
mod resources;
pub(crate) mod scans;
mod schedules;
mod scheduling;
mod tags;
mod unit;
mod versions;
mod view;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::UserId;
use trueno_core::model::{EventDraft, Membership, NewOrganization, Organization};
use trueno_core::port::{
    FinishOutcome, Finished, Ingest, Lease, ReadView, TenantStore, UnitOfWork,
};

pub(crate) use finish::{Ended, end_attempt};
use unit::PgUnitOfWork;
use view::PgReadView;

use crate::store::PostgresStore;
use crate::transaction::Mode;

#[async_trait]
impl TenantStore for PostgresStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        organizations::memberships(self, user)
            .await
            .map_err(|error| error.with_operation("tenant_store.memberships"))
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        organizations::create(self, new, event)
            .await
            .map_err(|error| error.with_operation("tenant_store.create_organization"))
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        exceptions::lapse(self, now, limit)
            .await
            .map_err(|error| error.with_operation("tenant_store.lapse_exceptions"))
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let tx = self
            .enter(scope, Mode::Snapshot)
            .await
            .map_err(|error| error.with_operation("tenant_store.read"))?;
        Ok(Box::new(PgReadView::new(tx, *scope)))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        let named = |error: trueno_core::error::Error| error.with_operation("tenant_store.begin");
        scope.require_write().map_err(named)?;
        let mut tx = self.enter(scope, Mode::Write).await.map_err(named)?;
        organizations::require(&mut tx, scope.organization())
            .await
            .map_err(named)?;
        Ok(Box::new(PgUnitOfWork::new(tx, self.clone(), *scope)))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        let ingest = ingest::open(self, lease.reference())
            .await
            .map_err(|error| error.with_operation("tenant_store.ingest"))?;
        Ok(Box::new(ingest))
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        finish::finish(self, lease, outcome, event)
            .await
            .map_err(|error| error.with_operation("tenant_store.finish"))
    }
}
