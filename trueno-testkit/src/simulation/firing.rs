//! What schedulers really ask of the store, beneath the faults: written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use trueno_core::error::Result;
use trueno_core::id::ScheduleId;
use trueno_core::port::{DuePosition, DueSchedule, Fire, Fired, Scheduling};

use super::watch::Log;
use crate::fault::FaultPlan;

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

/// The schedules as they are, watched, and faults above that.
#[derive(Debug)]
pub(super) struct WatchedSchedules {
    pub(super) real: Arc<dyn Scheduling>,
    pub(super) faults: FaultPlan,
    pub(super) log: Arc<Log>,
    pub(super) firing: Arc<Firing>,
    /// The number of the scheduler whose requests these are.
    pub(super) nth: usize,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scheduling for WatchedSchedules {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        let look = async {
            let due = self.real.due_schedules(after, limit).await?;
            let mut in_hand = self.firing.in_hand.lock();
            for due in &due {
                in_hand.insert((self.nth, (due.id, due.due_at)), due.now);
            }
            Ok(due)
        };
        self.faults.through("scheduling.due_schedules", look).await
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        let call = self.fire_watched(fire);
        self.faults.through("scheduling.fire", call).await
    }
}

impl WatchedSchedules {
    async fn fire_watched(&self, fire: Fire) -> Result<Fired> {
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
