//! The write door of members.

use std::collections::BTreeSet;

use async_trait::async_trait;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, JobId, OrganizationId, UserId};
use trueno_core::model::{Actor, EventDraft};
use trueno_core::port::UnitOfWork;

use super::events;
use crate::store::PostgresStore;
use crate::transaction::Tx;

/// Changes in one transaction. It is taken out for every step and put back only when the step went
/// well: one that failed, or whose future was dropped half-way, rolls everything back, so that
/// nothing half-done can be committed.
pub(super) struct PgUnitOfWork {
    tx: Option<Tx>,
    store: PostgresStore,
    scope: OrgScope,
    /// Jobs that scans were added for: each has to be enqueued here too.
    pub(super) awaited: BTreeSet<JobId>,
    /// Jobs that were enqueued: workers are woken up after the commit.
    pub(super) created: BTreeSet<JobId>,
    /// The organization was erased here.
    erased: bool,
}

impl PgUnitOfWork {
    pub(super) fn new(tx: Tx, store: PostgresStore, scope: OrgScope) -> Self {
        Self {
            tx: Some(tx),
            store,
            scope,
            awaited: BTreeSet::new(),
            created: BTreeSet::new(),
            erased: false,
        }
    }

    pub(super) fn scope(&self) -> &OrgScope {
        &self.scope
    }

    pub(super) fn organization(&self) -> OrganizationId {
        self.scope.organization()
    }

    pub(super) fn actor(&self) -> Actor {
        self.scope.actor()
    }

    /// The member whose unit of work it is.
    pub(super) fn member(&self) -> Result<UserId> {
        self.scope.member_id().ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                "a lease writes through ingest and finish, never through a unit of work",
            )
        })
    }

    /// Passes where the member's role allows `action`, whatever the scope was given for.
    pub(super) fn permit(&self, action: Action) -> Result<()> {
        self.scope.permit(action)
    }

    /// The organization was erased, with the jobs that were enqueued for it.
    pub(super) fn erase(&mut self) {
        self.erased = true;
        self.awaited.clear();
        self.created.clear();
    }

    pub(super) fn take(&mut self) -> Result<Tx> {
        self.tx.take().ok_or_else(spent)
    }

    pub(super) fn put_back(&mut self, tx: Tx) {
        self.tx = Some(tx);
    }

    /// A scan whose job nobody enqueued would stay queued for good: nothing would ever end it.
    fn require_jobs_of_scans(&self) -> Result<()> {
        match self.awaited.difference(&self.created).next() {
            None => Ok(()),
            Some(job) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("scan: its job {job} has to be enqueued in the same unit of work"),
            )
            .with_applied(Applied::No)),
        }
    }
}

/// What came before failed: nothing of it was applied, and nothing more can be.
pub(super) fn spent() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "an earlier step failed and undid everything; begin anew",
    )
    .with_applied(Applied::No)
}

/// One step: see [`PgUnitOfWork`]. One `for` an action is refused unless the member's role allows it.
macro_rules! step {
    ($unit:expr, $name:ident for $action:ident, $tx:ident => $body:expr) => {{
        let permitted = $unit.permit(trueno_core::access::Action::$action);
        $crate::tenant_store::unit::step!($unit, $name, $tx => async {
            permitted?;
            $body.await
        })
    }};
    ($unit:expr, $name:ident, $tx:ident => $body:expr) => {{
        let mut $tx = $unit.take()?;
        match $body.await {
            Ok(answer) => {
                $unit.put_back($tx);
                Ok(answer)
            }
            Err(error) => Err($tx
                .fail(error)
                .await
                .with_operation(concat!("tenant_store.", stringify!($name)))),
        }
    }};
}

pub(super) use step;

#[async_trait]
impl UnitOfWork for PgUnitOfWork {
    async fn commit(mut self: Box<Self>, event: EventDraft) -> Result<AuditEventId> {
        let mut tx = self.take()?;
        let committed = async {
            self.require_jobs_of_scans()?;
            let (ids, organization) = (self.store.ids(), self.organization());
            let id = if self.erased {
                events::stage_last(&mut tx, ids, organization, self.actor(), event).await?
            } else {
                events::stage(&mut tx, ids, organization, self.actor(), event).await?
            };
            tx.commit().await?;
            Ok(id)
        };
        let id = committed
            .await
            .map_err(|error: Error| error.with_operation("tenant_store.commit"))?;
        if !self.created.is_empty() {
            self.store.wake();
        }
        Ok(id)
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        match self.tx.take() {
            Some(tx) => tx
                .rollback()
                .await
                .map_err(|error| error.with_operation("tenant_store.rollback")),
            // It was rolled back when it failed.
            None => Ok(()),
        }
    }
}
