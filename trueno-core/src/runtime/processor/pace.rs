//! When to claim: at once where it is worth it, soon where a place is free, seldom where there is
//! nothing.

use std::time::Duration;

use tokio::time::Instant;

/// How long a free place waits for others before a claim is sent for few of them.
const LINGER: Duration = Duration::from_millis(2);

/// The first wait after a claim that brought nothing.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// What a claim brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    /// So many jobs, at least one.
    Jobs(usize),
    /// None; other kinds were not asked for yet.
    NothingYet,
    /// None, of any kind that has room.
    Nothing,
    /// An error.
    Failure,
}

/// Decides when the next claim is due, from what happened and when.
#[derive(Debug)]
pub(super) struct Pace {
    /// This many free places are worth a claim at once.
    worth: usize,
    longest: Duration,
    /// The wait after the next claim that brings nothing.
    wait: Duration,
    /// When to claim, however few places are free. `None` where none became free since the last.
    at: Option<Instant>,
    /// The last claim brought so many that the next one is not kept waiting for the time.
    plenty: bool,
    failing: bool,
}

impl Pace {
    /// A pace for so many places, claimed by so many at the most.
    pub(super) fn new(places: usize, batch: usize, poll_interval: Duration, now: Instant) -> Self {
        Self {
            worth: places.div_ceil(4).min(batch),
            longest: poll_interval,
            wait: SHORTEST_WAIT.min(poll_interval),
            at: Some(now),
            plenty: false,
            failing: false,
        }
    }

    /// Whether to claim now for so many free places.
    pub(super) fn is_due(&self, free: usize, now: Instant) -> bool {
        free > 0 && ((self.plenty && free >= self.worth) || self.at.is_some_and(|at| at <= now))
    }

    /// When to look again, if nothing happens before.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// A claim was sent: what happens from now on, its answer may not know of.
    pub(super) fn sent(&mut self) {
        self.at = None;
    }

    /// A job ended: its place is free, and another that waited for its end may begin.
    pub(super) fn stir(&mut self, now: Instant) {
        // A queue that fails is not asked more often because jobs end.
        if !self.failing {
            self.by(now + LINGER);
        }
    }

    /// The queue hints that there is work.
    pub(super) fn hint(&mut self, now: Instant) {
        if !self.failing {
            self.wait = SHORTEST_WAIT.min(self.longest);
            self.by(now);
        }
    }

    /// The claim was answered; so many places are free now.
    pub(super) fn answered(&mut self, brought: Brought, free: usize, now: Instant) {
        self.failing = brought == Brought::Failure;
        match brought {
            Brought::Jobs(count) => {
                self.plenty = count >= self.worth;
                self.wait = SHORTEST_WAIT.min(self.longest);
                if free > 0 {
                    self.by(now + LINGER);
                } else {
                    self.at = None;
                }
            }
            Brought::NothingYet => self.by(now),
            Brought::Nothing => {
                self.plenty = false;
                // What happened meanwhile is looked at soon, and makes no wait longer.
                if self.at.is_none() {
                    self.put_off(now);
                }
            }
            Brought::Failure => {
                self.plenty = false;
                self.put_off(now);
            }
        }
    }

    fn by(&mut self, moment: Instant) {
        self.at = Some(self.at.map_or(moment, |at| at.min(moment)));
    }

    fn put_off(&mut self, now: Instant) {
        self.at = Some(now + self.wait);
        self.wait = (self.wait * 2).min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace(places: usize, start: Instant) -> Pace {
        Pace::new(places, 500, Duration::from_secs(1), start)
    }

    #[tokio::test(start_paused = true)]
    async fn few_places_wait_for_others_and_many_do_not() {
        let now = Instant::now();
        let mut pace = pace(1_000, now);
        assert!(pace.is_due(1_000, now), "the first claim waits for nothing");
        pace.sent();
        pace.answered(Brought::Jobs(500), 500, now);
        assert!(pace.is_due(250, now), "a quarter is worth a claim");
        assert!(!pace.is_due(249, now));
        assert!(pace.is_due(1, now + LINGER), "no place waits for longer");
        assert!(!pace.is_due(0, now + LINGER), "without a place, never");
    }

    #[tokio::test(start_paused = true)]
    async fn the_linger_begins_when_a_place_becomes_free() {
        let now = Instant::now();
        let mut pace = pace(100, now);
        pace.sent();
        pace.answered(Brought::Jobs(100), 0, now);
        let later = now + 500 * MS;
        assert!(!pace.is_due(1, later), "nothing became free since");
        pace.stir(later);
        pace.stir(later + MS);
        assert!(!pace.is_due(2, later + MS));
        assert!(pace.is_due(2, later + LINGER));
    }

    #[tokio::test(start_paused = true)]
    async fn one_place_of_four_is_a_quarter_and_a_batch_is_always_enough() {
        let now = Instant::now();
        let mut four = pace(4, now);
        four.sent();
        four.answered(Brought::Jobs(4), 0, now);
        assert!(four.is_due(1, now));
        let mut many = pace(10_000, now);
        many.sent();
        many.answered(Brought::Jobs(500), 500, now);
        assert!(many.is_due(500, now) && !many.is_due(499, now));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_the_poll_interval_and_a_hint_or_work_resets_them() {
        let mut now = Instant::now();
        let mut pace = pace(4, now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            pace.sent();
            pace.answered(Brought::Nothing, 4, now);
            let at = pace.at().expect("it asks again");
            assert!(!pace.is_due(4, at - MS) && pace.is_due(4, at));
            waits.push((at - now).as_millis());
            now = at;
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_000, 1_000]);
        pace.hint(now);
        assert!(pace.is_due(4, now));
        pace.sent();
        pace.answered(Brought::Nothing, 4, now);
        assert_eq!(pace.at(), Some(now + 50 * MS));
        pace.sent();
        pace.answered(Brought::Jobs(1), 3, now);
        pace.sent();
        pace.answered(Brought::Nothing, 4, now);
        assert_eq!(pace.at(), Some(now + 50 * MS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_poll_interval_is_the_whole_wait() {
        let now = Instant::now();
        let mut pace = Pace::new(4, 500, 10 * MS, now);
        for _ in 0..3 {
            pace.sent();
            pace.answered(Brought::Nothing, 4, now);
            assert_eq!(pace.at(), Some(now + 10 * MS));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_claim_is_not_forgotten_by_its_empty_answer() {
        let now = Instant::now();
        let mut pace = pace(4, now);
        pace.sent();
        pace.stir(now);
        pace.answered(Brought::Nothing, 4, now + MS);
        assert_eq!(pace.at(), Some(now + LINGER));
        pace.sent();
        pace.answered(Brought::Nothing, 4, now);
        assert_eq!(pace.at(), Some(now + 50 * MS), "and no wait has grown");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_fails_is_asked_by_the_clock_only() {
        let now = Instant::now();
        let mut pace = pace(4, now);
        pace.sent();
        pace.stir(now);
        pace.answered(Brought::Failure, 4, now);
        pace.stir(now);
        pace.hint(now);
        assert!(!pace.is_due(4, now + 49 * MS) && pace.is_due(4, now + 50 * MS));
        pace.sent();
        pace.answered(Brought::Failure, 4, now);
        assert_eq!(pace.at(), Some(now + 100 * MS));
        pace.sent();
        pace.answered(Brought::Nothing, 4, now);
        pace.hint(now);
        assert!(pace.is_due(4, now), "it answers again");
    }
}
