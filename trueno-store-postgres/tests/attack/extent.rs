//! How many of the cases are tried.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::index;
use trueno_testkit::proof;

use super::run::Case;
use super::schema::Role;
use crate::support::way::Way;

/// Of so many cases one is tried.
const PARTS: usize = 10;

/// How many of the cases are tried.
#[derive(Debug)]
pub(crate) enum Extent {
    All,
    /// A tenth of each kind of statement on each subject, and at least one, as these draw.
    Tenth(Box<StdRng>),
}

impl Extent {
    /// All of them on connections of one's own. Through a pooler, which changes where statements run and
    /// not what they are, all in a full proof only.
    pub(crate) fn of(way: Way, role: Role) -> Self {
        if way == Way::Straight || proof::is_full() {
            return Self::All;
        }
        let seed = proof::seed().wrapping_add(role as u64);
        Self::Tenth(Box::new(StdRng::seed_from_u64(seed)))
    }

    /// Those of `cases` that are tried.
    pub(crate) fn take(&mut self, cases: Vec<Case>) -> Vec<Case> {
        let Self::Tenth(rng) = self else {
            return cases;
        };
        let mut kinds: BTreeMap<(String, &str), Vec<Case>> = BTreeMap::new();
        for case in cases {
            let kind = kinds.entry((case.subject.clone(), case.statement));
            kind.or_default().push(case);
        }
        let mut drawn = Vec::new();
        for kind in kinds.values() {
            let many = kind.len().div_ceil(PARTS);
            let places = index::sample(rng, kind.len(), many);
            drawn.extend(places.iter().map(|place| kind[place].clone()));
        }
        drawn
    }
}
