//! Everything that the lock guards.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{ExceptionId, OrganizationId, ScheduleId, UserId};
use trueno_core::model::{AuditEvent, Exception, Member, Membership, Organization, Schedule};
use trueno_core::port::LeaseRef;
use trueno_core::state::lease;

use super::deadlines::Deadlines;
use super::draft::organization_not_found;
use super::outbox::Outbox;
use super::queue::Queue;
use super::sessions::Sessions;
use super::{Draft, Tables};

/// The data of every organization, and what is derived from it: for the queue, for the way from a
/// user to their organizations, for the exceptions that lapse and for the schedules that fire.
#[derive(Debug, Default)]
pub(crate) struct Database {
    now: Option<Timestamp>,
    /// Erased ones too, with nothing but their audit events: an id is never used again.
    organizations: HashMap<OrganizationId, Tables>,
    /// The organizations that a user is a member of.
    memberships: HashMap<UserId, BTreeSet<OrganizationId>>,
    pub(crate) queue: Queue,
    pub(crate) sessions: Sessions,
    /// Exceptions that wait or hold.
    pub(crate) expiries: Deadlines<ExceptionId>,
    /// Schedules that are followed.
    pub(crate) ticks: Deadlines<ScheduleId>,
    pub(crate) outbox: Outbox,
}

impl Database {
    /// Time does not go back: a lease that ran out stays lost.
    pub(crate) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        let latest = self.now.map_or(now, |seen| seen.max(now));
        self.now = Some(latest);
        self.queue.advance_to(latest);
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
            .ok_or_else(organization_not_found)
    }

    /// Passes while an organization is there.
    pub(crate) fn require_organization(&self, organization: OrganizationId) -> Result<()> {
        if self.tables(organization)?.is_erased() {
            return Err(organization_not_found());
        }
        Ok(())
    }

    /// Applies a draft with its events, as a whole or not at all.
    pub(crate) fn commit(&mut self, draft: Draft, events: Vec<AuditEvent>) -> Result<()> {
        self.require_organization(draft.organization)?;
        let tables = self.tables(draft.organization)?;
        let draft = if draft.erases() {
            // What was added since it began goes with the rest.
            Draft::emptying(draft.organization, tables)
        } else {
            draft.check(tables)?;
            draft
        };
        self.apply(draft, events);
        Ok(())
    }

    /// Makes the changes of a draft that was checked. Nothing fails from here on.
    fn apply(&mut self, mut draft: Draft, events: Vec<AuditEvent>) {
        let organization = draft.organization;
        for (job, before, after) in draft.jobs.changes() {
            self.queue.replace(organization, *job, before, after);
            self.sessions.replace(organization, *job, before, after);
        }
        if draft.erases() {
            self.queue.forget(organization);
        }
        for (_, before, after) in draft.exceptions.changes() {
            let expiry = |row: Option<&Arc<Exception>>| {
                row.filter(|row| row.status.is_live())
                    .map(|row| (row.expires_at, row.id))
            };
            self.expiries
                .replace(organization, expiry(before), expiry(after));
        }
        for (_, before, after) in draft.schedules.changes() {
            let tick =
                |row: Option<&Arc<Schedule>>| row.and_then(|row| Some((row.next_run_at?, row.id)));
            self.ticks.replace(organization, tick(before), tick(after));
        }
        for (user, _, after) in draft.members.changes() {
            let organizations = self.memberships.entry(*user).or_default();
            if after.is_some() {
                organizations.insert(organization);
            } else {
                organizations.remove(&organization);
            }
            if organizations.is_empty() {
                self.memberships.remove(user);
            }
        }
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        for event in &events {
            draft.audit.put(Reverse(event.id), event.clone());
        }
        draft.apply(self.organizations.entry(organization).or_default());
        self.outbox.stage(events);
    }

    /// Forgets up to `limit` jobs that ended at least `age` ago and are not dead.
    pub(crate) fn forget_finished(&mut self, now: Timestamp, age: Duration, limit: usize) -> u64 {
        let before = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let mut forgotten = 0;
        for tables in self.organizations.values_mut() {
            forgotten += tables.forget_finished(before, limit - forgotten);
        }
        forgotten as u64
    }

    /// Adds an organization with its first owner.
    pub(crate) fn create(
        &mut self,
        organization: Organization,
        owner: Member,
        event: AuditEvent,
    ) -> Result<()> {
        if self.organizations.contains_key(&organization.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the organization's id is in use",
            ));
        }
        let mut draft = Draft::of(organization.id, &Tables::default());
        draft.profile.put((), organization);
        draft.members.put(owner.user, owner);
        self.apply(draft, vec![event]);
        Ok(())
    }

    /// A user's memberships, by organization.
    pub(crate) fn memberships(&self, user: UserId) -> Vec<Membership> {
        let organizations = self.memberships.get(&user).into_iter().flatten();
        organizations
            .filter_map(|organization| {
                let member = self.organizations.get(organization)?.member(user)?;
                Some(Membership {
                    organization: *organization,
                    user,
                    role: member.role,
                })
            })
            .collect()
    }

    /// Whether `lease` is held at `now`: its job runs under its token, for its session, and the
    /// session's time has not run out.
    pub(crate) fn holds(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        let job = self
            .organizations
            .get(&lease.organization)
            .and_then(|t| t.job(lease.job));
        let expires_at = self.sessions.expires_at(lease.session);
        job.zip(expires_at).is_some_and(|(job, expires_at)| {
            job.holder == Some(lease.session)
                && lease::holds(&job.state, lease.token, expires_at, now)
        })
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
