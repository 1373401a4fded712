//! Fenced batches: how a processor writes what it reads.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{Coverage, FindingDraft, Resource, Scan, ScanProgress};

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
    /// What was gone is there again. A resource that is as it was is not written again.
    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()>;

    /// Adds coverage, or replaces what was said of the same tasks of this scan.
    ///
    /// A task that [is complete](crate::model::CoverageStatus::is_complete) says what is there: the
    /// account's resources of its kind and region that this scan did not see are gone from then on.
    /// Under any other status nothing is (P8).
    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()>;

    /// Adds findings, or replaces what an earlier look said, as last found by this scan: one that
    /// is there takes the step [`Found`](crate::state::finding::FindingEvent::Found), unless this
    /// scan found it before and it was not resolved since. First scan and time stay, and so does
    /// the version of one that is as it was. Changes of status are added to the finding's history,
    /// with the processor as actor.
    async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()>;

    /// Resolves findings of this scan's account, by key, and closes their live exceptions. Keys that
    /// are not there, or resolved already, are passed over. Adds to their history.
    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()>;

    /// Says how far the scan is.
    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()>;

    /// Applies the batch if the lease still holds.
    async fn commit(self: Box<Self>) -> Result<()>;
}
