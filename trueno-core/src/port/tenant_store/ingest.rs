//! Fenced batches: how a processor writes what it reads.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{Coverage, FindingDraft, FindingStatus, Resource, Scan, ScanProgress};

/// A finding and the status that reconciliation gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingUpsert {
    /// What this look says.
    pub draft: FindingDraft,
    /// Where the finding is now.
    pub status: FindingStatus,
}

/// One batch of a job that runs a scan, fenced by its lease: applied as a whole by `commit` if the
/// lease still holds then, and not at all otherwise. Dropping it gives it up.
///
/// Writes go to the scan whose job the lease is for; a lease whose job runs no scan is answered
/// with [`NotFound`](crate::error::ErrorKind::NotFound) by every method but `commit`.
#[async_trait]
pub trait Ingest: Send {
    /// Says that the scan runs, with `tasks` tasks. Saying it again (a second attempt) keeps the
    /// first start time.
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan>;

    /// Adds resources, or replaces what an earlier look said of them, as last seen by this scan.
    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()>;

    /// Adds coverage, or replaces what was said of the same tasks of this scan.
    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()>;

    /// Adds findings, or replaces what an earlier look said, as last found by this scan. First
    /// scan and time of an existing finding stay.
    async fn put_findings(&mut self, findings: Vec<FindingUpsert>) -> Result<()>;

    /// Marks findings of this scan's account as resolved, by key. Keys that are not there are
    /// passed over.
    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()>;

    /// Says how far the scan is.
    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()>;

    /// Applies the batch if the lease still holds.
    async fn commit(self: Box<Self>) -> Result<()>;
}
