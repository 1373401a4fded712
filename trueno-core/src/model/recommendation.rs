//! Recommendations: of the findings that exclude each other, the one to act on.

use serde::{Deserialize, Serialize};

use super::ResourceRef;
use crate::id::{CloudAccountId, FindingId};
use crate::money::Saving;

/// What is best done about one resource, out of findings that exclude each other.
///
/// It is worked out from the findings that stand whenever it is read, so that it can never say
/// something else than they do: of each conflict group the largest known saving, the same one that
/// [`totals`](crate::check::totals) counts (P9). Equal savings go by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The account.
    pub account: CloudAccountId,
    /// The finding to act on.
    pub finding: FindingId,
    /// The finding's key.
    pub key: String,
    /// The check that found it.
    pub check: String,
    /// The resource.
    pub resource: ResourceRef,
    /// What acting on it saves in a month.
    pub monthly_saving: Saving,
    /// How many other standing findings it excludes.
    pub alternatives: u64,
}
