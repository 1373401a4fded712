//! What findings save together: no saving is counted twice (P9).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::FindingDraft;
use crate::money::{Currency, Money};

/// What findings add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many there are.
    pub findings: u64,
    /// What acting on the best compatible set saves in a month, in micro-units.
    pub monthly_saving_micros: i64,
    /// The currency.
    pub currency: Currency,
    /// How many have an unknown saving, which the sum leaves out.
    pub unknown_prices: u64,
}

/// Adds findings up. Of each conflict group the largest known saving counts.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) where the sum does not fit or
/// currencies differ.
pub fn totals<'a>(findings: impl IntoIterator<Item = &'a FindingDraft>) -> Result<Totals> {
    let mut groups: HashMap<(&str, &str, &str), Money> = HashMap::new();
    let mut sum = Money::usd_micros(0);
    let (mut count, mut unknown) = (0, 0);
    for finding in findings {
        count += 1;
        let Some(amount) = finding.monthly_saving.amount() else {
            unknown += 1;
            continue;
        };
        match &finding.conflict_group {
            None => sum = sum.plus(amount)?,
            Some(group) => {
                // A group's name holds a native id, which is unique in its region only.
                let account = finding.key.split('/').nth(1).unwrap_or_default();
                let key = (account, finding.resource.region.as_str(), group.as_str());
                let best = groups.entry(key).or_insert(amount);
                if amount.micros > best.micros {
                    *best = amount;
                }
            }
        }
    }
    for amount in groups.into_values() {
        sum = sum.plus(amount)?;
    }
    Ok(Totals {
        findings: count,
        monthly_saving_micros: sum.micros,
        currency: sum.currency,
        unknown_prices: unknown,
    })
}
