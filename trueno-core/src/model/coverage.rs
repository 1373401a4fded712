//! Coverage: what was read, and what could not be (P8).

use serde::{Deserialize, Serialize};

use super::{Region, ResourceKind};
use crate::error::ErrorKind;
use crate::text::text_enum;

text_enum! {
    /// How far one task of a scan got.
    pub enum CoverageStatus as "coverage status" {
        /// Everything was read.
        Complete = "complete",
        /// Still being read. Of a scan that has ended it says that nobody knows: a
        /// [report](crate::runtime::scan::report) shows it as `undetermined`.
        Reading = "reading",
        /// The region is not enabled for the account: nothing can be there.
        NotEnabled = "not_enabled",
        /// The provider denied it.
        Denied = "denied",
        /// The provider kept asking for fewer requests.
        Throttled = "throttled",
        /// The provider could not be reached, or did not answer in time.
        Unreachable = "unreachable",
        /// It failed in another way; what is there is not known.
        Undetermined = "undetermined",
    }
}

impl CoverageStatus {
    /// True where absence from what was read means that it is not there.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Complete | Self::NotEnabled)
    }

    /// What a failed task is reported as.
    #[must_use]
    pub const fn from_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Denied | ErrorKind::Unauthenticated => Self::Denied,
            ErrorKind::Throttled => Self::Throttled,
            ErrorKind::Unavailable | ErrorKind::Timeout => Self::Unreachable,
            _ => Self::Undetermined,
        }
    }
}

/// Names one task of a scan's plan: one kind of resource of one service in one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The service, such as `ec2`.
    pub service: String,
    /// The region.
    pub region: Region,
    /// The kind of resource it reads.
    pub kind: ResourceKind,
}

/// What one task read, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The task.
    pub task: TaskKey,
    /// How far it got.
    pub status: CoverageStatus,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Pages read.
    pub pages: u64,
    /// Resources read.
    pub resources: u64,
    /// The provider's error code, where one ended it.
    pub error_code: Option<String>,
    /// Where to go on, while it is still being read: opaque to all but the scanner.
    pub checkpoint: Option<String>,
}

impl Coverage {
    /// A task about to begin.
    #[must_use]
    pub fn begin(task: TaskKey) -> Self {
        Self {
            task,
            status: CoverageStatus::Reading,
            requests: 0,
            pages: 0,
            resources: 0,
            error_code: None,
            checkpoint: None,
        }
    }
}
