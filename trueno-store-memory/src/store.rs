//! The store itself: the data, the lock around it, and its clock.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use trueno_core::clock::SharedClock;
use trueno_core::error::{Error, Result};
use trueno_core::id::IdSource;
use trueno_core::id::OrganizationId;
use trueno_core::model::{Actor, AuditEvent, EventDraft, limits};

use crate::state::Database;

/// Tenants' data and their jobs, in memory. Clones share it.
///
/// **Its clock is its own authority** for leases (P10): only the clock given to
/// [`new`](Self::new) decides whether a lease holds, whatever workers' clocks say. A clock that
/// steps back does not take the store's time back with it, so that a lease that ended stays ended.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    ids: IdSource,
    database: Mutex<Database>,
    /// Changes whenever there is work by something that happened here.
    work: watch::Sender<u64>,
}

impl MemoryStore {
    /// An empty store. `ids` makes lease tokens and ids of audit events.
    #[must_use]
    pub fn new(clock: SharedClock, ids: IdSource) -> Self {
        let (work, _) = watch::channel(0);
        let database = Mutex::new(Database::default());
        Self {
            shared: Arc::new(Shared {
                clock,
                ids,
                database,
                work,
            }),
        }
    }

    /// Runs `step` on the data, alone, at the store's present moment. Hints that there may be work
    /// where it let an organization begin jobs that could not.
    pub(crate) fn with<T>(&self, step: impl FnOnce(&mut Database, Timestamp) -> T) -> T {
        let (answer, opened) = {
            let mut database = self.shared.database.lock();
            let now = database.advance_to(self.shared.clock.now());
            let answer = step(&mut database, now);
            (answer, database.queue.take_opened())
        };
        if opened {
            self.wake();
        }
        answer
    }

    /// The store's present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.with(|_, now| now)
    }

    pub(crate) fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    /// Hints that there may be work.
    pub(crate) fn wake(&self) {
        self.shared
            .work
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn hints(&self) -> watch::Receiver<u64> {
        self.shared.work.subscribe()
    }

    /// The event that `draft` becomes: who and when are not the caller's to say.
    pub(crate) fn event(
        &self,
        organization: OrganizationId,
        actor: Actor,
        draft: EventDraft,
        now: Timestamp,
    ) -> Result<AuditEvent> {
        if draft.action.is_empty() {
            return Err(Error::invalid("audit event", "needs an action"));
        }
        limits::event(&draft)?;
        Ok(AuditEvent {
            id: self.ids().next(now),
            organization,
            occurred_at: now,
            actor,
            action: draft.action.to_owned(),
            targets: draft.targets,
            details: draft.details,
        })
    }
}

/// Shows that it is there, and nothing of what it holds.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
