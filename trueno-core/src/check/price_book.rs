//! Where prices come from.

use std::fmt;

use crate::model::Region;
use crate::money::Quote;

/// Knows prices, or says that it does not (P9).
pub trait PriceBook: fmt::Debug + Send + Sync {
    /// The price of `sku` in `region`, each name as the adapter documents it.
    fn quote(&self, sku: &str, region: &Region) -> Quote;
}
