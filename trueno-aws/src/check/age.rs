//! Ages, counted in days of 86,400 s.

use jiff::{SignedDuration, Timestamp};
use trueno_core::check::Parameter;

const DAY: i64 = 86_400;

/// A threshold in days: from none to ten years, so that no age overflows.
pub(super) const fn days(name: &'static str, default: i64) -> Parameter {
    Parameter {
        name,
        default,
        min: 0,
        max: 3_650,
    }
}

/// Whether `since` is at least `days` before `now`. What lies after `now` is not.
pub(super) fn reached(now: Timestamp, since: Timestamp, days: i64) -> bool {
    let age = now.duration_since(since);
    age >= SignedDuration::ZERO && age >= SignedDuration::from_secs(days.saturating_mul(DAY))
}
