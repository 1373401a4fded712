//! Backoff between attempts: exponential, capped, with full jitter.
//! Source of the method: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// `base` is the largest wait after the first failure; it doubles up to `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The largest wait after the first failure.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// The largest wait of all.
    #[must_use]
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// The longest wait after `failures` failed attempts (1 for the first).
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.base
            .checked_mul(factor)
            .map_or(self.cap, |wait| wait.min(self.cap))
    }

    /// The wait after `failures` failed attempts: `unit`, a random number in `0.0..1.0`, picks a
    /// point of the upper half of the ceiling, so that a crowd spreads and nobody returns at once.
    #[must_use]
    pub fn delay(&self, failures: u32, unit: f64) -> Duration {
        self.ceiling(failures)
            .mul_f64(0.5 + unit.clamp(0.0, 1.0) / 2.0)
    }
}

impl Default for Backoff {
    /// 1 s, doubling up to 5 min.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(300))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_stays_between_half_and_the_whole_ceiling(failures in 0_u32..200, unit in 0.0..1.0_f64) {
            let backoff = Backoff::default();
            let (delay, ceiling) = (backoff.delay(failures, unit), backoff.ceiling(failures));
            prop_assert!(delay >= ceiling / 2 && delay <= ceiling);
            prop_assert!(ceiling <= Duration::from_secs(300));
            prop_assert!(backoff.ceiling(failures + 1) >= ceiling);
        }
    }
}
