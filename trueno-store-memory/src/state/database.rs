//! Everything that the lock guards.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, UserId};
use trueno_core::model::{AuditEvent, JobStatus, Membership};
use trueno_core::port::LeaseRef;

use super::outbox::Outbox;
use super::sessions::Sessions;
use super::waiting::Waiting;
use super::{Draft, Tables};

/// The data of every organization, and what is derived from it for the queue.
#[derive(Debug, Default)]
pub(crate) struct Database {
    now: Option<Timestamp>,
    organizations: HashMap<OrganizationId, Tables>,
    memberships: HashMap<UserId, BTreeMap<OrganizationId, Membership>>,
    pub(crate) waiting: Waiting,
    pub(crate) sessions: Sessions,
    pub(crate) outbox: Outbox,
}

impl Database {
    /// Time does not go back: a lease that ran out stays lost.
    pub(crate) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        let latest = self.now.map_or(now, |seen| seen.max(now));
        self.now = Some(latest);
        latest
    }

    /// A draft over an organization as it is now.
    pub(crate) fn draft(&self, organization: OrganizationId) -> Result<Draft> {
        Ok(Draft::of(organization, self.tables(organization)?))
    }

    pub(crate) fn tables(&self, organization: OrganizationId) -> Result<&Tables> {
        // What another store gave a scope for is not here.
        self.organizations
            .get(&organization)
            .ok_or_else(|| Error::not_found("organization"))
    }

    /// Applies a draft with its events, as a whole or not at all.
    pub(crate) fn commit(&mut self, draft: Draft, events: Vec<AuditEvent>) -> Result<()> {
        let organization = draft.organization;
        let tables = self
            .organizations
            .get_mut(&organization)
            .ok_or_else(|| Error::not_found("organization"))?;
        draft.check(tables)?;
        // Nothing fails from here on.
        for (job, before, after) in draft.jobs.changes() {
            self.waiting.replace(organization, *job, before, after);
            self.sessions.replace(organization, *job, before, after);
        }
        draft.apply(tables);
        self.outbox.stage(events);
        Ok(())
    }

    pub(crate) fn create(&mut self, owner: Membership, event: AuditEvent) -> Result<()> {
        let organization = owner.organization;
        if self.organizations.contains_key(&organization) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the organization's id is in use",
            ));
        }
        self.organizations.insert(organization, Tables::default());
        self.memberships
            .entry(owner.user)
            .or_default()
            .insert(organization, owner);
        self.outbox.stage(vec![event]);
        Ok(())
    }

    /// A user's memberships, by organization.
    pub(crate) fn memberships(&self, user: UserId) -> Vec<Membership> {
        let found = self.memberships.get(&user);
        found
            .map(|found| found.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether `lease` is held at `now`: its job runs under its token, for its session, and the
    /// session's time has not run out.
    pub(crate) fn holds(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        let job = self
            .organizations
            .get(&lease.organization)
            .and_then(|t| t.job(lease.job));
        job.is_some_and(|job| {
            job.state.status == JobStatus::Running
                && job.state.token == Some(lease.token)
                && job.holder == Some(lease.session)
        }) && self.sessions.is_live(lease.session, now)
    }

    /// Passes while `lease` is held (P3).
    pub(crate) fn require(&self, lease: &LeaseRef, now: Timestamp) -> Result<()> {
        if self.holds(lease, now) {
            Ok(())
        } else {
            Err(Error::stale_lease())
        }
    }
}
