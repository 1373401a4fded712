//! Figures for operators: what the runtime records through the [`metrics`](https://docs.rs/metrics)
//! facade. Core only records: a program that wants them installs a recorder (an exporter for
//! Prometheus, say) before it runs a [`Processor`](super::Processor), and calls [`describe`] once.
//! Without one they cost next to nothing.
//!
//! | metric | type | labels | what it is |
//! |---|---|---|---|
//! | `trueno_claims_total` | counter | `outcome` | Claims that were answered, by what they brought: `jobs`, `empty`, `session_over` or `error`. |
//! | `trueno_claim_duration_seconds` | histogram | – | How long a claim took to be answered. |
//! | `trueno_jobs_claimed_total` | counter | `kind` | Attempts that began. |
//! | `trueno_job_wait_seconds` | histogram | `kind` | From when an attempt was due (its job's enqueueing or run-at, the end of its backoff) until it began, by the store's clock and to within the claim's round trip. Not of jobs that lost a lease before. |
//! | `trueno_job_duration_seconds` | histogram | `kind` | How long the handler of an attempt ran. |
//! | `trueno_jobs_ended_total` | counter | `kind`, `outcome` | Attempts that ended, by what became of the job: `succeeded`, `retried`, `dead`, `cancelled`, `returned`, or `lease_lost` where another worker takes over. |
//! | `trueno_job_failures_total` | counter | `kind`, `outcome` | Attempts that failed, by how: `error`, `panicked`, `timed_out`, `unresponsive` (it was asked to stop and did not) or `refused` (its success broke a rule). |
//! | `trueno_jobs_running` | gauge | `kind` | Jobs that this processor runs, or ran and is ending. |
//! | `trueno_processor_places` | gauge | – | Jobs that this processor may run at the same time. |
//! | `trueno_settle_batch_jobs` | histogram | – | Successes without effects that the queue was told of at once. |
//! | `trueno_settle_duration_seconds` | histogram | – | How long the queue took to be told of them. |
//! | `trueno_heartbeats_total` | counter | `outcome` | Heartbeats of the worker session: `ok`, `session_over`, `error` or `timed_out`. |
//! | `trueno_jobs_recovered_total` | counter | `outcome` | Jobs that were taken back from workers that vanished: `requeued`, `dead` or `cancelled`. |
//! | `trueno_jobs_forgotten_total` | counter | – | Jobs that ended long ago and were forgotten. |
//! | `trueno_wake_ups_total` | counter | – | Hints of the queue that there may be work, its polls included. |
//! | `trueno_schedule_ticks_total` | counter | `outcome` | Ticks of schedules: `enqueued`, `passed_over`, or `failed` where it is due still. |
//! | `trueno_queue_waiting_jobs` | gauge | – | Jobs of the whole queue that wait; `NaN` where it does not answer. See [`observe`]. |
//! | `trueno_queue_running_jobs` | gauge | – | Jobs of the whole queue that a worker holds; `NaN` where it does not answer. |
//! | `trueno_horizon_age_seconds` | gauge | – | How long whatever holds back the horizon of the queue's tables has done so, as of the last minute; at least so long, where the store may not see since when ([`Horizon`](crate::port::Horizon)). 0 where nothing does, `NaN` where the queue does not answer. |
//!
//! Durations are in seconds. Counters count since the process began. Labels are the kind of the job and
//! an outcome, nothing else: which organization it was is in spans and history, never here (P1, and
//! because each value of a label is one more series). Kinds are few, then, and named in the program; not
//! one for each row. The gauges of the whole queue are the same in
//! every process that is asked: take the largest, not the sum.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};

use super::TickReport;
use crate::error::Result;
use crate::port::{JobQueue, QueueStats};

pub(super) const CLAIMS: &str = "trueno_claims_total";
pub(super) const CLAIM_DURATION: &str = "trueno_claim_duration_seconds";
pub(super) const CLAIMED: &str = "trueno_jobs_claimed_total";
pub(super) const WAIT: &str = "trueno_job_wait_seconds";
pub(super) const DURATION: &str = "trueno_job_duration_seconds";
pub(super) const ENDED: &str = "trueno_jobs_ended_total";
pub(super) const FAILURES: &str = "trueno_job_failures_total";
pub(super) const RUNNING: &str = "trueno_jobs_running";
pub(super) const PLACES: &str = "trueno_processor_places";
pub(super) const SETTLE_BATCH: &str = "trueno_settle_batch_jobs";
pub(super) const SETTLE_DURATION: &str = "trueno_settle_duration_seconds";
pub(super) const HEARTBEATS: &str = "trueno_heartbeats_total";
pub(super) const RECOVERED: &str = "trueno_jobs_recovered_total";
pub(super) const FORGOTTEN: &str = "trueno_jobs_forgotten_total";
pub(super) const WAKE_UPS: &str = "trueno_wake_ups_total";
pub(super) const SCHEDULE_TICKS: &str = "trueno_schedule_ticks_total";
pub(super) const WAITING: &str = "trueno_queue_waiting_jobs";
pub(super) const QUEUE_RUNNING: &str = "trueno_queue_running_jobs";
pub(super) const HORIZON: &str = "trueno_horizon_age_seconds";

/// Tells the recorder what each metric is, and its unit. Done again, it changes nothing.
pub fn describe() {
    describe_counter!(
        CLAIMS,
        Unit::Count,
        "Claims that were answered, by what they brought: jobs, empty, session_over or error."
    );
    describe_histogram!(
        CLAIM_DURATION,
        Unit::Seconds,
        "How long a claim took to be answered."
    );
    describe_counter!(CLAIMED, Unit::Count, "Attempts that began.");
    describe_histogram!(
        WAIT,
        Unit::Seconds,
        "From when an attempt was due (its job's enqueueing or run-at, the end of its backoff) until it began."
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "How long the handler of an attempt ran."
    );
    describe_counter!(
        ENDED,
        Unit::Count,
        "Attempts that ended, by what became of the job: succeeded, retried, dead, cancelled, returned, or lease_lost where another worker takes over."
    );
    describe_counter!(
        FAILURES,
        Unit::Count,
        "Attempts that failed, by how: error, panicked, timed_out, unresponsive (it was asked to stop and did not) or refused (its success broke a rule)."
    );
    describe_gauge!(
        RUNNING,
        Unit::Count,
        "Jobs that this processor runs, or ran and is ending."
    );
    describe_gauge!(
        PLACES,
        Unit::Count,
        "Jobs that this processor may run at the same time."
    );
    describe_histogram!(
        SETTLE_BATCH,
        Unit::Count,
        "Successes without effects that the queue was told of at once."
    );
    describe_histogram!(
        SETTLE_DURATION,
        Unit::Seconds,
        "How long the queue took to be told of them."
    );
    describe_counter!(
        HEARTBEATS,
        Unit::Count,
        "Heartbeats of the worker session: ok, session_over, error or timed_out."
    );
    describe_counter!(
        RECOVERED,
        Unit::Count,
        "Jobs that were taken back from workers that vanished: requeued, dead or cancelled."
    );
    describe_counter!(
        FORGOTTEN,
        Unit::Count,
        "Jobs that ended long ago and were forgotten."
    );
    describe_counter!(
        WAKE_UPS,
        Unit::Count,
        "Hints of the queue that there may be work, its polls included."
    );
    describe_counter!(
        SCHEDULE_TICKS,
        Unit::Count,
        "Ticks of schedules: enqueued, passed_over, or failed where it is due still."
    );
    describe_gauge!(
        WAITING,
        Unit::Count,
        "Jobs of the whole queue that wait; NaN where it does not answer."
    );
    describe_gauge!(
        QUEUE_RUNNING,
        Unit::Count,
        "Jobs of the whole queue that a worker holds; NaN where it does not answer."
    );
    describe_gauge!(
        HORIZON,
        Unit::Seconds,
        "How long whatever holds back the horizon of the queue's tables has done so."
    );
}

/// Asks the queue how much waits and runs, and records it: for each scrape. Where the queue does not
/// answer, the two gauges say that they do not know.
///
/// # Errors
/// As [`JobQueue::stats`].
///
/// # Cancel-safety
/// Dropped, it has recorded that it does not know.
pub async fn observe(queue: &dyn JobQueue) -> Result<QueueStats> {
    let mut depth = Depth::default();
    let stats = queue.stats().await?;
    (depth.waiting, depth.running) = (jobs(stats.waiting), jobs(stats.running));
    Ok(stats)
}

/// Recorded when it is dropped, whatever became of the question: unknown unless it was answered, and never
/// in between, when somebody else may be looking.
struct Depth {
    waiting: f64,
    running: f64,
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            waiting: f64::NAN,
            running: f64::NAN,
        }
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        gauge!(WAITING).set(self.waiting);
        gauge!(QUEUE_RUNNING).set(self.running);
    }
}

/// Exact up to 2^53.
pub(super) const fn jobs(count: u64) -> f64 {
    count as f64
}

/// Counts what a look at the due schedules did.
pub(super) fn ticked(report: &TickReport) {
    for (outcome, ticks) in [
        ("enqueued", report.enqueued),
        ("passed_over", report.passed_over),
        ("failed", report.failed),
    ] {
        metrics::counter!(SCHEDULE_TICKS, "outcome" => outcome).increment(ticks);
    }
}
