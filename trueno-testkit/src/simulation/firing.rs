//! What schedulers really ask of the store, beneath the faults: written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{AuditEventId, ScheduleId, UserId};
use trueno_core::model::{AuditEvent, EventDraft, Membership, NewOrganization, Organization};
use trueno_core::port::{
    AuditOutbox, DuePosition, DueSchedule, FinishOutcome, Finished, Fire, Fired, Ingest, Lease,
    ReadView, Scheduling, TenantStore, UnitOfWork,
};

use super::watch::Log;

/// A schedule's tick that is due.
pub(super) type Due = (ScheduleId, Timestamp);

/// What schedulers read, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Firing {
    /// Schedules in the order in which they were made: their names.
    pub(super) made: Mutex<Vec<ScheduleId>>,
    /// When a tick was read as due, by the store's clock, by whoever fired it.
    pub(super) read: Mutex<BTreeMap<Due, Timestamp>>,
    /// What each scheduler has read and not fired.
    pub(super) in_hand: Mutex<BTreeMap<(usize, Due), Timestamp>>,
}

impl Firing {
    /// A name that says nothing of its id.
    pub(super) fn name(&self, schedule: ScheduleId) -> String {
        let made = self.made.lock();
        let nth = made.iter().position(|made| *made == schedule);
        nth.map_or_else(|| schedule.to_string(), |nth| format!("schedule {nth}"))
    }
}

/// The store as it is, watched.
#[derive(Debug)]
pub(super) struct WatchedStore {
    pub(super) real: Arc<dyn TenantStore>,
    pub(super) log: Arc<Log>,
    pub(super) firing: Arc<Firing>,
    /// The number of the scheduler whose requests these are.
    pub(super) nth: usize,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scheduling for WatchedStore {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let due = self.real.due_schedules(after, limit).await?;
        let mut in_hand = self.firing.in_hand.lock();
        for due in &due {
            in_hand.insert((self.nth, (due.id, due.due_at)), due.now);
        }
        Ok(due)
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        let due = (fire.schedule, fire.due_at);
        let what = format!(
            "{}, due at {}: {:?} runs, {} passed over",
            self.firing.name(fire.schedule),
            fire.due_at,
            fire.run.as_ref().map(|run| run.tick),
            fire.passed_over
        );
        let fired = self.real.fire(fire).await?;
        let read = self.firing.in_hand.lock().remove(&(self.nth, due));
        if !matches!(fired, Fired::AlreadyFired | Fired::Busy) {
            self.firing.read.lock().extend(read.map(|read| (due, read)));
        }
        let nth = self.nth;
        self.log
            .line(format_args!("scheduler {nth} fires {what}: {fired:?}"));
        Ok(fired)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditOutbox for WatchedStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        self.real.staged(limit).await
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.real.forget(events).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TenantStore for WatchedStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.real.memberships(user).await
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        self.real.create_organization(new, event).await
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.real.lapse_exceptions(now, limit).await
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        self.real.read(scope).await
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        self.real.begin(scope).await
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        self.real.ingest(lease).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        self.real.finish(lease, outcome, event).await
    }
}
