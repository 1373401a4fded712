//! Findings and prices as rows.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::{Map, Value};
use trueno_core::money::{Currency, Money};
use trueno_core::runtime::scan::{FindingReport, SavingReport};

use super::words;

/// Rows that a page shows: what a browser still lays out at once.
pub(super) const MOST_ROWS: usize = 500;

/// Facts that a row shows of its evidence.
const MOST_FACTS: usize = 8;

pub(super) struct FindingRow {
    pub(super) check: String,
    pub(super) name: Option<String>,
    pub(super) native_id: String,
    pub(super) region: String,
    pub(super) severity: &'static str,
    pub(super) severity_tone: &'static str,
    pub(super) facts: Vec<(String, String)>,
    pub(super) more_facts: usize,
    /// As `USD 12.34`; `None` where a price is unknown.
    pub(super) saving: Option<String>,
}

/// Where prices come from.
pub(super) struct PriceLine {
    pub(super) source: String,
    pub(super) is_link: bool,
    pub(super) as_of: String,
}

/// The largest saving first, unknown ones last, then by key; at most [`MOST_ROWS`].
pub(super) fn rows(mut findings: Vec<FindingReport>, currency: Currency) -> Vec<FindingRow> {
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    findings.truncate(MOST_ROWS);
    let row = |finding| row(finding, currency);
    findings.into_iter().map(row).collect()
}

fn order(finding: &FindingReport) -> (Reverse<Option<i64>>, &str) {
    let amount = finding.monthly_saving.as_ref().map(|s| s.amount_micros);
    (Reverse(amount), &finding.key)
}

fn row(finding: FindingReport, currency: Currency) -> FindingRow {
    let evidence = &finding.evidence;
    let currency_text = currency.to_string();
    let told = evidence
        .iter()
        .filter(|(name, value)| **value != currency_text || !is_of_amount(name, evidence));
    let mut facts: Vec<_> = told
        .map(|(name, value)| words::fact(name, value, currency))
        .collect();
    let more_facts = facts.len().saturating_sub(MOST_FACTS);
    facts.truncate(MOST_FACTS);
    FindingRow {
        facts,
        more_facts,
        check: finding.check,
        name: finding.resource.name,
        native_id: finding.resource.native_id,
        region: finding.resource.region.to_string(),
        severity: finding.severity.as_str(),
        severity_tone: words::severity_tone(finding.severity),
        saving: finding.monthly_saving.as_ref().map(amount),
    }
}

/// True for the name of the currency of an amount beside it: the amount is shown with it.
fn is_of_amount(name: &str, evidence: &Map<String, Value>) -> bool {
    name.strip_suffix("_currency")
        .is_some_and(|amount| evidence.contains_key(&format!("{amount}_micros")))
}

fn amount(saving: &SavingReport) -> String {
    let money = Money {
        micros: saving.amount_micros,
        currency: saving.currency,
    };
    money.to_string()
}

/// Every source that an amount of these findings rests on, once each.
pub(super) fn prices(findings: &[FindingReport]) -> Vec<PriceLine> {
    let sources: BTreeSet<(&str, Date)> = findings
        .iter()
        .filter_map(|finding| finding.monthly_saving.as_ref())
        .map(|saving| (saving.source.as_str(), saving.as_of))
        .collect();
    sources
        .into_iter()
        .map(|(source, as_of)| PriceLine {
            source: source.to_owned(),
            // Price tables may be an embedder's own: only this scheme becomes a link.
            is_link: source.starts_with("https://"),
            as_of: as_of.to_string(),
        })
        .collect()
}
