//! Findings: what a check found on a resource, and what becomes of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ResourceRef, Version};
use crate::id::{CloudAccountId, ScanId};
use crate::money::Saving;
use crate::text::text_enum;

text_enum! {
    /// How much a finding matters.
    pub enum Severity as "severity" {
        /// Good to know; nothing is lost.
        Informational = "informational",
        /// Small.
        Low = "low",
        /// Worth a look.
        Medium = "medium",
        /// Act soon.
        High = "high",
    }
}

text_enum! {
    /// Where a finding is in its life.
    pub enum FindingStatus as "finding status" {
        /// Found for the first time, by the latest scan that looked.
        New = "new",
        /// Found by more than one scan.
        Open = "open",
        /// Somebody took note.
        Acknowledged = "acknowledged",
        /// Somebody works on it.
        InProgress = "in_progress",
        /// A complete look no longer finds it.
        Resolved = "resolved",
        /// An exception covers it.
        Suppressed = "suppressed",
        /// Found again after it was resolved.
        Reopened = "reopened",
    }
}

/// What one look of a check says of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingDraft {
    /// Stable across scans: check, account number, region and native id.
    pub key: String,
    /// The check's id, such as `ec2.volume.gp2`.
    pub check: String,
    /// The check's version.
    pub check_version: u32,
    /// Hash of the check's parameters, as hex: a finding under other thresholds is told apart.
    pub parameters_hash: String,
    /// The resource.
    pub resource: ResourceRef,
    /// The resource's name, where it has one.
    pub name: Option<String>,
    /// The resource's tags.
    pub tags: BTreeMap<String, String>,
    /// How much it matters.
    pub severity: Severity,
    /// The facts that the verdict rests on.
    pub evidence: Map<String, Value>,
    /// What acting on it saves in a month.
    pub monthly_saving: Saving,
    /// Savings of one group exclude each other: a total takes the largest.
    pub conflict_group: Option<String>,
}

/// A finding as a store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What the latest look that found it said.
    #[serde(flatten)]
    pub draft: FindingDraft,
    /// The account.
    pub account: CloudAccountId,
    /// Where it is in its life.
    pub status: FindingStatus,
    /// The scan that found it first.
    pub first_scan: ScanId,
    /// The latest scan that found it.
    pub last_scan: ScanId,
    /// When it was found first.
    pub first_seen_at: Timestamp,
    /// When it was found last.
    pub last_seen_at: Timestamp,
    /// Counts changes of this row.
    pub version: Version,
}
