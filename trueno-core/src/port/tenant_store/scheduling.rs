//! Due schedules on their way to the queue.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};

use std::time::Duration;

use crate::error::{Error, Result};
use crate::id::{CloudAccountId, OrganizationId, ScanId, ScheduleId};
use crate::model::{EventDraft, MissedTicks, NewJob, ScanKind};
use crate::text::text_enum;

/// Due schedules of every organization, and the firing of their ticks. For schedulers: a system path.
///
/// # Contract
/// - **Once**: a tick is enqueued at most once, by any number of schedulers. There is no claim that
///   could be lost: a schedule is due until [`fire`](Self::fire) moves it, which is one conditional
///   update of `next_run_at` together with scan, job and audit event (P2). Whoever is late changes
///   nothing.
/// - **Time** (P10): the store's clock alone says what is due. A tick later than that clock is refused
///   ([`InvalidInput`](crate::error::ErrorKind::InvalidInput)), whatever a scheduler's own clock says.
/// - **Never stuck**: what cannot run (its account is not active, a scan of it is queued or runs, the
///   organization has as many jobs as it may) is passed over with an event that says why. A schedule
///   whose next tick could not be worked out is **parked**: it stays as it is, with no next tick and
///   an event that says why, until a member sets it to active again.
/// - **No long waits**: what another transaction has locked is answered as [`Fired::Busy`], at once or
///   within a few seconds.
/// - The actor of the scan and of the event is the schedule. Members' versions of it stay as they are.
/// - **Cancel-safety**: a dropped `fire` was applied or not.
#[async_trait]
pub trait Scheduling: Send + Sync + std::fmt::Debug {
    /// Up to `limit` active schedules that are due by the store's clock, of any organization, in the
    /// order of due time, organization and id: those after `after`, where it is given.
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>>;

    /// Moves a schedule forward, and enqueues its tick where there is one to run: all of it, or
    /// nothing.
    async fn fire(&self, fire: Fire) -> Result<Fired>;
}

/// A schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its id.
    pub id: ScheduleId,
    /// The account to scan.
    pub account: CloudAccountId,
    /// What kind of scan.
    pub kind: ScanKind,
    /// When, as it is stored: not every machine's zone database has to know the zone.
    pub cron: String,
    /// The time zone of `cron`.
    pub time_zone: String,
    /// What becomes of ticks that nothing fired in time.
    pub missed: MissedTicks,
    /// How far apart the runs of one tick may lie.
    pub jitter: Duration,
    /// The tick that is due.
    pub due_at: Timestamp,
    /// The store's present moment.
    pub now: Timestamp,
}

/// A place in the order of [`due_schedules`](Scheduling::due_schedules).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuePosition {
    /// The tick that is due.
    pub due_at: Timestamp,
    /// Whose schedule it is.
    pub organization: OrganizationId,
    /// The schedule.
    pub schedule: ScheduleId,
}

impl DueSchedule {
    /// Its place in the order.
    #[must_use]
    pub const fn position(&self) -> DuePosition {
        DuePosition {
            due_at: self.due_at,
            organization: self.organization,
            schedule: self.id,
        }
    }
}

/// What a scheduler wants of a due schedule: what [`step`](crate::state::schedule::step) answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Fire {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its id.
    pub schedule: ScheduleId,
    /// The tick that is due, as it was read: it must still be.
    pub due_at: Timestamp,
    /// The tick that is due from then on: later than `due_at`. `None` parks the schedule.
    pub next: Option<Timestamp>,
    /// Why it is parked, in words for the organization: there where `next` is not.
    pub parked: Option<String>,
    /// How many ticks are given up as missed.
    pub passed_over: u64,
    /// The tick to run.
    pub run: Option<TickRun>,
}

/// A tick to run.
#[derive(Clone, Debug, PartialEq)]
pub struct TickRun {
    /// The tick: from `due_at` on, before `next`.
    pub tick: Timestamp,
    /// The scan's id.
    pub scan: ScanId,
    /// The job that runs it.
    pub job: NewJob,
}

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fired {
    /// Its scan and job are there.
    Enqueued,
    /// It was to run and cannot. The schedule went on.
    NotRun(NotRun),
    /// There was no tick to run. The schedule went on, or was parked.
    Moved,
    /// The schedule is no longer due at that tick: another scheduler fired it, or it was paused,
    /// removed or erased. Nothing changed.
    AlreadyFired,
    /// Somebody is changing the schedule or its account. Nothing changed; it may still be due.
    Busy,
}

text_enum! {
    /// Why a tick that was to run did not.
    pub enum NotRun as "reason" {
        /// The account is paused, disconnected or was not verified.
        AccountNotActive = "account_not_active",
        /// A scan of the account is queued or runs.
        ScanLive = "scan_live",
        /// The organization has as many jobs waiting or running as it may.
        QuotaReached = "quota_reached",
    }
}

impl Fire {
    /// Passes what moves forward, with a job that can be enqueued; every store asks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) otherwise.
    pub fn check(&self) -> Result<()> {
        if self.next.is_some_and(|next| next <= self.due_at) {
            return Err(Error::invalid("next", "has to be later than due_at"));
        }
        if self.next.is_some() == self.parked.is_some() {
            let problem = "is said where there is no next tick, and nowhere else";
            return Err(Error::invalid("parked", problem));
        }
        let Some(run) = &self.run else {
            return Ok(());
        };
        if run.tick < self.due_at || self.next.is_some_and(|next| next <= run.tick) {
            return Err(Error::invalid(
                "tick",
                "has to lie from due_at on, before next",
            ));
        }
        if let Some(dedupe) = &run.job.dedupe
            && dedupe.window().is_some()
        {
            return Err(Error::invalid(
                "dedupe window",
                "is not for a tick's job: the schedule tells ticks apart",
            ));
        }
        if run.job.correlation_id.is_some() {
            return Err(Error::invalid(
                "correlation id",
                "is not for a tick's job: no request asked for it",
            ));
        }
        run.job.check()
    }

    /// The latest moment that has to have come by the store's clock.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.run.as_ref().map_or(self.due_at, |run| run.tick)
    }

    /// What a store answers where [`latest`](Self::latest) has not come.
    #[must_use]
    pub fn too_early() -> Error {
        Error::invalid("tick", "is later than the store's clock")
    }

    /// What the event tells, but for the reason of a tick that was not run: when it was due, the tick
    /// and when it runs, how many were given up, and why it is parked.
    #[must_use]
    pub fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        details.insert("due_at".to_owned(), self.due_at.to_string().into());
        details.insert("passed_over".to_owned(), self.passed_over.into());
        if let Some(reason) = &self.parked {
            details.insert("parked".to_owned(), reason.as_str().into());
        }
        if let Some(run) = &self.run {
            details.insert("tick".to_owned(), run.tick.to_string().into());
            if let Some(run_at) = run.job.run_at {
                details.insert("run_at".to_owned(), run_at.to_string().into());
            }
        }
        details
    }

    /// The event of what became of it, where there is anything to tell: `schedule.fired` with the
    /// scan, `schedule.passed_over` with the reason, or `schedule.parked`.
    #[must_use]
    pub fn event(&self, account: CloudAccountId, fired: Fired) -> Option<EventDraft> {
        let (action, reason) = match fired {
            Fired::Enqueued => (FIRED, None),
            Fired::NotRun(reason) => (PASSED_OVER, Some(reason.as_str())),
            Fired::Moved if self.parked.is_some() => (PARKED, None),
            Fired::Moved if self.passed_over > 0 => (PASSED_OVER, Some(MISSED)),
            Fired::Moved | Fired::AlreadyFired | Fired::Busy => return None,
        };
        let mut event = EventDraft::new(action, "schedule", self.schedule)
            .with_target("cloud_account", account);
        event.details = self.details();
        if let (Fired::Enqueued, Some(run)) = (fired, &self.run) {
            event = event.with_target("scan", run.scan);
        }
        Some(match reason {
            Some(reason) => event.with_detail("reason", reason),
            None => event,
        })
    }
}

/// The action of the event of a tick that runs.
pub const FIRED: &str = "schedule.fired";
/// The action of the event of ticks that do not run.
pub const PASSED_OVER: &str = "schedule.passed_over";
/// The action of the event of a schedule that is parked with no tick to run. One that is parked by its
/// last tick says so in that tick's event.
pub const PARKED: &str = "schedule.parked";
/// The reason of [`PASSED_OVER`] where ticks were missed, and the policy gives them up.
pub const MISSED: &str = "missed";
