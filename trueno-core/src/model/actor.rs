//! Who acts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{JobId, ScheduleId, UserId};

/// Who did it: recorded in every audit event, set by the scope and never by its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// A member of the organization.
    Member {
        /// The member.
        user: UserId,
    },
    /// A processor that runs a job.
    Processor {
        /// The job.
        job: JobId,
    },
    /// A schedule whose tick fired.
    Schedule {
        /// The schedule.
        schedule: ScheduleId,
    },
    /// The system itself (recovery of orphans, for one).
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { user } => write!(f, "member {user}"),
            Self::Processor { job } => write!(f, "processor of job {job}"),
            Self::Schedule { schedule } => write!(f, "schedule {schedule}"),
            Self::System => f.write_str("system"),
        }
    }
}
