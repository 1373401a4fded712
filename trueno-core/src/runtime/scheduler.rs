//! The scheduler: fires schedules that are due.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::scan::{JOB_KIND, scan_job};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{IdSource, OrganizationId, ScheduleId};
use crate::model::{CronExpression, JobKind, MissedTicks};
use crate::port::{DuePosition, DueSchedule, Fire, Fired, Scheduling, TickRun};
use crate::retry::Backoff;
use crate::state::schedule::{Step, jitter_offset, step};

/// Schedules that one question to the store asks for.
const PAGE: usize = 100;

/// How long a tick that is under way may take once the scheduler shuts down.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The wait before a schedule that failed, or a store that did not answer, is tried again.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// How a scheduler works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// How long to wait between looks for due schedules, give or take a quarter: 1 s by default.
    pub poll_interval: Duration,
    /// Schedules that one look fires at the most: 1,000 by default. Where there are more, the next
    /// look follows at once.
    pub most_per_tick: usize,
    /// Schedules that are fired at the same time: 4 by default.
    pub concurrency: usize,
    /// The kind of the jobs that run the scans: [`JOB_KIND`] by default.
    pub job_kind: JobKind,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            most_per_tick: 1_000,
            concurrency: 4,
            job_kind: JOB_KIND,
        }
    }
}

impl SchedulerConfig {
    /// With this wait between looks.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// With so many schedules in one look at the most.
    #[must_use]
    pub fn with_most_per_tick(mut self, schedules: usize) -> Self {
        self.most_per_tick = schedules;
        self
    }

    /// With so many schedules at the same time.
    #[must_use]
    pub fn with_concurrency(mut self, schedules: usize) -> Self {
        self.concurrency = schedules;
        self
    }

    /// For processors whose scans have this kind of job.
    #[must_use]
    pub fn with_job_kind(mut self, kind: JobKind) -> Self {
        self.job_kind = kind;
        self
    }

    fn check(&self) -> Result<()> {
        if self.poll_interval.is_zero() || self.most_per_tick == 0 || self.concurrency == 0 {
            let message = "a scheduler needs a wait between looks, and room for one schedule";
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(())
    }
}

/// What one look at the due schedules did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TickReport {
    /// Scans that were enqueued.
    pub enqueued: u64,
    /// Ticks that were given up, missed ones and those that could not run; events say why.
    pub passed_over: u64,
    /// Schedules that failed, or that somebody was changing. They are due still.
    pub failed: u64,
    /// There may be more that is due.
    pub more: bool,
}

/// Fires due schedules until it is told to stop. Any number of them may run: each tick is enqueued
/// once, and what one leaves behind when it dies is due for the others
/// ([`Scheduling`](crate::port::Scheduling)).
///
/// The store's clock says what is due (P10). A schedule that fails does not stop the others; it is
/// left alone for 1 s at first, and up to 5 min.
#[derive(Debug)]
pub struct Scheduler {
    store: Arc<dyn Scheduling>,
    config: SchedulerConfig,
    ids: IdSource,
    failing: Mutex<HashMap<(OrganizationId, ScheduleId), Failing>>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    failures: u32,
    until: Instant,
}

impl Scheduler {
    /// A scheduler over this store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a poll interval or a number of 0.
    pub fn new(store: Arc<dyn Scheduling>, config: SchedulerConfig, ids: IdSource) -> Result<Self> {
        config.check()?;
        Ok(Self {
            store,
            config,
            ids,
            failing: Mutex::default(),
        })
    }

    /// Fires what is due, again and again, until `shutdown` fires; then it begins no other schedule,
    /// and returns within 2 s. A store that is down is waited for; it is no reason to end.
    ///
    /// Cancel-safety: dropping this loses nothing; a tick under way was fired or is due still.
    pub async fn run(&self, shutdown: CancellationToken) {
        let stopped = async {
            shutdown.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            () = self.go_on(&shutdown) => {}
            () = stopped => tracing::warn!("the store did not answer the scheduler in time"),
        }
    }

    async fn go_on(&self, shutdown: &CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let wait = match self.look(shutdown).await {
                Ok(report) => {
                    super::metrics::ticked(&report);
                    failures = 0;
                    let went_on = report.enqueued + report.passed_over > 0;
                    if report.more && went_on {
                        continue;
                    }
                    let share = 0.75 + self.ids.unit() / 2.0;
                    self.config.poll_interval.mul_f64(share)
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(?error, "schedules wait: the store does not answer");
                    BACKOFF.delay(failures, self.ids.unit())
                }
            };
            let _: Option<()> = shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// Fires what is due now, [`most_per_tick`](SchedulerConfig::most_per_tick) schedules at the most.
    /// For programs that have a clock of their own (a cron job that calls in); others [`run`](Self::run)
    /// it.
    ///
    /// # Errors
    /// Those of the store where it does not say what is due. What fails with one schedule is logged.
    pub async fn tick(&self) -> Result<TickReport> {
        let report = self.look(&CancellationToken::new()).await?;
        super::metrics::ticked(&report);
        Ok(report)
    }

    async fn look(&self, shutdown: &CancellationToken) -> Result<TickReport> {
        let mut report = TickReport::default();
        let mut left = self.config.most_per_tick;
        let mut after: Option<DuePosition> = None;
        while left > 0 && !shutdown.is_cancelled() {
            let wanted = left.min(PAGE);
            let mut page = self.store.due_schedules(after, wanted).await?;
            let (is_last, last) = (page.len() < wanted, page.last().map(DueSchedule::position));
            left -= page.len().min(left);
            page.retain(|due| !self.is_left_alone(due));
            let mut answers = stream::iter(page)
                .take_until(Box::pin(shutdown.cancelled()))
                .map(async |due| self.fire_logged(&due).await)
                .buffer_unordered(self.config.concurrency);
            while let Some(answer) = answers.next().await {
                report.enqueued += answer.enqueued;
                report.passed_over += answer.passed_over;
                report.failed += answer.failed;
                report.more |= answer.more;
            }
            drop(answers);
            if is_last {
                return Ok(report);
            }
            // From there on: what is stuck at the head of the line holds nobody up.
            after = last;
        }
        report.more = true;
        Ok(report)
    }

    /// Fires one schedule, and says in a log what went wrong.
    async fn fire_logged(&self, due: &DueSchedule) -> TickReport {
        let span = tracing::info_span!(
            "schedule", organization = %due.organization, schedule = %due.id, due_at = %due.due_at
        );
        async {
            let mut report = TickReport::default();
            let place = (due.organization, due.id);
            match self.fire(due).await {
                Ok((fired, step)) => {
                    self.failing().remove(&place);
                    let missed = step.passed_over;
                    let went_on =
                        matches!(fired, Fired::Enqueued | Fired::NotRun(_) | Fired::Moved);
                    report.more = went_on && step.next.as_ref().is_ok_and(|next| *next <= due.now);
                    if let (true, Err(error)) = (went_on, &step.next) {
                        tracing::error!(?error, "the schedule is parked: it has no next tick");
                    }
                    match fired {
                        Fired::Enqueued => {
                            tracing::info!(missed, "the schedule's scan was enqueued");
                            (report.enqueued, report.passed_over) = (1, missed);
                        }
                        Fired::NotRun(reason) => {
                            tracing::info!(missed, %reason, "the schedule was passed over");
                            report.passed_over = missed + 1;
                        }
                        Fired::Moved => report.passed_over = missed,
                        Fired::Busy => report.failed = 1,
                        Fired::AlreadyFired => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(?error, "the schedule was not fired; it is due still");
                    self.leave_alone(place);
                    report.failed = 1;
                }
            }
            report
        }
        .instrument(span)
        .await
    }

    /// Works out what to do about a due schedule, and has the store do it.
    async fn fire(&self, due: &DueSchedule) -> Result<(Fired, Step)> {
        let cron = CronExpression::new(&due.cron, &due.time_zone)?;
        let next_after = |tick| cron.next_after(tick);
        let Some(step) = step(due.missed, due.due_at, due.now, next_after) else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the store says that a schedule is due whose tick it says is to come",
            ));
        };
        let run = step.run.map(|tick| self.run_of(due, tick)).transpose()?;
        let fire = Fire {
            organization: due.organization,
            schedule: due.id,
            due_at: due.due_at,
            next: step.next.as_ref().ok().copied(),
            parked: step.next.as_ref().err().map(ToString::to_string),
            passed_over: step.passed_over,
            run,
        };
        Ok((self.store.fire(fire).await?, step))
    }

    fn run_of(&self, due: &DueSchedule, tick: jiff::Timestamp) -> Result<TickRun> {
        let scan = self.ids.next(due.now);
        let job = self.ids.next(due.now);
        let job = scan_job(job, &self.config.job_kind, scan, due.account)?
            .with_dedupe_key(&dedupe_key(due, tick))?
            .with_run_at(tick + jitter_offset(due.id, tick, due.jitter));
        Ok(TickRun { tick, scan, job })
    }

    fn is_left_alone(&self, due: &DueSchedule) -> bool {
        let failing = self.failing();
        let place = failing.get(&(due.organization, due.id));
        place.is_some_and(|place| place.until > Instant::now())
    }

    fn leave_alone(&self, place: (OrganizationId, ScheduleId)) {
        let now = Instant::now();
        let mut failing = self.failing();
        // What was removed, or fired by others, is forgotten after a while.
        failing.retain(|_, place| place.until + BACKOFF.cap() > now);
        let failures = failing.get(&place).map_or(0, |place| place.failures) + 1;
        let until = now + BACKOFF.delay(failures, self.ids.unit());
        failing.insert(place, Failing { failures, until });
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, HashMap<(OrganizationId, ScheduleId), Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tick that finds a scan of its account queued or running is passed over, as a
/// [`request`](super::scan::request) is refused. Where each tick has to run, it is queued beside them;
/// their common concurrency key has them run one after the other.
fn dedupe_key(due: &DueSchedule, tick: jiff::Timestamp) -> String {
    match due.missed {
        MissedTicks::RunAll => format!("{} {tick}", due.id),
        _ => due.account.to_string(),
    }
}
