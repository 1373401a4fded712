//! The four doors to tenant data.

mod accounts;
mod cursor;
mod findings;
mod finish;
mod ingest;
mod jobs;
mod outbox;
mod read_view;
mod resources;
mod scans;
mod unit_of_work;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::Result;
use trueno_core::id::UserId;
use trueno_core::model::{Actor, EventDraft, Membership, NewOrganization, Organization, Role};
use trueno_core::port::{
    FinishOutcome, Finished, Ingest, Lease, ReadView, TenantStore, UnitOfWork,
};

use crate::MemoryStore;
use crate::state::Database;

use ingest::Batch;
use read_view::View;
use unit_of_work::Unit;

#[async_trait]
impl TenantStore for MemoryStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        Ok(self.with(|database, _| database.memberships(user)))
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        let create = self.with(|database, now| {
            // Its first owner is who creates it: there is no scope in it before.
            let actor = Actor::Member { user: new.owner() };
            let event = self.event(new.id(), actor, event, now)?;
            let owner = Membership {
                organization: new.id(),
                user: new.owner(),
                role: Role::Owner,
            };
            database.create(owner, event)?;
            Ok(Organization {
                id: new.id(),
                name: new.name().to_owned(),
                created_at: now,
            })
        });
        named("tenant_store.create_organization", create)
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let view = self.with(|database, now| {
            require_view(database, scope, now)?;
            Ok(View::new(database.draft(scope.organization())?))
        });
        Ok(Box::new(named("tenant_store.read", view)?))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        let begin = || {
            scope.require_write()?;
            let draft = self.with(|database, _| database.draft(scope.organization()))?;
            Ok(Unit::new(self.clone(), *scope, draft))
        };
        Ok(Box::new(named("tenant_store.begin", begin())?))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        Ok(Box::new(named(
            "tenant_store.ingest",
            Batch::open(self.clone(), lease.reference()),
        )?))
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        named(
            "tenant_store.finish",
            finish::finish(self, lease, outcome, event),
        )
    }
}

/// Passes where `scope` may look: a member's always, a processor's while its lease holds (P3).
pub(crate) fn require_view(database: &Database, scope: &OrgScope, now: Timestamp) -> Result<()> {
    match scope.authority() {
        Authority::Lease(lease) => database.require(&lease, now),
        _ => Ok(()),
    }
}

fn named<T>(operation: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.with_operation(operation))
}
