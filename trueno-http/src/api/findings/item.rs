//! Findings as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trueno_core::id::{CloudAccountId, CommentId, FindingId, ScanId, UserId};
use trueno_core::model::{
    Comment, Finding, FindingChange, FindingStatus, Recommendation, Region, ResourceKind, Severity,
    Version,
};
use trueno_core::port::tenant_store::FindingCount;
use trueno_core::port::{Count, Cursor, Page};
use trueno_core::runtime::scan::SavingReport;
use utoipa::ToSchema;

use crate::api::schema;

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FindingItem {
    /// Its id: the same in every scan.
    #[schema(value_type = uuid::Uuid)]
    pub id: FindingId,
    /// Its key: the check, the account's number, the region and the resource's native id.
    pub key: String,
    /// The account.
    #[schema(value_type = uuid::Uuid)]
    pub account: CloudAccountId,
    /// The check's id.
    pub check: String,
    /// The check's version.
    pub check_version: u32,
    /// The resource's kind.
    #[schema(value_type = String)]
    pub kind: ResourceKind,
    /// The resource's region.
    #[schema(value_type = String)]
    pub region: Region,
    /// The provider's id for the resource.
    pub native_id: String,
    /// The resource's name, where it has one.
    pub name: Option<String>,
    /// The resource's tags.
    pub tags: BTreeMap<String, String>,
    /// How much it matters.
    #[schema(schema_with = schema::severity)]
    pub severity: Severity,
    /// The facts that it rests on.
    #[schema(value_type = Object)]
    pub evidence: Map<String, Value>,
    /// What acting on it saves in a month; `null` where a price is unknown.
    #[schema(value_type = Option<Object>)]
    pub monthly_saving: Option<SavingReport>,
    /// Savings of one group exclude each other.
    pub conflict_group: Option<String>,
    /// Where it is in its life.
    #[schema(schema_with = schema::finding_status)]
    pub status: FindingStatus,
    /// The member who is to deal with it.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub assignee: Option<UserId>,
    /// The scan that found it first.
    #[schema(value_type = uuid::Uuid)]
    pub first_scan: ScanId,
    /// The latest scan that found it.
    #[schema(value_type = uuid::Uuid)]
    pub last_scan: ScanId,
    /// When it was found first.
    pub first_seen_at: Timestamp,
    /// When it was found last.
    pub last_seen_at: Timestamp,
    /// Counts changes of what it says, of its status and of its assignee; the `ETag` of the finding.
    /// `last_scan` and `last_seen_at` move without it.
    pub version: Version,
}

impl From<Finding> for FindingItem {
    fn from(finding: Finding) -> Self {
        let draft = finding.draft;
        Self {
            id: finding.id,
            key: draft.key,
            account: finding.account,
            check: draft.check,
            check_version: draft.check_version,
            kind: draft.resource.kind,
            region: draft.resource.region,
            native_id: draft.resource.native_id,
            name: draft.name,
            tags: draft.tags,
            severity: draft.severity,
            evidence: draft.evidence,
            monthly_saving: SavingReport::known(draft.monthly_saving),
            conflict_group: draft.conflict_group,
            status: finding.status,
            assignee: finding.assignee,
            first_scan: finding.first_scan,
            last_scan: finding.last_scan,
            first_seen_at: finding.first_seen_at,
            last_seen_at: finding.last_seen_at,
            version: finding.version,
        }
    }
}

/// One page of findings, and how many there are on all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FindingList {
    /// The findings, by account and key.
    pub items: Vec<FindingItem>,
    /// The `cursor` of the next page; `null` on the last one.
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
    /// How many findings pass the filters: `exactly` so many where only account, check and status are
    /// filtered, or up to 1,000; `at_least` so many beyond.
    #[schema(value_type = Object, example = json!({"relation": "at_least", "value": 1000}))]
    pub count: Count,
}

impl FindingList {
    pub(super) fn new(page: Page<Finding>, count: Count) -> Self {
        Self {
            items: page.items.into_iter().map(FindingItem::from).collect(),
            next: page.next,
            count,
        }
    }
}

/// How many findings of one check in one status an account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountItem {
    /// The account.
    #[schema(value_type = uuid::Uuid)]
    pub account: CloudAccountId,
    /// The check's id.
    pub check: String,
    /// The status.
    #[schema(schema_with = schema::finding_status)]
    pub status: FindingStatus,
    /// How many.
    pub count: u64,
}

impl From<FindingCount> for CountItem {
    fn from(count: FindingCount) -> Self {
        Self {
            account: count.account,
            check: count.check,
            status: count.status,
            count: count.count,
        }
    }
}

/// One change of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeItem {
    /// `finding`, its `version` after the change, `occurred_at`, `actor`, and what changed: `change` is
    /// `status` or `assignee`, with `from` and `to`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub change: FindingChange,
}

impl From<FindingChange> for ChangeItem {
    fn from(change: FindingChange) -> Self {
        Self { change }
    }
}

/// A comment on a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommentItem {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CommentId,
    /// The finding.
    #[schema(value_type = uuid::Uuid)]
    pub finding: FindingId,
    /// Who wrote it.
    #[schema(value_type = uuid::Uuid)]
    pub author: UserId,
    /// The text.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
}

impl From<Comment> for CommentItem {
    fn from(comment: Comment) -> Self {
        Self {
            id: comment.id,
            finding: comment.finding,
            author: comment.author,
            text: comment.text,
            created_at: comment.created_at,
        }
    }
}

/// What to act on, of findings that exclude each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecommendationItem {
    /// The account.
    #[schema(value_type = uuid::Uuid)]
    pub account: CloudAccountId,
    /// The finding to act on.
    #[schema(value_type = uuid::Uuid)]
    pub finding: FindingId,
    /// The finding's key.
    pub key: String,
    /// The check's id.
    pub check: String,
    /// The resource's kind.
    #[schema(value_type = String)]
    pub kind: ResourceKind,
    /// The resource's region.
    #[schema(value_type = String)]
    pub region: Region,
    /// The provider's id for the resource.
    pub native_id: String,
    /// What acting on it saves in a month; `null` where a price is unknown.
    #[schema(value_type = Option<Object>)]
    pub monthly_saving: Option<SavingReport>,
    /// How many other standing findings it excludes.
    pub alternatives: u64,
}

impl From<Recommendation> for RecommendationItem {
    fn from(recommendation: Recommendation) -> Self {
        Self {
            account: recommendation.account,
            finding: recommendation.finding,
            key: recommendation.key,
            check: recommendation.check,
            kind: recommendation.resource.kind,
            region: recommendation.resource.region,
            native_id: recommendation.resource.native_id,
            monthly_saving: SavingReport::known(recommendation.monthly_saving),
            alternatives: recommendation.alternatives,
        }
    }
}
