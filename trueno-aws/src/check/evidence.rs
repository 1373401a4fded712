//! The facts that a finding rests on, in a form that is the same for the same facts.

use serde_json::{Map, Value};
use trueno_core::check::Verdict;
use trueno_core::model::Resource;
use trueno_core::money::Saving;

use super::monthly::Monthly;

/// Facts by name. A map sorts them, so their order here does not matter.
#[derive(Debug, Default)]
pub(super) struct Evidence(Map<String, Value>);

impl Evidence {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A fact.
    pub(super) fn with(mut self, name: &str, fact: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), fact.into());
        self
    }

    /// A fact that the provider may not tell: left out where it did not.
    pub(super) fn with_some(self, name: &str, fact: Option<impl Into<Value>>) -> Self {
        match fact {
            Some(fact) => self.with(name, fact),
            None => self,
        }
    }

    /// What the saving cannot be more than, where that is known, with its price's source and day.
    pub(super) fn with_upper_bound(self, bound: Monthly) -> Self {
        match bound.into_saving() {
            Saving::Known { amount, origin } => self
                .with("upper_bound_micros", amount.micros)
                .with("upper_bound_currency", amount.currency.to_string())
                .with("upper_bound_source", origin.source)
                .with("upper_bound_as_of", origin.as_of.to_string()),
            Saving::Unknown => self,
        }
    }

    /// A finding on `resource`. Its conflict group is the resource: whatever is found of it, its
    /// price can be saved once.
    pub(super) fn finding(self, resource: &Resource, monthly_saving: Saving) -> Verdict {
        let reference = &resource.reference;
        let kind = reference.kind.as_str();
        let name = kind.split_once('.').map_or(kind, |(_, name)| name);
        Verdict::Finding {
            evidence: self.0,
            monthly_saving,
            conflict_group: Some(format!("{name}/{}", reference.native_id)),
        }
    }
}
