//! What checks need to know of other resources: references, never whole resources.

use std::collections::HashMap;

use crate::model::Region;

/// An index of short notes by relation, region and native id.
///
/// A relation is a name that a check chooses, such as `instance.stopped-since`. Memory grows with
/// the number of references, some tens of bytes each.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    notes: HashMap<(&'static str, Region), HashMap<String, String>>,
}

impl Relations {
    /// Notes `note` under a relation and a native id; an earlier note is replaced.
    pub fn note(&mut self, relation: &'static str, region: &Region, native_id: &str, note: &str) {
        self.notes
            .entry((relation, region.clone()))
            .or_default()
            .insert(native_id.to_owned(), note.to_owned());
    }

    /// What was noted.
    #[must_use]
    pub fn get(&self, relation: &'static str, region: &Region, native_id: &str) -> Option<&str> {
        self.notes
            .get(&(relation, region.clone()))?
            .get(native_id)
            .map(String::as_str)
    }

    /// Whether anything was noted.
    #[must_use]
    pub fn contains(&self, relation: &'static str, region: &Region, native_id: &str) -> bool {
        self.get(relation, region, native_id).is_some()
    }
}
