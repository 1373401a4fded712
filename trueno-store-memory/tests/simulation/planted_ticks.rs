//! Stores that fire schedules wrongly: the simulation finds it within few seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::MissedTicks;
use trueno_core::port::{DuePosition, DueSchedule, Fire, Fired, Scheduling};
use trueno_testkit::simulation::Parts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// A schedule moves on in one transaction, its tick is enqueued in another, and every fifth time
    /// nobody lives to begin that one.
    MovesOnFirst,
    /// Ticks that were missed run, whatever the policy.
    ForgetsThePolicy,
}

/// Schedules that are wrong in one way, and otherwise those that it wraps.
#[derive(Debug)]
struct Wrong {
    real: Arc<dyn Scheduling>,
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

fn finds(defect: Defect, words: &str) {
    crate::finds(words, |parts| Parts {
        schedules: Arc::new(Wrong {
            real: parts.schedules,
            defect,
            fired: AtomicU64::new(0),
        }),
        ..parts
    });
}

#[test]
fn a_tick_that_is_lost_between_two_transactions_is_found() {
    finds(Defect::MovesOnFirst, "lost or doubled");
}

#[test]
fn a_policy_that_is_forgotten_is_found() {
    finds(Defect::ForgetsThePolicy, "policy: ran");
}
