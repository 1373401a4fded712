//! Findings.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::{CloudAccountId, ScanId};
use crate::model::Finding;
use crate::port::{Page, PageRequest};

/// Which findings are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingFilter {
    /// Of this account only.
    pub account: Option<CloudAccountId>,
    /// Last found by this scan only.
    pub scan: Option<ScanId>,
    /// Only those that stand: neither resolved nor suppressed.
    pub standing: bool,
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
}

/// Reads of findings.
#[async_trait]
pub trait FindingReads {
    /// One finding of one account, by its key.
    async fn finding(&mut self, account: CloudAccountId, key: &str) -> Result<Finding>;

    /// Findings, ordered by account and key, byte by byte.
    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>>;
}
