//! A unit of work: a draft that is committed with its event, or never was.

use std::collections::BTreeSet;

use async_trait::async_trait;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, JobId, UserId};
use trueno_core::model::{AuditEvent, EventDraft};
use trueno_core::port::UnitOfWork;

use super::{Stamp, named};
use crate::MemoryStore;
use crate::state::{Database, Draft};

/// Changes of one organization that nobody sees before their commit.
pub(super) struct Unit {
    pub(super) store: MemoryStore,
    pub(super) scope: OrgScope,
    draft: Draft,
    /// Jobs that scans were added for: each has to be enqueued here too.
    pub(super) awaited: BTreeSet<JobId>,
    /// Users whose membership ended: nobody may have assigned a finding to them meanwhile.
    pub(super) removed: BTreeSet<UserId>,
    spent: bool,
}

impl Unit {
    pub(super) fn new(store: MemoryStore, scope: OrgScope, draft: Draft) -> Self {
        Self {
            store,
            scope,
            draft,
            awaited: BTreeSet::new(),
            removed: BTreeSet::new(),
            spent: false,
        }
    }

    /// Runs one step on the draft. Once a step failed, no other runs: what was asked for can no
    /// longer be done as a whole.
    pub(super) fn step<T>(
        &mut self,
        operation: &'static str,
        step: impl FnOnce(&mut Draft) -> Result<T>,
    ) -> Result<T> {
        self.require_unspent()
            .and_then(|()| step(&mut self.draft))
            .map_err(|error| {
                self.spent = true;
                error.with_operation(operation)
            })
    }

    /// A step that writes: only while the organization is there.
    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut Draft) -> Result<T>,
    ) -> Result<T> {
        self.step(operation, |draft| {
            draft.require_organization()?;
            write(draft)
        })
    }

    /// A write that needs a role which allows `action`.
    pub(super) fn write_as<T>(
        &mut self,
        action: Action,
        operation: &'static str,
        write: impl FnOnce(&mut Draft) -> Result<T>,
    ) -> Result<T> {
        let permitted = self.scope.permit(action);
        self.step(operation, |draft| {
            permitted?;
            draft.require_organization()?;
            write(draft)
        })
    }

    /// Who writes, and when.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            actor: self.scope.actor(),
            at: self.store.now(),
        }
    }

    fn require_unspent(&self) -> Result<()> {
        if self.spent {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the unit of work is spent: one of its calls failed before; begin another",
            ));
        }
        Ok(())
    }

    fn commit_in(self, database: &mut Database, event: AuditEvent) -> Result<bool> {
        if let Some(job) = self.awaited.iter().find(|job| !self.draft.jobs.added(job)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("scan: its job {job} has to be enqueued in the same unit of work"),
            ));
        }
        let tables = database.tables(self.draft.organization)?;
        for user in &self.removed {
            let mut assigned = tables.assigned_to(*user);
            if assigned.any(|finding| !self.draft.findings.touched(finding)) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "a finding was assigned to the member meanwhile; try again",
                ));
            }
        }
        let work = self
            .draft
            .jobs
            .changes()
            .any(|(_, before, _)| before.is_none());
        database.commit(self.draft, vec![event])?;
        Ok(work)
    }
}

#[async_trait]
impl UnitOfWork for Unit {
    async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId> {
        let (store, scope) = (self.store.clone(), self.scope);
        let commit = || {
            self.require_unspent()?;
            store.with(|database, now| {
                let event = store.event(scope.organization(), scope.actor(), event, now)?;
                let id = event.id;
                Ok((id, self.commit_in(database, event)?))
            })
        };
        let (id, work) = named("unit_of_work.commit", commit())?;
        if work {
            store.wake();
        }
        Ok(id)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        // Nobody has seen the draft: dropping it is all there is to do.
        Ok(())
    }
}
