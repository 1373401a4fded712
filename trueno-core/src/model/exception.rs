//! Exceptions: a finding that the organization accepts, for a reason and for a time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Version;
use super::finding::prose;
use crate::error::{Error, Result};
use crate::id::{ExceptionId, FindingId, UserId};
use crate::text::text_enum;

/// How long an exception may last at the most: a year, leap day included.
pub const LONGEST_EXCEPTION: SignedDuration = SignedDuration::from_hours(366 * 24);

text_enum! {
    /// Where an exception is in its life.
    pub enum ExceptionStatus as "exception status" {
        /// Waits for somebody's decision.
        Requested = "requested",
        /// Approved: its finding is suppressed.
        Approved = "approved",
        /// Refused.
        Rejected = "rejected",
        /// Taken back, before or after it was approved.
        Withdrawn = "withdrawn",
        /// Its time ran out; its finding was reopened.
        Lapsed = "lapsed",
        /// Its finding was resolved: there is nothing left to except.
        Closed = "closed",
    }
}

impl ExceptionStatus {
    /// True while it waits or holds: a finding has one such exception at the most.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Requested | Self::Approved)
    }
}

/// An exception as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its id.
    pub id: ExceptionId,
    /// The finding.
    pub finding: FindingId,
    /// Why the finding is acceptable.
    pub reason: String,
    /// Who asked for it.
    pub requester: UserId,
    /// Who approved or rejected it: never the requester.
    pub approver: Option<UserId>,
    /// Where it is in its life.
    pub status: ExceptionStatus,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it was asked for, by the store's clock.
    pub created_at: Timestamp,
    /// When it got its present status, by the store's clock.
    pub changed_at: Timestamp,
    /// Counts changes of this row.
    pub version: Version,
}

/// An exception about to be asked for, by the member whose scope asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewException {
    id: ExceptionId,
    finding: FindingId,
    reason: String,
    expires_at: Timestamp,
}

impl NewException {
    /// `now` is what `expires_at` is held against.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a reason that is
    /// blank, longer than 2,000 characters, or holds control characters other than tab and line
    /// feed, and for an end that is not after `now`, or more than [`LONGEST_EXCEPTION`] after it.
    pub fn new(
        id: ExceptionId,
        finding: FindingId,
        reason: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Self> {
        let lasts = expires_at.duration_since(now);
        if lasts <= SignedDuration::ZERO || lasts > LONGEST_EXCEPTION {
            return Err(Error::invalid(
                "expires_at",
                "needs a moment in the future, at most 366 days from now",
            ));
        }
        Ok(Self {
            id,
            finding,
            reason: prose("reason", reason, 2_000)?,
            expires_at,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ExceptionId {
        self.id
    }

    /// The finding.
    #[must_use]
    pub fn finding(&self) -> FindingId {
        self.finding
    }

    /// Why the finding is acceptable.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When it lapses.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}
