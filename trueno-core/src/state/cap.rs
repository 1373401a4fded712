//! The rule of caps: whether one more job may begin. Asked under the store's lock (or in the
//! transaction) that also counts the job as running, for an answer is worth nothing afterwards.

use crate::model::{JobStatus, OrganizationLimits};

/// Whether a job takes up a place under its caps: while it is held, whether or not its session's
/// time ran out, until somebody takes it back.
#[must_use]
pub fn counts(status: JobStatus) -> bool {
    status == JobStatus::Running
}

/// How many jobs of an organization may run, where `running` are as many: no more may begin.
#[must_use]
pub fn full(limits: &OrganizationLimits, running: u64) -> Option<u32> {
    limits
        .max_running()
        .filter(|most| !has_room(*most, running))
}

/// Whether one more job may begin beside `running` others, under a concurrency key of this limit
/// or an organization's cap.
#[must_use]
pub fn has_room(limit: u32, running: u64) -> bool {
    running < u64::from(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_may_be_taken_and_none_after_it() {
        assert!(has_room(2, 1) && !has_room(2, 2));
        let limits = OrganizationLimits::default();
        assert_eq!(full(&limits, u64::MAX), None, "no cap");
        let capped = limits.with_max_running(2).unwrap();
        assert_eq!((full(&capped, 1), full(&capped, 2)), (None, Some(2)));
        // A cap that was lowered while more ran.
        assert_eq!(full(&capped, 5), Some(2));
    }

    #[test]
    fn only_jobs_that_are_held_count() {
        assert!(counts(JobStatus::Running));
        assert!(!counts(JobStatus::Queued) && !counts(JobStatus::Failed));
    }
}
