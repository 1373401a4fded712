//! Stores that fire schedules wrongly: the simulation finds it within few seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::OrgScope;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, UserId};
use trueno_core::model::{
    AuditEvent, EventDraft, Membership, MissedTicks, NewOrganization, Organization,
};
use trueno_core::port::{
    AuditOutbox, DuePosition, DueSchedule, FinishOutcome, Finished, Fire, Fired, Ingest, Lease,
    ReadView, Scheduling, TenantStore, UnitOfWork,
};
use trueno_testkit::simulation::{Parts, simulate};

use crate::memory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// A schedule moves on in one transaction, its tick is enqueued in another, and every fifth time
    /// nobody lives to begin that one.
    MovesOnFirst,
    /// Ticks that were missed run, whatever the policy.
    ForgetsThePolicy,
}

/// A store that is wrong in one way, and otherwise the one that it wraps.
#[derive(Debug)]
struct Wrong {
    real: Arc<dyn TenantStore>,
    defect: Defect,
    fired: AtomicU64,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scheduling for Wrong {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let mut due = self.real.due_schedules(after, limit).await?;
        for due in &mut due {
            match self.defect {
                Defect::ForgetsThePolicy => due.missed = MissedTicks::RunAll,
                Defect::MovesOnFirst => {}
            }
        }
        Ok(due)
    }

    async fn fire(&self, mut fire: Fire) -> Result<Fired> {
        if self.defect == Defect::MovesOnFirst
            && self.fired.fetch_add(1, Ordering::Relaxed) % 5 == 4
        {
            fire.run = None;
            self.real.fire(fire).await?;
            return Err(Error::new(ErrorKind::Unavailable, "nobody lives to say"));
        }
        self.real.fire(fire).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditOutbox for Wrong {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        self.real.staged(limit).await
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.real.forget(events).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TenantStore for Wrong {
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

/// Fails unless one of the first seeds shows the defect, in these words.
fn finds(defect: Defect, words: &str) {
    for seed in 0..50 {
        let run = simulate(seed, |clock, ids| {
            let Parts { queue, store } = memory(clock, ids);
            let store = Arc::new(Wrong {
                real: store,
                defect,
                fired: AtomicU64::new(0),
            });
            Parts { queue, store }
        });
        if run.broken.iter().any(|broken| broken.contains(words)) {
            assert!(run.to_string().ends_with(&format!("TRUENO_SEED={seed}")));
            return;
        }
    }
    panic!("{defect:?} was not found");
}

#[test]
fn a_tick_that_is_lost_between_two_transactions_is_found() {
    finds(Defect::MovesOnFirst, "lost or doubled");
}

#[test]
fn a_policy_that_is_forgotten_is_found() {
    finds(Defect::ForgetsThePolicy, "policy: ran");
}
