//! Money as integers: micro-units of a currency, with typed price units.
//!
//! An amount is never a float and an unknown price is never zero (P9): a price is a [`Quote`], which
//! is either known, with its source and date, or [`Quote::Unknown`].

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Hours that a month is billed as, by AWS's own convention (8,760 h / 12).
/// Source: <https://aws.amazon.com/ec2/pricing/on-demand/>.
pub const HOURS_PER_MONTH: i64 = 730;

/// Micro-units in one unit of a currency.
pub const MICROS_PER_UNIT: i64 = 1_000_000;

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Currency {
    /// United States dollar.
    #[serde(rename = "USD")]
    Usd,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usd => f.write_str("USD"),
        }
    }
}

impl std::str::FromStr for Currency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "USD" => Ok(Self::Usd),
            _ => Err(Error::invalid("currency", "only USD is known")),
        }
    }
}

/// An amount in micro-units of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Micro-units: 1_000_000 is one unit of the currency.
    #[serde(rename = "amount_micros")]
    pub micros: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// `micros` millionths of a US dollar.
    #[must_use]
    pub const fn usd_micros(micros: i64) -> Self {
        Self {
            micros,
            currency: Currency::Usd,
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for two currencies or a sum that does not fit.
    pub fn plus(self, other: Self) -> Result<Self> {
        self.combine(other, i64::checked_add)
    }

    /// The difference, which may be negative.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for two currencies or a difference that does not fit.
    pub fn minus(self, other: Self) -> Result<Self> {
        self.combine(other, i64::checked_sub)
    }

    /// The amount `quantity` times over.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the product does not fit.
    pub fn times(self, quantity: i64) -> Result<Self> {
        let micros = self.micros.checked_mul(quantity).ok_or_else(overflow)?;
        Ok(Self { micros, ..self })
    }

    fn combine(self, other: Self, with: fn(i64, i64) -> Option<i64>) -> Result<Self> {
        if self.currency != other.currency {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "amounts of two currencies do not add up",
            ));
        }
        let micros = with(self.micros, other.micros).ok_or_else(overflow)?;
        Ok(Self { micros, ..self })
    }
}

fn overflow() -> Error {
    Error::new(ErrorKind::InvalidInput, "the amount is too large")
}

/// `USD 12.34`: cut to cents towards zero, so that a saving is never shown larger than it is.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let cents = self.micros.unsigned_abs() / 10_000;
        write!(
            f,
            "{} {sign}{}.{:02}",
            self.currency,
            cents / 100,
            cents % 100
        )
    }
}

/// What a price is per.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriceUnit {
    /// One hour; a month has [`HOURS_PER_MONTH`].
    Hour,
    /// One GiB stored for a month.
    GibMonth,
    /// One provisioned I/O operation per second, for a month.
    IopsMonth,
    /// One provisioned MiB/s of throughput, for a month.
    MibpsMonth,
}

impl PriceUnit {
    /// How often the unit is billed in a month for one continuous use of it.
    #[must_use]
    pub const fn per_month(self) -> i64 {
        match self {
            Self::Hour => HOURS_PER_MONTH,
            Self::GibMonth | Self::IopsMonth | Self::MibpsMonth => 1,
        }
    }
}

/// Where an amount comes from: the price list and the day it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PriceSource {
    /// A URL or another name by which the price can be looked up again.
    pub source: String,
    /// The day on which the price was read.
    pub as_of: Date,
}

/// A known price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// What is priced, such as `ec2.volume.gp3.storage`.
    pub sku: String,
    /// What `price` is per.
    pub unit: PriceUnit,
    /// The price of one unit.
    pub price: Money,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: PriceSource,
}

impl Price {
    /// What `quantity` units cost in a month.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the amount does not fit.
    pub fn monthly(&self, quantity: i64) -> Result<Money> {
        self.price.times(quantity)?.times(self.unit.per_month())
    }
}

/// The answer of a price book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Quote {
    /// The price, with its source.
    Known(Price),
    /// Nobody knows: never to be read as zero.
    Unknown,
}

/// What a finding saves in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Saving {
    /// The amount, with the source of the prices it was worked out from.
    Known {
        /// Per month.
        #[serde(flatten)]
        amount: Money,
        /// Where the prices come from.
        #[serde(flatten)]
        origin: PriceSource,
    },
    /// A price that is needed is not known.
    Unknown,
}

impl Saving {
    /// The amount, where known.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        match self {
            Self::Known { amount, .. } => Some(*amount),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_never_rounds_up() {
        assert_eq!(Money::usd_micros(1_999_999).to_string(), "USD 1.99");
        assert_eq!(Money::usd_micros(-15_000).to_string(), "USD -0.01");
    }

    #[test]
    fn arithmetic_refuses_to_wrap() {
        assert!(
            Money::usd_micros(i64::MAX)
                .plus(Money::usd_micros(1))
                .is_err()
        );
        assert!(Money::usd_micros(i64::MAX).times(2).is_err());
        assert_eq!(
            Money::usd_micros(3)
                .minus(Money::usd_micros(5))
                .unwrap()
                .micros,
            -2
        );
    }

    #[test]
    fn an_hourly_price_is_billed_730_times_a_month() {
        let price = Price {
            sku: "ec2.address.public-ipv4".into(),
            unit: PriceUnit::Hour,
            price: Money::usd_micros(5_000),
            origin: PriceSource {
                source: "test".into(),
                as_of: jiff::civil::date(2026, 1, 1),
            },
        };
        assert_eq!(price.monthly(1).unwrap(), Money::usd_micros(3_650_000));
    }
}
