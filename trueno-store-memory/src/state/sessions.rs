//! Worker sessions: when their time runs out, and which jobs they hold.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId, WorkerSessionId};

use super::JobRow;

#[derive(Debug)]
struct Session {
    expires_at: Timestamp,
    held: BTreeSet<(OrganizationId, JobId)>,
}

/// Every session that there ever was: one that is over is kept, so that it never opens again.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<WorkerSessionId, Session>);

impl Sessions {
    /// Opens a session, or extends it. Answers when its time runs out.
    pub(crate) fn open(
        &mut self,
        id: WorkerSessionId,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Timestamp> {
        if let Entry::Vacant(new) = self.0.entry(id) {
            let expires_at = until(now, lease_for);
            new.insert(Session {
                expires_at,
                held: BTreeSet::new(),
            });
            return Ok(expires_at);
        }
        self.extend(id, now, lease_for)
    }

    /// Extends a session that is open. What it has already is never cut short.
    pub(crate) fn extend(
        &mut self,
        id: WorkerSessionId,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Timestamp> {
        match self.0.get_mut(&id) {
            Some(session) if session.expires_at > now => {
                session.expires_at = session.expires_at.max(until(now, lease_for));
                Ok(session.expires_at)
            }
            _ => Err(Error::new(
                ErrorKind::StaleLease,
                "the worker session is over; take a new session id",
            )),
        }
    }

    /// Whether its time has not run out.
    pub(crate) fn is_live(&self, id: WorkerSessionId, now: Timestamp) -> bool {
        self.0
            .get(&id)
            .is_some_and(|session| session.expires_at > now)
    }

    /// The jobs that a session holds, by organization and id.
    pub(crate) fn held(&self, id: WorkerSessionId) -> Vec<(OrganizationId, JobId)> {
        self.0
            .get(&id)
            .map(|session| session.held.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Up to `limit` jobs that are held by sessions whose time ran out.
    pub(crate) fn orphans(&self, now: Timestamp, limit: usize) -> Vec<(OrganizationId, JobId)> {
        let over = self.0.values().filter(|session| session.expires_at <= now);
        over.flat_map(|session| session.held.iter().copied())
            .take(limit)
            .collect()
    }

    /// How many jobs are held, by anybody.
    pub(crate) fn running(&self) -> u64 {
        self.0
            .values()
            .map(|session| session.held.len() as u64)
            .sum()
    }

    /// Follows a change of a job.
    pub(crate) fn replace(
        &mut self,
        organization: OrganizationId,
        job: JobId,
        before: Option<&Arc<JobRow>>,
        after: Option<&Arc<JobRow>>,
    ) {
        let holder = |row: Option<&Arc<JobRow>>| row.and_then(|row| row.holder);
        let (before, after) = (holder(before), holder(after));
        if before == after {
            return;
        }
        if let Some(session) = before.and_then(|id| self.0.get_mut(&id)) {
            session.held.remove(&(organization, job));
        }
        if let Some(session) = after.and_then(|id| self.0.get_mut(&id)) {
            session.held.insert((organization, job));
        }
    }
}

fn until(now: Timestamp, lease_for: Duration) -> Timestamp {
    now.saturating_add(lease_for).unwrap_or(Timestamp::MAX)
}
