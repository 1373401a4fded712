//! Worker sessions: when their time runs out, which kinds they take, and which jobs they hold.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId, WorkerSessionId};
use trueno_core::model::JobKind;
use trueno_core::state::lease;

use super::JobRow;

#[derive(Debug)]
struct Session {
    expires_at: Timestamp,
    /// All that it ever asked for.
    kinds: BTreeSet<JobKind>,
    held: BTreeSet<(OrganizationId, JobId)>,
}

/// Every session that there ever was: one that is over is kept, so that it never opens again.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<WorkerSessionId, Session>,
    /// Those that are not over, or hold jobs still: what is looked for is found among them, however
    /// many there were.
    by_expiry: BTreeSet<(Timestamp, WorkerSessionId)>,
}

impl Sessions {
    /// A claim of jobs of these kinds: opens its session, or extends it. Answers when its time runs
    /// out.
    pub(crate) fn open(
        &mut self,
        id: WorkerSessionId,
        kinds: &[JobKind],
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Timestamp> {
        if let Entry::Vacant(new) = self.all.entry(id) {
            let expires_at = lease::until(now, lease_for);
            new.insert(Session {
                expires_at,
                kinds: kinds.iter().cloned().collect(),
                held: BTreeSet::new(),
            });
            self.by_expiry.insert((expires_at, id));
            return Ok(expires_at);
        }
        let expires_at = self.extend(id, now, lease_for)?;
        if let Some(session) = self.all.get_mut(&id) {
            for kind in kinds {
                if !session.kinds.contains(kind) {
                    session.kinds.insert(kind.clone());
                }
            }
        }
        Ok(expires_at)
    }

    /// Extends a session that is open. What it has already is never cut short.
    pub(crate) fn extend(
        &mut self,
        id: WorkerSessionId,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Timestamp> {
        let over = || {
            Error::new(
                ErrorKind::StaleLease,
                "the worker session is over; take a new session id",
            )
        };
        let session = self.all.get_mut(&id).ok_or_else(over)?;
        let before = session.expires_at;
        session.expires_at = lease::extend(before, now, lease_for).ok_or_else(over)?;
        if session.expires_at != before {
            self.by_expiry.remove(&(before, id));
            self.by_expiry.insert((session.expires_at, id));
        }
        Ok(session.expires_at)
    }

    /// When its time runs out, or ran out.
    pub(crate) fn expires_at(&self, id: WorkerSessionId) -> Option<Timestamp> {
        self.all.get(&id).map(|session| session.expires_at)
    }

    /// Whether a session whose time has not run out takes jobs of this kind.
    pub(crate) fn take_kind(&self, kind: &JobKind, now: Timestamp) -> bool {
        let live = self.by_expiry.iter().rev();
        live.take_while(|(expires_at, _)| lease::is_live(*expires_at, now))
            .filter_map(|(_, id)| self.all.get(id))
            .any(|session| session.kinds.contains(kind))
    }

    /// The jobs that a session holds, by organization and id.
    pub(crate) fn held(&self, id: WorkerSessionId) -> Vec<(OrganizationId, JobId)> {
        self.all
            .get(&id)
            .map(|session| session.held.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Up to `limit` jobs that are held by sessions whose time ran out.
    pub(crate) fn orphans(&mut self, now: Timestamp, limit: usize) -> Vec<(OrganizationId, JobId)> {
        let Self { all, by_expiry } = self;
        let mut orphans = Vec::new();
        let mut idle = Vec::new();
        for place in by_expiry
            .iter()
            .take_while(|(at, _)| !lease::is_live(*at, now))
        {
            match all.get_mut(&place.1) {
                Some(session) if !session.held.is_empty() => {
                    let left = limit - orphans.len();
                    orphans.extend(session.held.iter().copied().take(left));
                    if orphans.len() == limit {
                        break;
                    }
                }
                session => {
                    // It is over and holds nothing, for good.
                    session
                        .into_iter()
                        .for_each(|over| over.kinds = BTreeSet::default());
                    idle.push(*place);
                }
            }
        }
        for place in idle {
            by_expiry.remove(&place);
        }
        orphans
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
        if let Some(session) = before.and_then(|id| self.all.get_mut(&id)) {
            session.held.remove(&(organization, job));
        }
        if let Some(session) = after.and_then(|id| self.all.get_mut(&id)) {
            session.held.insert((organization, job));
        }
    }
}
