//! What a scheduler does about a schedule that is due: a pure step, which every store's conditional
//! update (`next_run_at` is still what the step was worked out from) makes safe to work out anywhere
//! and any number of times.
//!
//! One step enqueues one tick at the most and moves the schedule forward. So no tick is enqueued
//! twice, and what a step did not get to is due again.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::id::ScheduleId;
use crate::model::MissedTicks;

/// How late a tick may be and still run under [`MissedTicks::Skip`]. Longer than a restart of a
/// scheduler takes, and shorter than any two ticks of an hourly schedule are apart.
pub const GRACE: Duration = Duration::from_secs(60);

/// The most ticks that one step passes over, a week of minutes: a bound to the work of a step. The
/// next step goes on.
pub const MOST_PASSED_OVER: u64 = 10_080;

/// What one step does. `E` is why a tick could not be worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<E = Error> {
    /// The tick to enqueue.
    pub run: Option<Timestamp>,
    /// How many ticks before it (or before `next`) are given up.
    pub passed_over: u64,
    /// The tick that is due from then on; it may be due already. Where it could not be worked out, the
    /// schedule has to be parked, so that somebody sees it.
    pub next: Result<Timestamp, E>,
}

/// The step for a schedule whose tick of `due_at` is due at `now`, both by the store's clock.
/// `next_after(t)` is the first occurrence after `t`: it has to be later than `t`. `None` while `due_at` lies in the future: nothing is to be done.
///
/// Occurrences count from `due_at` on. Where `due_at` is none itself (a time zone's rules were changed
/// since it was worked out) the first one after it takes its place.
///
/// ```
/// use jiff::Timestamp;
/// use trueno_core::model::MissedTicks;
/// use trueno_core::state::schedule::step;
///
/// let at = |second| Timestamp::from_second(second).unwrap();
/// let hourly = |t: Timestamp| Ok::<_, ()>(at((t.as_second().div_euclid(3_600) + 1) * 3_600));
/// let missed = step(MissedTicks::RunOnce, at(3_600), at(11_000), hourly).unwrap();
/// assert_eq!((missed.run, missed.passed_over), (Some(at(10_800)), 2));
/// assert_eq!(missed.next, Ok(at(14_400)));
/// ```
#[must_use]
pub fn step<E>(
    missed: MissedTicks,
    due_at: Timestamp,
    now: Timestamp,
    next_after: impl Fn(Timestamp) -> Result<Timestamp, E>,
) -> Option<Step<E>> {
    if due_at > now {
        return None;
    }
    let from = due_at
        .checked_sub(Duration::from_nanos(1))
        .unwrap_or(due_at);
    let (mut tick, mut passed_over) = (next_after(from), 0);
    while let Ok(due) = tick
        && due <= now
    {
        let next = next_after(due);
        let is_given_up = match missed {
            MissedTicks::RunAll => false,
            MissedTicks::RunOnce => next.as_ref().is_ok_and(|next| *next <= now),
            MissedTicks::Skip => now.duration_since(due).unsigned_abs() > GRACE,
        };
        if !is_given_up {
            return Some(Step {
                run: Some(due),
                passed_over,
                next,
            });
        }
        passed_over += 1;
        tick = next;
        if passed_over == MOST_PASSED_OVER {
            break;
        }
    }
    Some(Step {
        run: None,
        passed_over,
        next: tick,
    })
}

/// How long after its tick a run begins: the same for the same schedule and tick wherever it is worked
/// out, spread evenly over `jitter`, in whole milliseconds.
#[must_use]
pub fn jitter_offset(schedule: ScheduleId, tick: Timestamp, jitter: Duration) -> Duration {
    let mut hash = Sha256::new();
    hash.update(b"trueno schedule jitter v1");
    hash.update(schedule.as_uuid().as_bytes());
    hash.update(tick.as_second().to_be_bytes());
    let digest = hash.finalize();
    let mut bits = [0_u8; 8];
    bits.copy_from_slice(&digest[..8]);
    // A 64-bit fraction of `jitter`, so that no value is favoured.
    let scaled = (u128::from(u64::from_be_bytes(bits)) * jitter.as_millis()) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(0))
}

#[cfg(test)]
mod tests;
