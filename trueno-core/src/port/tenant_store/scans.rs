//! Scans and their coverage.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::{CloudAccountId, ScanId};
use crate::model::{Coverage, NewScan, Scan};
use crate::port::{Page, PageRequest};

/// Which scans are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanFilter {
    /// Of this account only.
    pub account: Option<CloudAccountId>,
}

impl ScanFilter {
    /// Scans of one account.
    #[must_use]
    pub const fn with_account(mut self, account: CloudAccountId) -> Self {
        self.account = Some(account);
        self
    }
}

/// Reads of scans.
#[async_trait]
pub trait ScanReads {
    /// One scan.
    async fn scan(&mut self, id: ScanId) -> Result<Scan>;

    /// Scans, newest first (by id, which is time-ordered).
    async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>>;

    /// The coverage of a scan: every task of its plan that was begun, sorted by task. Fails with
    /// [`NotFound`](crate::error::ErrorKind::NotFound) for a scan that is not there.
    async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>>;
}

/// Writes of scans by members; a processor's go through `ingest` and `finish`.
#[async_trait]
pub trait ScanWrites {
    /// Adds a scan, queued. Its account must be there. Its job is enqueued in the same unit of work:
    /// a commit without it is [`InvalidInput`](crate::error::ErrorKind::InvalidInput).
    async fn insert_scan(&mut self, new: NewScan) -> Result<Scan>;
}
