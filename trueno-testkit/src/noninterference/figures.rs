//! What a proof of many interleavings tried.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::transcript::{Answers, Transcript};

/// What B asked for in many runs, and how often it was answered.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    interleavings: u64,
    acts: u64,
    bytes: u64,
    answers: BTreeMap<&'static str, Answers>,
}

impl Figures {
    /// Adds a run with A that was compared with the one without.
    pub fn add(&mut self, with: &Transcript) {
        self.merge(Self {
            interleavings: 1,
            acts: with.acts,
            bytes: with.exact().len() as u64,
            answers: with.answers.clone(),
        });
    }

    /// Adds what another worker tried.
    pub fn merge(&mut self, other: Self) {
        self.interleavings += other.interleavings;
        self.acts += other.acts;
        self.bytes += other.bytes;
        for (what, more) in other.answers {
            let answers = self.answers.entry(what).or_default();
            answers.given += more.given;
            answers.refused += more.refused;
        }
    }

    /// What B asked for of its own and was never given: a proof in which it never got that far
    /// proves nothing of it. What it reaches for at A's is not asked about.
    #[must_use]
    pub fn never_given(&self) -> Vec<&'static str> {
        let own = self
            .answers
            .iter()
            .filter(|(what, _)| !what.starts_with("reach."));
        own.filter_map(|(what, answers)| (answers.given == 0).then_some(*what))
            .collect()
    }

    /// The figures, for [`proof::report`](crate::proof::report).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let all = |of: fn(&Answers) -> u64| self.answers.values().map(of).sum::<u64>();
        json!({
            "interleavings": self.interleavings,
            "steps_of_a": self.acts,
            "bytes": self.bytes,
            "answers": all(|answers| answers.given),
            "refusals": all(|answers| answers.refused),
            "kinds_of_answers": self.answers.len(),
        })
    }
}
