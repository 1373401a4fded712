//! Findings: reads, and what members do with them.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::{CloudAccountId, FindingId, ScanId, UserId};
use crate::model::{
    Comment, Finding, FindingChange, FindingStatus, NewComment, Recommendation, Region, Severity,
    Version,
};
use crate::port::{Count, Page, PageRequest};
use crate::state::finding::FindingStep;

/// A tag that something has: its key, and its value where that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    /// The tag's key.
    pub key: String,
    /// The tag's value; any, where it is `None`.
    pub value: Option<String>,
}

/// Which findings are wanted: those that pass every filter that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingFilter {
    /// Of this account only.
    pub account: Option<CloudAccountId>,
    /// Last found by this scan only.
    pub scan: Option<ScanId>,
    /// Only those that stand: neither resolved nor suppressed.
    pub standing: bool,
    /// Of a resource in this region only.
    pub region: Option<Region>,
    /// Found by this check only, by the check's id.
    pub check: Option<String>,
    /// Of this severity only.
    pub severity: Option<Severity>,
    /// With this status only.
    pub status: Option<FindingStatus>,
    /// Of a resource with this tag only.
    pub tag: Option<TagFilter>,
}

impl FindingFilter {
    /// Findings of one account.
    #[must_use]
    pub fn with_account(mut self, account: CloudAccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Findings that this scan was the last to find.
    #[must_use]
    pub fn with_scan(mut self, scan: ScanId) -> Self {
        self.scan = Some(scan);
        self
    }

    /// Findings that stand: neither resolved nor suppressed.
    #[must_use]
    pub fn standing(mut self) -> Self {
        self.standing = true;
        self
    }

    /// Findings of resources in one region.
    #[must_use]
    pub fn with_region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Findings of one check.
    #[must_use]
    pub fn with_check(mut self, check: impl Into<String>) -> Self {
        self.check = Some(check.into());
        self
    }

    /// Findings of one severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Findings of one status.
    #[must_use]
    pub fn with_status(mut self, status: FindingStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Findings of resources with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: TagFilter) -> Self {
        self.tag = Some(tag);
        self
    }

    /// True where stores keep the count at hand: nothing but account, check, status and whether it
    /// stands is asked for.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.scan.is_none()
            && self.region.is_none()
            && self.severity.is_none()
            && self.tag.is_none()
    }
}

/// How many findings of one check in one status an organization or one of its accounts has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FindingCount {
    /// The account.
    pub account: CloudAccountId,
    /// The check's id.
    pub check: String,
    /// The status.
    pub status: FindingStatus,
    /// How many, never 0.
    pub count: u64,
}

/// Reads of findings.
#[async_trait]
pub trait FindingReads {
    /// One finding.
    async fn finding(&mut self, id: FindingId) -> Result<Finding>;

    /// Findings, ordered by account and key, byte by byte.
    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>>;

    /// How many findings pass the filter: exactly where
    /// [`is_counted`](FindingFilter::is_counted), or up to
    /// [`COUNT_LIMIT`](crate::port::COUNT_LIMIT), and "at least that many" beyond.
    async fn count_findings(&mut self, filter: &FindingFilter) -> Result<Count>;

    /// Exact counts by account, check and status, sorted, of the organization or of one account.
    async fn finding_counts(
        &mut self,
        account: Option<CloudAccountId>,
    ) -> Result<Vec<FindingCount>>;

    /// What became of a finding: who changed what, oldest first. Fails with
    /// [`NotFound`](crate::error::ErrorKind::NotFound) for a finding that is not there.
    async fn finding_history(
        &mut self,
        id: FindingId,
        page: &PageRequest,
    ) -> Result<Page<FindingChange>>;

    /// What members say of a finding, oldest first (by id, which is time-ordered). Fails with
    /// [`NotFound`](crate::error::ErrorKind::NotFound) for a finding that is not there.
    async fn comments(&mut self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>>;

    /// Of each conflict group of findings that stand the one to act on, of the organization or of
    /// one account, ordered by account, region and group, byte by byte. A finding without a group
    /// is one by itself.
    async fn recommendations(
        &mut self,
        account: Option<CloudAccountId>,
        page: &PageRequest,
    ) -> Result<Page<Recommendation>>;
}

/// What members do with findings. Needs a role that allows
/// [`WorkFindings`](crate::access::Action::WorkFindings); otherwise
/// [`Denied`](crate::error::ErrorKind::Denied).
#[async_trait]
pub trait FindingWrites {
    /// Takes a step with a finding. Adds to its history.
    async fn step_finding(
        &mut self,
        id: FindingId,
        version: Version,
        step: FindingStep,
    ) -> Result<Finding>;

    /// Makes a member of the organization, or nobody, the one to deal with a finding. Somebody who
    /// is no member is [`NotFound`](crate::error::ErrorKind::NotFound). Adds to its history unless
    /// it changes nothing.
    async fn assign_finding(
        &mut self,
        id: FindingId,
        version: Version,
        assignee: Option<UserId>,
    ) -> Result<Finding>;

    /// Adds a comment, by the member whose scope this is. An id in use fails with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists).
    async fn add_comment(&mut self, new: NewComment) -> Result<Comment>;
}
