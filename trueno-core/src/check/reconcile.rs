//! What becomes of findings after another look.

use std::collections::BTreeSet;

use crate::model::FindingDraft;

use super::{CoverageMap, Engine};

/// Works out which findings a look resolves: those that stood, that a complete look would have
/// found again, and that it neither found nor failed to tell (P8). Holds their keys and no more.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    unseen: BTreeSet<String>,
}

impl Reconciliation {
    /// Before the look: this finding stands. What the look cannot see completely is left alone.
    pub fn stands(&mut self, finding: &FindingDraft, engine: &Engine, coverage: &CoverageMap) {
        if engine.looked_completely(finding, coverage) {
            self.unseen.insert(finding.key.clone());
        }
    }

    /// The look found it.
    pub fn found(&mut self, key: &str) {
        self.unseen.remove(key);
    }

    /// The look could not tell.
    pub fn undetermined(&mut self, key: &str) {
        self.unseen.remove(key);
    }

    /// After the look: the keys of the findings that it resolves, sorted.
    #[must_use]
    pub fn resolved(self) -> Vec<String> {
        self.unseen.into_iter().collect()
    }
}
