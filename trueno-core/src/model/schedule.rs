//! Schedules: scans that are requested again and again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::organization::display_name;
use super::{CronExpression, ScanKind, Version};
use crate::error::{Error, Result};
use crate::id::{CloudAccountId, ScheduleId};
use crate::text::text_enum;

/// The largest [`jitter`](Schedule::jitter).
pub const MAX_JITTER: Duration = Duration::from_secs(3_600);

text_enum! {
    /// Whether a schedule is followed.
    pub enum ScheduleStatus as "schedule status" {
        /// It is followed.
        Active = "active",
        /// It is passed over until somebody resumes it.
        Paused = "paused",
    }
}

text_enum! {
    /// What becomes of ticks whose time went by while nothing fired them: no scheduler ran, or the
    /// store was away. [`crate::state::schedule`] has the rule.
    pub enum MissedTicks as "missed ticks" {
        /// They are passed over. A tick counts as missed once it is over
        /// [`GRACE`](crate::state::schedule::GRACE) late.
        Skip = "skip",
        /// The latest of them runs, for all of them.
        RunOnce = "run_once",
        /// Each of them runs, the oldest first and one after the other.
        RunAll = "run_all",
    }
}

/// A schedule as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its display name.
    pub name: String,
    /// The account to scan.
    pub account: CloudAccountId,
    /// What kind of scan.
    pub kind: ScanKind,
    /// When.
    pub cron: CronExpression,
    /// What becomes of ticks that nothing fired in time.
    pub missed: MissedTicks,
    /// How far apart the runs of one tick may lie: each run begins up to so long after its tick, by
    /// [`jitter_offset`](crate::state::schedule::jitter_offset).
    #[serde(rename = "jitter_seconds", with = "whole_seconds")]
    pub jitter: Duration,
    /// Whether it is followed.
    pub status: ScheduleStatus,
    /// The tick that is due next, by the store's clock; before the jitter. It may lie in the past,
    /// for as long as nothing has fired it. `None` while paused, and of an active schedule that is
    /// parked: no next tick could be worked out, as its event `schedule.parked` (or that of its last
    /// tick) tells. Setting it to active tries again.
    pub next_run_at: Option<Timestamp>,
    /// When it was made, by the store's clock.
    pub created_at: Timestamp,
    /// Counts what members change of this row. A tick that fires moves `next_run_at` and nothing else.
    pub version: Version,
}

/// A jitter as JSON has it: a number of seconds.
mod whole_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(jitter: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(jitter.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

/// A schedule about to be made: active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// The account to scan.
    pub account: CloudAccountId,
    /// What kind of scan.
    pub kind: ScanKind,
    /// When.
    pub cron: CronExpression,
    /// What becomes of ticks that nothing fired in time: [`MissedTicks::RunOnce`], unless told.
    pub missed: MissedTicks,
    jitter: Duration,
    name: String,
}

impl NewSchedule {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a name that is empty,
    /// longer than 200 characters or holds control characters.
    pub fn new(
        id: ScheduleId,
        name: &str,
        account: CloudAccountId,
        kind: ScanKind,
        cron: CronExpression,
    ) -> Result<Self> {
        Ok(Self {
            id,
            account,
            kind,
            cron,
            missed: MissedTicks::RunOnce,
            jitter: Duration::ZERO,
            name: display_name("schedule name", name)?,
        })
    }

    /// With this policy for ticks that nothing fired in time.
    #[must_use]
    pub const fn with_missed(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// With runs that begin up to `jitter` after their tick, so that schedules of the same hour do
    /// not begin together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless whole seconds, at
    /// most [`MAX_JITTER`].
    pub fn with_jitter(mut self, jitter: Duration) -> Result<Self> {
        if jitter > MAX_JITTER || jitter.subsec_nanos() != 0 {
            return Err(Error::invalid(
                "jitter",
                "needs whole seconds, 0 to 3600 of them",
            ));
        }
        self.jitter = jitter;
        Ok(self)
    }

    /// How far apart the runs of one tick may lie.
    #[must_use]
    pub const fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Its display name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
