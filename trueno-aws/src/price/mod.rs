//! Prices: a small table compiled by hand, as the default that needs no network.
//!
//! Every amount that comes of it is an **estimate**: list prices of on-demand use, without taxes,
//! discounts, free tiers, reservations or savings plans. Each row names where and on which day it
//! was read. A region or SKU without a row is [`Quote::Unknown`], never zero (P9).
//!
//! # File format
//!
//! The built-in `table.json` and a file of overrides have the same form, JSON:
//!
//! ```json
//! {
//!   "format": 1,
//!   "currency": "USD",
//!   "prices": [
//!     {
//!       "sku": "ec2.volume.gp3.storage",
//!       "unit": "gib_month",
//!       "regions": ["us-east-1", "us-west-2"],
//!       "price_micros": 80000,
//!       "source": "https://aws.amazon.com/ebs/pricing/",
//!       "as_of": "2026-11-01"
//!     }
//!   ]
//! }
//! ```
//!
//! - `price_micros` is a whole number of micro-USD (1 USD is 1,000,000) for one `unit`.
//! - `unit` is `hour`, `gib_month`, `iops_month` or `mibps_month`; see
//!   [`PriceUnit`](trueno_core::money::PriceUnit).
//! - `regions` names one or more regions, or is `["*"]` for everywhere. Only what is free can be
//!   `*`: a price differs by region, and one that was not read must stay unknown.
//! - `note` beside `prices` is for readers.
//!
//! # SKUs
//!
//! | SKU | unit | what it prices |
//! |---|---|---|
//! | `ec2.volume.TYPE.storage` | `gib_month` | storage of a gp2, gp3, io1, io2, st1, sc1 or standard volume (requests of standard volumes are not counted) |
//! | `ec2.volume.gp3.iops` | `iops_month` | IOPS over the 3,000 that gp3 includes |
//! | `ec2.volume.gp3.throughput` | `mibps_month` | throughput over the 125 MiB/s that gp3 includes |
//! | `ec2.volume.io1.iops`, `ec2.volume.io2.iops` | `iops_month` | provisioned IOPS; of io2 the first 32,000 |
//! | `ec2.snapshot.standard` | `gib_month` | snapshots in the standard tier |
//! | `ec2.address.public-ipv4` | `hour` | a public IPv4 address, in use or idle |
//! | `ec2.instance.linux.TYPE` | `hour` | an instance, such as `m5.large`: Linux, on demand, shared tenancy |
//! | `ec2.instance.stopped` | `hour` | a stopped instance, without its volumes: free |
//! | `ec2.network-interface` | `hour` | an elastic network interface: free |
//!
//! Other names that begin with `ec2.` are refused, since a mistyped override would change nothing
//! and nobody would see it. Names outside `ec2.` are open to checks of other crates.

mod parse;
pub(crate) mod sku;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trueno_core::check::PriceBook;
use trueno_core::error::Result;
use trueno_core::model::Region;
use trueno_core::money::{Price, Quote};

const BUILTIN: &str = include_str!("table.json");

/// A price table: valid as a whole, or not there at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    skus: BTreeMap<String, Regions>,
}

/// The prices of one SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Regions {
    by_region: BTreeMap<Region, Price>,
    everywhere: Option<Price>,
}

impl PriceTable {
    /// The table that comes with this crate: list prices of `us-east-1`, `us-west-2` and
    /// `eu-west-1`, estimates by nature.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](trueno_core::error::ErrorKind::Config) where it is corrupt, which a
    /// test rules out.
    pub fn builtin() -> Result<Self> {
        Self::parse(BUILTIN)
    }

    /// A table from text in the [file format](self).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](trueno_core::error::ErrorKind::Config) for text that breaks the format
    /// anywhere. The message says what is wrong, in which entry (counted from 1), SKU and region,
    /// and how to mend it.
    pub fn parse(text: &str) -> Result<Self> {
        parse::table(text)
    }

    /// This table with `overrides` laid over it: per SKU and region the override wins. A price
    /// of a region still wins over one for everywhere, whichever table it comes from.
    #[must_use]
    pub fn with_overrides(mut self, overrides: Self) -> Self {
        for (sku, theirs) in overrides.skus {
            let ours = self.skus.entry(sku).or_default();
            ours.by_region.extend(theirs.by_region);
            ours.everywhere = theirs.everywhere.or(ours.everywhere.take());
        }
        self
    }
}

impl PriceBook for PriceTable {
    fn quote(&self, sku: &str, region: &Region) -> Quote {
        let found = self
            .skus
            .get(sku)
            .and_then(|prices| prices.by_region.get(region).or(prices.everywhere.as_ref()));
        found.cloned().map_or(Quote::Unknown, Quote::Known)
    }
}
