//! The four doors to tenant data.

mod accounts;
mod audit;
mod cursor;
mod exceptions;
mod filters;
mod findings;
mod finish;
mod ingest;
mod jobs;
mod organizations;
mod outbox;
mod read_view;
mod resources;
mod scans;
mod schedules;
mod scheduling;
mod unit_of_work;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{
    Actor, EventDraft, Member, Membership, NewOrganization, Organization, Role, Version,
};
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
            let organization = Organization {
                id: new.id(),
                name: new.name().to_owned(),
                created_at: now,
            };
            let owner = Member {
                user: new.owner(),
                role: Role::Owner,
                created_at: now,
                version: 1,
            };
            database.create(organization.clone(), owner, event)?;
            Ok(organization)
        });
        named("tenant_store.create_organization", create)
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        let lapse = self.with(|database, at| {
            let by = Stamp {
                actor: Actor::System,
                at,
            };
            let due = database.expiries.due(now, None, limit);
            for (_, organization, id) in &due {
                let mut draft = database.draft(*organization)?;
                let exception = draft.lapse_exception(*id, by)?;
                let event = EventDraft::new("exception.lapsed", "exception", id)
                    .with_target("finding", exception.finding);
                let event = self.event(*organization, by.actor, event, at)?;
                database.commit(draft, vec![event])?;
            }
            Ok(due.len() as u64)
        });
        named("tenant_store.lapse_exceptions", lapse)
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let view = self.with(|database, now| {
            require_view(database, scope, now)?;
            Ok(View::new(*scope, database.draft(scope.organization())?))
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

/// Who changes something, and when.
#[derive(Clone, Copy)]
struct Stamp {
    actor: Actor,
    at: Timestamp,
}

/// The member that a unit of work is begun by: `begin` lets nobody else in.
fn member_of(scope: &OrgScope) -> Result<UserId> {
    scope
        .member_id()
        .ok_or_else(|| Error::new(ErrorKind::Denied, "only a member does this"))
}

/// Passes where the row is as it was read.
fn require_version(what: &str, present: Version, read: Version) -> Result<()> {
    if present == read {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("the {what} was changed since it was read; read it and try again"),
    ))
}

fn account_not_found() -> Error {
    Error::not_found("cloud account")
}

fn member_not_found() -> Error {
    Error::not_found("member")
}

fn named<T>(operation: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.with_operation(operation))
}
