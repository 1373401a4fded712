//! What becomes of findings after another look.

use std::collections::HashSet;

use crate::model::{FindingDraft, FindingStatus};

use super::{CoverageMap, Engine};

/// Keys that a look settled, besides those it found.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    found: HashSet<String>,
    undetermined: HashSet<String>,
}

impl Reconciliation {
    /// The look found it.
    pub fn found(&mut self, key: &str) {
        self.found.insert(key.to_owned());
    }

    /// The look could not tell.
    pub fn undetermined(&mut self, key: &str) {
        self.undetermined.insert(key.to_owned());
    }

    /// Whether a finding that stands is resolved: a complete look neither found it nor failed to
    /// tell (P8).
    #[must_use]
    pub fn resolves(
        &self,
        standing: &FindingDraft,
        engine: &Engine,
        coverage: &CoverageMap,
    ) -> bool {
        !self.found.contains(&standing.key)
            && !self.undetermined.contains(&standing.key)
            && engine.looked_completely(standing, coverage)
    }
}

/// The status of a finding that a look found, given the status that it had.
#[must_use]
pub fn reconcile(before: Option<FindingStatus>) -> FindingStatus {
    match before {
        None => FindingStatus::New,
        Some(FindingStatus::New | FindingStatus::Open) => FindingStatus::Open,
        Some(FindingStatus::Resolved | FindingStatus::Reopened) => FindingStatus::Reopened,
        // What people decided stays.
        Some(
            kept @ (FindingStatus::Acknowledged
            | FindingStatus::InProgress
            | FindingStatus::Suppressed),
        ) => kept,
    }
}
