//! Monthly amounts that may be unknown, and where they come from.

use std::collections::BTreeSet;

use trueno_core::check::Look;
use trueno_core::error::Result;
use trueno_core::model::Region;
use trueno_core::money::{Money, PriceSource, Quote, Saving};

/// An amount per month with the prices it was worked out from, or unknown. Unknown with anything is
/// unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Monthly {
    Known {
        amount: Money,
        origins: Vec<PriceSource>,
    },
    Unknown,
}

impl Monthly {
    /// What `quantity` units of `sku` cost. None of something costs nothing, whatever its price.
    pub(super) fn of(look: &Look<'_>, region: &Region, sku: &str, quantity: i64) -> Result<Self> {
        if quantity == 0 {
            return Ok(Self::Known {
                amount: Money::usd_micros(0),
                origins: Vec::new(),
            });
        }
        Ok(match look.prices.quote(sku, region) {
            Quote::Known(price) => Self::Known {
                amount: price.monthly(quantity)?,
                origins: vec![price.origin],
            },
            Quote::Unknown => Self::Unknown,
        })
    }

    pub(super) fn plus(self, other: Self) -> Result<Self> {
        self.combine(other, Money::plus)
    }

    pub(super) fn minus(self, other: Self) -> Result<Self> {
        self.combine(other, Money::minus)
    }

    fn combine(self, other: Self, with: fn(Money, Money) -> Result<Money>) -> Result<Self> {
        match (self, other) {
            (
                Self::Known {
                    amount,
                    mut origins,
                },
                Self::Known {
                    amount: other,
                    origins: others,
                },
            ) => {
                origins.extend(others);
                Ok(Self::Known {
                    amount: with(amount, other)?,
                    origins,
                })
            }
            _ => Ok(Self::Unknown),
        }
    }

    /// True where it is known that acting saves nothing.
    pub(super) fn saves_nothing(&self) -> bool {
        matches!(self, Self::Known { amount, .. } if amount.micros <= 0)
    }

    /// The amount as a saving, with every source of its prices and the oldest day among them: it is
    /// no fresher than its oldest price. An amount that no price stands behind is unknown.
    pub(super) fn into_saving(self) -> Saving {
        let Self::Known { amount, origins } = self else {
            return Saving::Unknown;
        };
        let Some(as_of) = origins.iter().map(|origin| origin.as_of).min() else {
            return Saving::Unknown;
        };
        let sources: BTreeSet<String> = origins.into_iter().map(|origin| origin.source).collect();
        let source = sources.into_iter().collect::<Vec<_>>().join(", ");
        Saving::Known {
            amount,
            origin: PriceSource { source, as_of },
        }
    }
}
