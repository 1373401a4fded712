//! When schedules of a run fire: worked out minute by minute, without what reads cron expressions.

use std::time::Duration;

use jiff::Timestamp;

/// An expression, and the minutes (since 1970) that are ticks of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) cron: &'static str,
    pub(super) zone: &'static str,
    is_tick: fn(i64) -> bool,
}

/// Runs begin at midnight of 1 January 2026 (UTC).
pub(super) const RHYTHMS: [Rhythm; 5] = [
    Rhythm {
        cron: "* * * * *",
        zone: "UTC",
        is_tick: |_| true,
    },
    Rhythm {
        cron: "*/5 * * * *",
        zone: "Europe/Berlin",
        is_tick: |minute| minute % 5 == 0,
    },
    Rhythm {
        cron: "1-59/3 * * * *",
        zone: "UTC",
        is_tick: |minute| minute % 60 % 3 == 1,
    },
    // 5:45 ahead.
    Rhythm {
        cron: "2,3,12,50 * * * *",
        zone: "Asia/Kathmandu",
        is_tick: |minute| [2, 3, 12, 50].contains(&((minute + 345) % 60)),
    },
    // An hour ahead.
    Rhythm {
        cron: "4 1 * * *",
        zone: "Europe/Berlin",
        is_tick: |minute| (minute + 60) % 1_440 == 64,
    },
];

impl Rhythm {
    /// The first tick after `after`.
    pub(super) fn next_after(self, after: Timestamp) -> Timestamp {
        let mut minute = after.as_second().div_euclid(60) + 1;
        while !(self.is_tick)(minute) {
            minute += 1;
        }
        Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minute.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_those_of_the_clock_on_the_wall() {
        let first = |nth: usize| {
            let rhythm: Rhythm = RHYTHMS[nth];
            let after = "2026-01-01T00:00:00Z".parse().unwrap();
            rhythm.next_after(after).to_string()
        };
        assert_eq!(first(0), "2026-01-01T00:01:00Z");
        assert_eq!(first(1), "2026-01-01T00:05:00Z");
        assert_eq!(first(2), "2026-01-01T00:01:00Z");
        assert_eq!(first(3), "2026-01-01T00:05:00Z", "5:50 in Kathmandu");
        assert_eq!(first(4), "2026-01-01T00:04:00Z", "1:04 in Berlin");
    }
}
