//! The figures of one run of a processor, behind handles that are made once: a job costs some additions,
//! and no look-up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::model::{JobKind, JobStatus};
use crate::port::{Claim, JobOutcome, Recovered};
use crate::runtime::metrics as names;

/// What became of a job with the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Retried,
    Dead,
    Cancelled,
    Returned,
    /// Another worker takes over.
    LeaseLost,
}

impl End {
    /// Of a job that is in this status once its attempt has ended.
    pub(super) const fn of(status: JobStatus) -> Self {
        match status {
            JobStatus::Succeeded => Self::Succeeded,
            JobStatus::Failed => Self::Retried,
            JobStatus::Dead => Self::Dead,
            JobStatus::Cancelled => Self::Cancelled,
            JobStatus::Queued | JobStatus::Running => Self::Returned,
        }
    }

    /// Of a job whose end the store was told of before, in an answer that was lost.
    pub(super) fn told(outcome: &JobOutcome, claim: &Claim) -> Self {
        match outcome {
            JobOutcome::Succeeded => Self::Succeeded,
            JobOutcome::Failed { retryable, .. } => {
                if *retryable && claim.failed_attempts + 1 < claim.max_attempts {
                    Self::Retried
                } else {
                    Self::Dead
                }
            }
            JobOutcome::Returned => Self::Returned,
            JobOutcome::Cancelled => Self::Cancelled,
        }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Error,
    Panicked,
    TimedOut,
    /// It was asked to stop, and did not.
    Unresponsive,
    /// Its success broke a rule.
    Refused,
}

/// How a claim, or a heartbeat, was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Well,
    /// A claim that brought nothing.
    Empty,
    SessionOver,
    Error,
    TimedOut,
}

/// The figures of jobs of one kind.
#[derive(Debug)]
pub(super) struct KindMeters {
    claimed: Counter,
    wait: Histogram,
    duration: Histogram,
    running: Gauge,
    ended: [Counter; 6],
    failures: [Counter; 5],
}

impl KindMeters {
    fn new(kind: &JobKind) -> Self {
        let ended = |outcome: &'static str| counter!(names::ENDED, "kind" => kind.to_string(), "outcome" => outcome);
        let failures = |outcome: &'static str| counter!(names::FAILURES, "kind" => kind.to_string(), "outcome" => outcome);
        Self {
            claimed: counter!(names::CLAIMED, "kind" => kind.to_string()),
            wait: histogram!(names::WAIT, "kind" => kind.to_string()),
            duration: histogram!(names::DURATION, "kind" => kind.to_string()),
            running: gauge!(names::RUNNING, "kind" => kind.to_string()),
            // In the order of the enums.
            ended: [
                "succeeded",
                "retried",
                "dead",
                "cancelled",
                "returned",
                "lease_lost",
            ]
            .map(ended),
            failures: ["error", "panicked", "timed_out", "unresponsive", "refused"].map(failures),
        }
    }

    /// An attempt begins: `since_claimed` after the queue was asked for it.
    pub(super) fn began(&self, claim: &Claim, lease_for: Duration, since_claimed: Duration) {
        self.claimed.increment(1);
        self.running.increment(1.0);
        if claim.lost_leases > 0 {
            return;
        }
        // By the store's clock alone: its leases last from the moment of the claim.
        let claimed_at = claim.expires_at - lease_for;
        let waited = claimed_at.duration_since(claim.run_at.max(claim.enqueued_at));
        let waited = Duration::try_from(waited).unwrap_or_default();
        self.wait.record(waited + since_claimed);
    }

    /// Its handler ran for so long.
    pub(super) fn ran(&self, duration: Duration) {
        self.duration.record(duration);
    }

    pub(super) fn failed(&self, failure: Failure) {
        self.failures[failure as usize].increment(1);
    }

    pub(super) fn ended(&self, end: End) {
        self.ended[end as usize].increment(1);
    }

    /// It is over, whatever came of it.
    pub(super) fn left(&self) {
        self.running.decrement(1.0);
    }
}

/// The figures of a processor.
#[derive(Debug)]
pub(super) struct Meters {
    kinds: BTreeMap<JobKind, Arc<KindMeters>>,
    claims: [Counter; 4],
    claim_duration: Histogram,
    settle_batch: Histogram,
    settle_duration: Histogram,
    heartbeats: [Counter; 4],
    recovered: [Counter; 3],
    forgotten: Counter,
    wake_ups: Counter,
    horizon: Gauge,
}

impl Meters {
    pub(super) fn new<'a>(kinds: impl Iterator<Item = &'a JobKind>, places: usize) -> Self {
        gauge!(names::PLACES).set(names::jobs(places as u64));
        Self {
            kinds: kinds
                .map(|kind| (kind.clone(), Arc::new(KindMeters::new(kind))))
                .collect(),
            claims: ["jobs", "empty", "session_over", "error"]
                .map(|outcome| counter!(names::CLAIMS, "outcome" => outcome)),
            claim_duration: histogram!(names::CLAIM_DURATION),
            settle_batch: histogram!(names::SETTLE_BATCH),
            settle_duration: histogram!(names::SETTLE_DURATION),
            heartbeats: ["ok", "session_over", "error", "timed_out"]
                .map(|outcome| counter!(names::HEARTBEATS, "outcome" => outcome)),
            recovered: ["requeued", "dead", "cancelled"]
                .map(|outcome| counter!(names::RECOVERED, "outcome" => outcome)),
            forgotten: counter!(names::FORGOTTEN),
            wake_ups: counter!(names::WAKE_UPS),
            horizon: gauge!(names::HORIZON),
        }
    }

    /// Those of one kind. `None` for a kind without a handler.
    pub(super) fn of(&self, kind: &JobKind) -> Option<Arc<KindMeters>> {
        self.kinds.get(kind).cloned()
    }

    pub(super) fn claimed(&self, answer: Answer, took: Duration) {
        let [jobs, empty, session_over, error] = &self.claims;
        let counter = match answer {
            Answer::Well => jobs,
            Answer::Empty => empty,
            Answer::SessionOver => session_over,
            Answer::Error | Answer::TimedOut => error,
        };
        counter.increment(1);
        self.claim_duration.record(took);
    }

    pub(super) fn beat(&self, answer: Answer) {
        let [ok, session_over, error, timed_out] = &self.heartbeats;
        let counter = match answer {
            Answer::Well | Answer::Empty => ok,
            Answer::SessionOver => session_over,
            Answer::Error => error,
            Answer::TimedOut => timed_out,
        };
        counter.increment(1);
    }

    pub(super) fn settled(&self, jobs: usize, took: Duration) {
        self.settle_batch.record(names::jobs(jobs as u64));
        self.settle_duration.record(took);
    }

    pub(super) fn recovered(&self, recovered: &Recovered) {
        let [requeued, dead, cancelled] = &self.recovered;
        requeued.increment(recovered.requeued);
        dead.increment(recovered.dead);
        cancelled.increment(recovered.cancelled);
    }

    pub(super) fn forgot(&self, jobs: u64) {
        self.forgotten.increment(jobs);
    }

    pub(super) fn horizon(&self, age_seconds: f64) {
        self.horizon.set(age_seconds);
    }

    pub(super) fn woken(&self) {
        self.wake_ups.increment(1);
    }
}
