//! Checks: pure functions over resources, their relations and prices.
//!
//! A [`Check`] looks at one resource at a time. What it needs to know of others it reads from
//! [`Relations`], a small index that the [`Engine`] fills on a first pass, so that nothing holds a
//! whole account in memory. The engine, not the check, sees to it that what was not completely read
//! is [`Verdict::Undetermined`] (P8).

mod engine;
mod parameters;
mod price_book;
mod reconcile;
mod relations;
#[cfg(test)]
mod tests;
mod totals;

pub use engine::{CoverageMap, Engine, Evaluation};
pub use parameters::{Parameter, Parameters};
pub use price_book::PriceBook;
pub use reconcile::Reconciliation;
pub use relations::Relations;
pub use totals::{Totals, totals};

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::{Resource, ResourceKind, Severity};
use crate::money::Saving;

/// What a check is, apart from what it does.
#[derive(Clone, Debug)]
pub struct CheckInfo {
    /// Its id, such as `ec2.volume.gp2`.
    pub id: &'static str,
    /// Its version: raised whenever the same facts would give another verdict.
    pub version: u32,
    /// What it finds, in one sentence.
    pub title: &'static str,
    /// Where its threshold is published.
    pub source: &'static str,
    /// How much a finding matters.
    pub severity: Severity,
    /// The kind of resource that it looks at.
    pub subject: ResourceKind,
    /// Kinds that it needs to know completely, in the subject's region, besides the subject.
    pub related: &'static [ResourceKind],
    /// Its parameters, with their defaults.
    pub parameters: &'static [Parameter],
}

/// What a check may ask while it looks at a resource.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What is known of other resources.
    pub relations: &'a Relations,
    /// The check's parameters.
    pub parameters: &'a Parameters,
    /// Prices.
    pub prices: &'a dyn PriceBook,
    /// The moment that ages are counted to.
    pub now: Timestamp,
}

/// What a check says of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing to find.
    Pass,
    /// A finding.
    Finding {
        /// The facts that it rests on.
        evidence: Map<String, Value>,
        /// What acting on it saves in a month.
        monthly_saving: Saving,
        /// Savings of one group exclude each other.
        conflict_group: Option<String>,
    },
    /// The check has nothing to say of this resource.
    NotApplicable,
    /// It cannot be told, for this reason: neither a finding nor clean.
    Undetermined(String),
}

/// Looks at resources of one kind. Pure: no I/O, no clock, the same answer for the same facts.
pub trait Check: fmt::Debug + Send + Sync {
    /// What it is.
    fn info(&self) -> &CheckInfo;

    /// Notes what the check will need to know of a resource of a [`related`](CheckInfo::related)
    /// kind when it looks at others. Called for every such resource before any `evaluate`.
    fn relate(&self, resource: &Resource, relations: &mut Relations);

    /// Looks at one resource of the kind [`subject`](CheckInfo::subject).
    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict;
}
