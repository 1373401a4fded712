//! The state machines: pure `apply(state, event, now)`, no I/O.
//!
//! Every adapter persists through these, so that what is allowed is written down once; database
//! constraints mirror them and the conformance suites hold both to it.

pub mod cap;
pub mod cloud_account;
pub mod exception;
pub mod finding;
pub mod job;
pub mod lease;
pub mod scan;
pub mod schedule;

use std::fmt;

use crate::error::{Error, ErrorKind};

/// A step that was allowed: from where to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition<S> {
    /// The state before.
    pub from: S,
    /// The state after.
    pub to: S,
}

/// Why a step is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The event carries the token of a lease that is no longer held.
    Stale,
    /// The same lease settled it already.
    AlreadySettled,
    /// It ended; nothing can happen to it any more.
    Finished,
    /// The event means nothing in this state.
    NotAllowed,
}

/// A step that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{machine}: {event} is not allowed from {from} ({})", describe(.refusal))]
pub struct InvalidTransition {
    /// The machine: `job`, `scan`, `cloud account`, `finding` or `exception`.
    pub machine: &'static str,
    /// The status before.
    pub from: &'static str,
    /// The event.
    pub event: &'static str,
    /// Why not.
    pub refusal: Refusal,
}

fn describe(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Stale => "the lease is no longer held",
        Refusal::AlreadySettled => "settled already",
        Refusal::Finished => "it has ended",
        Refusal::NotAllowed => "not in this state",
    }
}

impl From<InvalidTransition> for Error {
    fn from(invalid: InvalidTransition) -> Self {
        let kind = match invalid.refusal {
            Refusal::Stale => ErrorKind::StaleLease,
            _ => ErrorKind::InvalidTransition,
        };
        Self::new(kind, invalid.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(describe(self))
    }
}
