//! Findings: what a check found on a resource, and what becomes of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ResourceRef, Version};
use crate::error::{Error, Result};
use crate::id::{CloudAccountId, CommentId, FindingId, ScanId, UserId};
use crate::model::Actor;
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
        /// Found by one scan only.
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
    /// Its id: [`FindingId::of`] its account and key.
    pub id: FindingId,
    /// What the latest look that found it said.
    #[serde(flatten)]
    pub draft: FindingDraft,
    /// The account.
    pub account: CloudAccountId,
    /// Where it is in its life.
    pub status: FindingStatus,
    /// The member who is to deal with it.
    pub assignee: Option<UserId>,
    /// The scan that found it first.
    pub first_scan: ScanId,
    /// The latest scan that found it.
    pub last_scan: ScanId,
    /// When it was found first.
    pub first_seen_at: Timestamp,
    /// When it was found last.
    pub last_seen_at: Timestamp,
    /// Counts changes of what it says, of its status and of its assignee. A look that found it as it
    /// was moves `last_scan` and `last_seen_at` and does not count: whoever read it may still act on it.
    pub version: Version,
}

/// One change of a finding that people or looks made: what its history is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingChange {
    /// The finding.
    pub finding: FindingId,
    /// The finding's version after the change: orders its history.
    pub version: Version,
    /// When, by the store's clock.
    pub occurred_at: Timestamp,
    /// Who did it: a member, the processor whose look it was, or the system.
    pub actor: Actor,
    /// What changed.
    #[serde(flatten)]
    pub what: ChangeOfFinding,
}

/// What changed of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeOfFinding {
    /// Its status. `from` is `None` where it was found for the first time.
    Status {
        /// The status before.
        from: Option<FindingStatus>,
        /// The status after.
        to: FindingStatus,
    },
    /// Its assignee.
    Assignee {
        /// The member before.
        from: Option<UserId>,
        /// The member after.
        to: Option<UserId>,
    },
}

/// What a member has to say of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The finding.
    pub finding: FindingId,
    /// Who wrote it.
    pub author: UserId,
    /// The text.
    pub text: String,
    /// When it was written, by the store's clock.
    pub created_at: Timestamp,
}

/// A comment about to be added, by the member whose scope adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewComment {
    id: CommentId,
    finding: FindingId,
    text: String,
}

impl NewComment {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a text that is blank,
    /// longer than 10,000 characters, or holds control characters other than tab and line feed.
    pub fn new(id: CommentId, finding: FindingId, text: &str) -> Result<Self> {
        Ok(Self {
            id,
            finding,
            text: prose("text", text, 10_000)?,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> CommentId {
        self.id
    }

    /// The finding.
    #[must_use]
    pub fn finding(&self) -> FindingId {
        self.finding
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Text that people wrote: not blank, at most `most` characters, no control characters but tab and
/// line feed (stores refuse NUL).
pub(crate) fn prose(field: &str, text: &str, most: usize) -> Result<String> {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.trim().is_empty() || text.chars().count() > most || text.chars().any(control) {
        return Err(Error::invalid(
            field,
            &format!(
                "needs 1 to {most} characters that are not all blank, without control characters \
                 other than tab and line feed"
            ),
        ));
    }
    Ok(text.to_owned())
}
