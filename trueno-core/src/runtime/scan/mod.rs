//! Scans: requested by members, run by a processor, reported to whoever may read.

mod collect;
mod evaluate;
mod handler;
mod report;
mod request;

pub use handler::{ScanConfig, ScanHandler};
pub use report::{
    CoverageReport, FindingReport, KindCoverage, ResourceReport, SavingReport, ScanReport,
    ScanSummary, report,
};
pub use request::{JOB_KIND, RequestedScan, ScanRequest, request};
pub(super) use request::{request_as, scan_job};
