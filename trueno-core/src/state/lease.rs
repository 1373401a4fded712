//! When a lease holds: the fence of every effect (P3). All moments are by the store's clock (P10).

use std::time::Duration;

use jiff::Timestamp;

use super::job::JobState;
use crate::id::LeaseToken;
use crate::model::JobStatus;

/// Whether the time of a session that runs out at `expires_at` has not come.
#[must_use]
pub fn is_live(expires_at: Timestamp, now: Timestamp) -> bool {
    expires_at > now
}

/// When a session runs out that asks for `lease_for` from now: never before it would have. `None`
/// where it is over, for good.
#[must_use]
pub fn extend(expires_at: Timestamp, now: Timestamp, lease_for: Duration) -> Option<Timestamp> {
    is_live(expires_at, now).then(|| expires_at.max(until(now, lease_for)))
}

/// When a session runs out that begins now.
#[must_use]
pub fn until(now: Timestamp, lease_for: Duration) -> Timestamp {
    now.saturating_add(lease_for).unwrap_or(Timestamp::MAX)
}

/// Whether `token` holds the job, for a session that runs out at `expires_at`. The time counts, not
/// whether somebody took the job back already.
#[must_use]
pub fn holds(job: &JobState, token: LeaseToken, expires_at: Timestamp, now: Timestamp) -> bool {
    job.status == JobStatus::Running && job.token == Some(token) && is_live(expires_at, now)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_session_is_never_cut_short_and_never_begins_again() {
        let (short, long) = (Duration::from_secs(5), Duration::from_secs(50));
        assert_eq!(extend(at(10), at(0), short), Some(at(10)));
        assert_eq!(extend(at(10), at(0), long), Some(at(50)));
        assert_eq!(extend(at(10), at(10), long), None, "over at that moment");
        assert_eq!(until(Timestamp::MAX, long), Timestamp::MAX);
    }

    #[test]
    fn a_lease_is_held_under_its_token_while_the_job_runs_and_the_session_lives() {
        let token = |n| LeaseToken::from_uuid(Uuid::from_u128(n));
        let mut job = JobState::enqueued(at(0), 2);
        job.token = Some(token(1));
        assert!(!holds(&job, token(1), at(10), at(0)), "it does not run");
        job.status = JobStatus::Running;
        assert!(holds(&job, token(1), at(10), at(9)));
        assert!(!holds(&job, token(2), at(10), at(9)), "another's token");
        assert!(!holds(&job, token(1), at(10), at(10)), "its time is up");
    }
}
