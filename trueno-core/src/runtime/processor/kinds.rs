//! Which kinds to ask for: those that have room, so that no claim brings more of a kind than may
//! run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pace::Brought;
use crate::model::JobKind;

/// What one claim asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) kinds: Vec<JobKind>,
    pub(super) limit: usize,
}

/// One running job's place among those of its kind, given up when it is dropped.
#[derive(Debug)]
pub(super) struct KindPlace(Arc<AtomicUsize>);

impl Drop for KindPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The kinds of a processor, and how many jobs of those that have a limit run.
///
/// A claim has one limit for all its kinds. So kinds with more room than the claim asks for go
/// together, and each other one has a claim of its own; the claims take turns.
#[derive(Debug)]
pub(super) struct Kinds {
    /// Kinds that may have every place.
    open: Vec<JobKind>,
    limited: Vec<Limited>,
    /// Whose turn is next: 0 is the common claim, then each limited kind's own.
    turn: usize,
    /// How many turns in a row brought nothing.
    empty: usize,
}

#[derive(Debug)]
struct Limited {
    kind: JobKind,
    limit: usize,
    running: Arc<AtomicUsize>,
}

impl Limited {
    fn room(&self) -> usize {
        // Only the thread that asks adds to it, so that nothing is claimed into this room meanwhile.
        self.limit
            .saturating_sub(self.running.load(Ordering::Relaxed))
    }
}

impl Kinds {
    pub(super) fn new<'a>(
        kinds: impl Iterator<Item = &'a JobKind>,
        limits: &BTreeMap<JobKind, usize>,
    ) -> Self {
        let mut all: Vec<JobKind> = kinds.cloned().collect();
        // The same claims in each run, whatever the order of a hash map.
        all.sort_unstable();
        let mut open = Vec::new();
        let mut limited = Vec::new();
        for kind in all {
            match limits.get(&kind) {
                None => open.push(kind),
                Some(&limit) => limited.push(Limited {
                    kind,
                    limit,
                    running: Arc::default(),
                }),
            }
        }
        Self {
            open,
            limited,
            turn: 0,
            empty: 0,
        }
    }

    /// How many of so many places jobs can ever take.
    pub(super) fn capacity(&self, places: usize) -> usize {
        self.within(places, |limited| limited.limit)
    }

    /// How many of so many free places can be claimed now.
    pub(super) fn room(&self, free: usize) -> usize {
        self.within(free, Limited::room)
    }

    fn within(&self, places: usize, of: impl Fn(&Limited) -> usize) -> usize {
        if self.open.is_empty() {
            let sum = self.limited.iter().map(of).fold(0, usize::saturating_add);
            places.min(sum)
        } else {
            places
        }
    }

    /// A job of this kind begins. `None` for a kind without a limit.
    pub(super) fn begin(&self, kind: &JobKind) -> Option<KindPlace> {
        let limited = self.limited.iter().find(|limited| limited.kind == *kind)?;
        limited.running.fetch_add(1, Ordering::Relaxed);
        Some(KindPlace(limited.running.clone()))
    }

    /// The next claim of up to `most` jobs. `None` where no kind has room.
    pub(super) fn next(&mut self, most: usize) -> Option<Ask> {
        let turns = self.limited.len() + 1;
        for _ in 0..turns {
            let turn = self.turn;
            self.turn = (turn + 1) % turns;
            if let Some(ask) = self.ask(turn, most) {
                return Some(ask);
            }
        }
        None
    }

    /// What an answer of so many jobs means, where `most` could be asked for next.
    pub(super) fn brought(&mut self, jobs: usize, most: usize) -> Brought {
        if jobs > 0 {
            self.empty = 0;
            return Brought::Jobs(jobs);
        }
        self.empty += 1;
        let turns = 0..=self.limited.len();
        let open = turns.filter(|&turn| self.ask(turn, most).is_some()).count();
        if self.empty < open {
            return Brought::NothingYet;
        }
        self.empty = 0;
        Brought::Nothing
    }

    fn ask(&self, turn: usize, most: usize) -> Option<Ask> {
        let Some(own) = turn.checked_sub(1) else {
            let roomy = self.limited.iter().filter(|kind| kind.room() >= most);
            let roomy = roomy.map(|limited| limited.kind.clone());
            return ask(self.open.iter().cloned().chain(roomy).collect(), most);
        };
        let limited = self.limited.get(own)?;
        let room = limited.room();
        // With more room, it is among those of the common claim.
        if room >= most {
            return None;
        }
        ask(vec![limited.kind.clone()], room)
    }
}

fn ask(kinds: Vec<JobKind>, limit: usize) -> Option<Ask> {
    (!kinds.is_empty() && limit > 0).then_some(Ask { kinds, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: JobKind = JobKind::known("open");
    const TWO: JobKind = JobKind::known("two");
    const NINE: JobKind = JobKind::known("nine");

    fn kinds(all: &[JobKind]) -> Kinds {
        let limits = BTreeMap::from([(TWO, 2), (NINE, 9)]);
        Kinds::new(all.iter(), &limits)
    }

    fn asks(kinds: &mut Kinds, most: usize, count: usize) -> Vec<(Vec<JobKind>, usize)> {
        let next = |_| kinds.next(most).map(|ask| (ask.kinds, ask.limit));
        (0..count).filter_map(next).collect()
    }

    #[test]
    fn without_limits_each_claim_is_for_every_kind() {
        let mut open = kinds(&[OPEN]);
        assert_eq!(asks(&mut open, 5, 2), vec![(vec![OPEN], 5); 2]);
        assert!(open.begin(&OPEN).is_none());
        assert_eq!(open.brought(0, 5), Brought::Nothing);
    }

    #[test]
    fn kinds_with_room_for_the_whole_claim_share_it_and_others_take_turns() {
        let mut all = kinds(&[OPEN, TWO, NINE]);
        let common = (vec![OPEN, NINE], 5);
        let own = (vec![TWO], 2);
        assert_eq!(
            asks(&mut all, 5, 3),
            [common.clone(), own.clone(), common.clone()]
        );
        let held = all.begin(&TWO);
        assert_eq!(asks(&mut all, 5, 2), [(vec![TWO], 1), common.clone()]);
        let both = (held, all.begin(&TWO));
        assert_eq!(asks(&mut all, 5, 2), [common.clone(), common]);
        drop(both);
        assert_eq!(asks(&mut all, 5, 1), [own]);
    }

    #[test]
    fn where_no_kind_has_room_nothing_is_asked_for() {
        let mut limited = kinds(&[TWO]);
        assert_eq!((limited.capacity(100), limited.room(100)), (2, 2));
        let places = [limited.begin(&TWO), limited.begin(&TWO)];
        assert_eq!(limited.room(100), 0);
        assert_eq!(limited.next(100), None);
        drop(places);
        assert_eq!(limited.room(1), 1);
        assert_eq!(kinds(&[OPEN, TWO]).capacity(100), 100);
    }

    #[test]
    fn nothing_is_known_only_once_every_claim_brought_nothing() {
        let mut all = kinds(&[OPEN, TWO, NINE]);
        // The common claim, and one of its own for each of the two that have less room.
        assert_eq!(all.brought(0, 100), Brought::NothingYet);
        assert_eq!(all.brought(0, 100), Brought::NothingYet);
        assert_eq!(all.brought(0, 100), Brought::Nothing);
        assert_eq!(all.brought(0, 100), Brought::NothingYet);
        assert_eq!(all.brought(3, 100), Brought::Jobs(3));
        assert_eq!(all.brought(0, 100), Brought::NothingYet);
    }
}
