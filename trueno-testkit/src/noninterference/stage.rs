//! The store that both play on, the time that passes there, and A's chance to act.

use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::sync::Mutex;
use trueno_core::id::{AuditEventId, IdSource, OrganizationId};
use trueno_core::model::AuditEvent;
use trueno_core::port::{JobQueue, TenantStore};
use trueno_core::runtime::{Scheduler, SchedulerConfig};

use super::life::Life;
use super::names::SHARED_KIND;
use super::transcript::Notes;
use crate::harness::StoreHarness;

/// Between any two events of B lies that much at the least, so that their ids, which are ordered by
/// time to the millisecond, come in one order only.
const BETWEEN_EVENTS: Duration = Duration::from_millis(1);

/// When schedules fire, on one stage or another.
pub(super) const HOURLY: [&str; 2] = ["0 * * * *", "30 * * * *"];

/// More than there ever is.
const ALL: usize = 1_000;

/// A side's view of the stage.
pub(super) struct Stage<'a> {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) queue: Arc<dyn JobQueue>,
    /// When schedules fire: every hour, and neither now nor soon, so that how many ticks have come
    /// depends on the hours that passed on this stage alone.
    pub(super) hourly: &'static str,
    harness: &'a dyn StoreHarness,
    backstage: Backstage,
}

/// Whose stage it is.
enum Backstage {
    /// B's: time passes, and A may be there.
    Neighbour(Box<Mutex<Option<Life>>>),
    /// A's, while it acts: the whole of it happens at one moment of B's.
    Nobody,
}

impl<'a> Stage<'a> {
    pub(super) async fn new(harness: &'a dyn StoreHarness, neighbour: Option<Life>) -> Self {
        // A quarter of an hour away, at the least, on both sides.
        let minute = harness.now().await.to_zoned(TimeZone::UTC).minute();
        let hourly = match minute {
            15..45 => HOURLY[0],
            _ => HOURLY[1],
        };
        Self {
            store: harness.store(),
            queue: harness.queue(),
            hourly,
            harness,
            backstage: Backstage::Neighbour(Box::new(Mutex::new(neighbour))),
        }
    }

    fn of_neighbour(&self) -> Self {
        Self {
            store: self.store.clone(),
            queue: self.queue.clone(),
            hourly: self.hourly,
            harness: self.harness,
            backstage: Backstage::Nobody,
        }
    }

    /// Lets A act, as often as it likes to. Boxed, since A's acts come here too.
    pub(super) fn pause(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            let Backstage::Neighbour(neighbour) = &self.backstage else {
                return;
            };
            if let Some(a) = &mut *neighbour.lock().await {
                while a.likes_to_act() {
                    a.act(&self.of_neighbour()).await;
                }
            }
        })
    }

    /// Tells B of what A had to wait for until it gave up. Nobody waits for another organization.
    pub(super) async fn tell_waits(&self, notes: &mut Notes) {
        let Backstage::Neighbour(neighbour) = &self.backstage else {
            return;
        };
        if let Some(a) = &mut *neighbour.lock().await {
            for wait in a.notes.take_waits() {
                notes.line("neighbour_waited", &Value::from(wait));
            }
        }
    }

    pub(super) async fn now(&self) -> Timestamp {
        let now = self.harness.now().await;
        // What every store keeps.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap()
    }

    /// Lets time pass, at B's steps only.
    pub(super) async fn pass(&self, by: Duration) {
        if matches!(self.backstage, Backstage::Neighbour(_)) {
            self.harness.advance(by).await;
        }
    }

    /// Before whatever stages an event.
    pub(super) async fn tick(&self) {
        self.pass(BETWEEN_EVENTS).await;
    }

    /// Takes jobs back from everybody whose time ran out.
    pub(super) async fn recover(&self, notes: &mut Notes) {
        self.tick().await;
        let recovered = self.queue.recover_expired(ALL).await;
        notes.answer("recover_expired", &recovered.map(|_| ()));
    }

    /// Ends everybody's exceptions that are over by `now`.
    pub(super) async fn lapse(&self, now: Timestamp, notes: &mut Notes) {
        self.tick().await;
        let lapsed = self.store.lapse_exceptions(now, ALL).await;
        notes.answer("lapse_exceptions", &lapsed.map(|_| ()));
    }

    /// Fires everybody's schedules that are due. Between any two of `organization` lies a moment, as
    /// between its events.
    pub(super) async fn fire(&self, organization: OrganizationId, notes: &mut Notes) {
        let config = SchedulerConfig::default()
            .with_most_per_tick(1)
            .with_job_kind(SHARED_KIND);
        let scheduler = Scheduler::new(self.store.clone(), config, IdSource::random()).unwrap();
        loop {
            let next = self.store.due_schedules(None, 1).await;
            match next.as_deref() {
                Ok([next]) if next.organization == organization => self.tick().await,
                Ok([_]) => {}
                _ => return notes.answer("due_schedules", &next.map(|_| ())),
            }
            match scheduler.tick().await {
                Ok(report) if report.failed == 0 => {}
                // What fails is due still.
                told => return notes.line("not_fired", &Value::from(format!("{told:?}"))),
            }
        }
    }

    /// Moves everybody's events out of the outbox. Takes down those of `organization`, in their
    /// order: what its ledger would be.
    pub(super) async fn sequence(&self, organization: OrganizationId, notes: &mut Notes) {
        let staged = self.store.staged(10 * ALL).await.unwrap();
        let ids: Vec<AuditEventId> = staged.iter().map(|event| event.id).collect();
        let own = |event: &AuditEvent| event.organization == organization;
        let own: Vec<AuditEvent> = staged.into_iter().filter(own).collect();
        notes.answer("staged", &Ok(own));
        notes.answer("forget", &self.store.forget(&ids).await);
    }

    /// Leaves nothing behind that would slow down a run of another seed: A ends, and nothing waits
    /// for the ledger. Answers how many steps A took.
    pub(super) async fn clear(&self) -> u64 {
        let mut acts = 0;
        if let Backstage::Neighbour(neighbour) = &self.backstage
            && let Some(a) = &mut *neighbour.lock().await
        {
            acts = a.age as u64;
            a.erase(&self.of_neighbour()).await;
        }
        let staged = self.store.staged(10 * ALL).await.unwrap();
        let ids: Vec<AuditEventId> = staged.iter().map(|event| event.id).collect();
        self.store.forget(&ids).await.unwrap();
        acts
    }
}
