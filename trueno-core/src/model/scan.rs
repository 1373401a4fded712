//! Scans: the business record of one look at an account.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Actor, Version};
use crate::id::{CloudAccountId, JobId, ScanId};
use crate::text::text_enum;

text_enum! {
    /// What a scan looks at.
    pub enum ScanKind as "scan kind" {
        /// Resources, and the checks over them.
        Inventory = "inventory",
        /// Billed cost.
        Cost = "cost",
        /// The provider's own recommendations.
        Recommendation = "recommendation",
    }
}

text_enum! {
    /// Where a scan is in its life; the machine is [`crate::state::scan`].
    pub enum ScanStatus as "scan status" {
        /// Waits for a processor.
        Queued = "queued",
        /// A processor works on it.
        Running = "running",
        /// Ended with complete coverage.
        Succeeded = "succeeded",
        /// Ended; something could not be read, and coverage says what.
        Partial = "partial",
        /// Ended without a result.
        Failed = "failed",
        /// Stopped on request.
        Cancelled = "cancelled",
    }
}

/// How far a running scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanProgress {
    /// Tasks of the plan.
    pub tasks: u64,
    /// Tasks that ended, well or not.
    pub tasks_done: u64,
    /// Resources read so far.
    pub resources: u64,
}

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Its id.
    pub id: ScanId,
    /// The account it looks at.
    pub account: CloudAccountId,
    /// The job that runs it.
    pub job: JobId,
    /// What it looks at.
    pub kind: ScanKind,
    /// Where it is in its life.
    pub status: ScanStatus,
    /// Who asked for it.
    pub requested_by: Actor,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When a processor began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed, in words for its organization.
    pub error: Option<String>,
    /// How far it is.
    pub progress: ScanProgress,
    /// Counts changes of this row.
    pub version: Version,
}

/// A scan about to be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScan {
    /// Its id.
    pub id: ScanId,
    /// The account to look at.
    pub account: CloudAccountId,
    /// The job that will run it, enqueued in the same unit of work.
    pub job: JobId,
    /// What to look at.
    pub kind: ScanKind,
}
