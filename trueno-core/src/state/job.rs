//! The job machine: queued → running → succeeded | failed (waits for a retry) | dead | cancelled.
//!
//! Attempts that failed and leases that were lost are counted apart: a worker that vanished says
//! nothing of the job, until it has happened [`LOST_LEASE_LIMIT`] times.

use std::time::Duration;

use jiff::Timestamp;

use super::{InvalidTransition, Refusal, Transition};
use crate::id::LeaseToken;
use crate::model::JobStatus;

/// After so many lost leases a job is dead as crash-looped.
pub const LOST_LEASE_LIMIT: u32 = 5;

/// What the machine knows of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobState {
    /// Where it is.
    pub status: JobStatus,
    /// The present lease, or the one that settled it.
    pub token: Option<LeaseToken>,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Attempts that may fail before it is dead.
    pub max_attempts: u32,
    /// Leases that were lost.
    pub lost_leases: u32,
    /// A cancellation was asked for while it ran.
    pub cancel_requested: bool,
    /// Not before this moment.
    pub run_at: Timestamp,
}

impl JobState {
    /// A job just enqueued.
    #[must_use]
    pub const fn enqueued(run_at: Timestamp, max_attempts: u32) -> Self {
        Self {
            status: JobStatus::Queued,
            token: None,
            failed_attempts: 0,
            max_attempts,
            lost_leases: 0,
            cancel_requested: false,
            run_at,
        }
    }

    /// True where a claim may take it at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.status, JobStatus::Queued | JobStatus::Failed) && self.run_at <= now
    }
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobEvent {
    /// A worker took it, under a new token.
    Claimed(LeaseToken),
    /// The holder of the lease is done.
    Succeeded(LeaseToken),
    /// The holder's attempt failed.
    Failed {
        /// The lease.
        token: LeaseToken,
        /// Whether another attempt can help.
        retryable: bool,
        /// How long to wait before it.
        retry_after: Duration,
    },
    /// The holder gives it back untouched (graceful shutdown): no attempt is counted.
    Returned(LeaseToken),
    /// The holder stopped because a cancellation was asked for.
    CancelledBy(LeaseToken),
    /// The lease ran out.
    LeaseExpired(LeaseToken),
    /// A member asks to stop it.
    CancelRequested,
    /// A member lets a dead job begin anew, as if nothing had failed.
    Redriven,
    /// A member gives a dead job up.
    Discarded,
}

impl JobEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Claimed(_) => "claimed",
            Self::Succeeded(_) => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Returned(_) => "returned",
            Self::CancelledBy(_) => "cancelled",
            Self::LeaseExpired(_) => "lease expired",
            Self::CancelRequested => "cancel requested",
            Self::Redriven => "re-driven",
            Self::Discarded => "discarded",
        }
    }

    /// The token that the event is fenced by, where it is one that needs the present lease.
    const fn fence(&self) -> Option<LeaseToken> {
        match self {
            Self::Succeeded(token)
            | Self::Failed { token, .. }
            | Self::Returned(token)
            | Self::CancelledBy(token)
            | Self::LeaseExpired(token) => Some(*token),
            Self::Claimed(_) | Self::CancelRequested | Self::Redriven | Self::Discarded => None,
        }
    }
}

/// One step of the machine at `now`, by the clock of the store.
///
/// # Errors
/// [`Refusal::Stale`] for another token than the present one, [`Refusal::AlreadySettled`] for the
/// token that ended it, [`Refusal::Finished`] and [`Refusal::NotAllowed`] as they say.
pub fn apply(
    state: &JobState,
    event: JobEvent,
    now: Timestamp,
) -> Result<Transition<JobState>, InvalidTransition> {
    let refuse = |refusal| {
        Err(InvalidTransition {
            machine: "job",
            from: state.status.as_str(),
            event: event.name(),
            refusal,
        })
    };
    if let Some(token) = event.fence() {
        let holds = state.token == Some(token);
        match state.status {
            JobStatus::Running if holds => {}
            // The token stays on a job that was settled, so that its holder learns that it was.
            _ if holds => return refuse(Refusal::AlreadySettled),
            _ => return refuse(Refusal::Stale),
        }
    }
    let mut to = state.clone();
    match event {
        JobEvent::Claimed(token) => {
            if state.status.is_terminal() {
                return refuse(Refusal::Finished);
            }
            if !state.is_due(now) {
                return refuse(Refusal::NotAllowed);
            }
            to.status = JobStatus::Running;
            to.token = Some(token);
        }
        JobEvent::Succeeded(_) => to.status = JobStatus::Succeeded,
        JobEvent::CancelledBy(_) => to.status = JobStatus::Cancelled,
        JobEvent::Failed {
            retryable,
            retry_after,
            ..
        } => {
            to.failed_attempts += 1;
            to.status = if state.cancel_requested {
                JobStatus::Cancelled
            } else if retryable && to.failed_attempts < state.max_attempts {
                JobStatus::Failed
            } else {
                JobStatus::Dead
            };
            if to.status == JobStatus::Failed {
                to.run_at = now.saturating_add(retry_after).unwrap_or(Timestamp::MAX);
            }
        }
        JobEvent::Returned(_) => {
            to.status = if state.cancel_requested {
                JobStatus::Cancelled
            } else {
                JobStatus::Queued
            };
        }
        JobEvent::LeaseExpired(_) => {
            to.lost_leases += 1;
            // Its holder is gone and must not learn that it "settled" anything.
            to.token = None;
            to.status = if state.cancel_requested {
                JobStatus::Cancelled
            } else if to.lost_leases >= LOST_LEASE_LIMIT {
                JobStatus::Dead
            } else {
                JobStatus::Queued
            };
        }
        JobEvent::CancelRequested => match state.status {
            JobStatus::Queued | JobStatus::Failed => to.status = JobStatus::Cancelled,
            JobStatus::Running => to.cancel_requested = true,
            _ => return refuse(Refusal::Finished),
        },
        JobEvent::Redriven | JobEvent::Discarded if state.status != JobStatus::Dead => {
            return refuse(if state.status.is_terminal() {
                Refusal::Finished
            } else {
                Refusal::NotAllowed
            });
        }
        // The token of its last attempt settles nothing any more.
        JobEvent::Redriven => to = JobState::enqueued(now, state.max_attempts),
        JobEvent::Discarded => to.status = JobStatus::Cancelled,
    }
    Ok(Transition {
        from: state.clone(),
        to,
    })
}

#[cfg(test)]
mod tests;
