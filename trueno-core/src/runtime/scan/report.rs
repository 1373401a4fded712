//! A scan's result as JSON: the one shape that the command line and the page show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::{Totals, totals};
use crate::error::Result;
use crate::id::ScanId;
use crate::model::{
    Coverage, CoverageStatus, FindingDraft, Region, ResourceKind, Scan, ScanProgress, ScanStatus,
    Severity,
};
use crate::money::{Currency, Saving};
use crate::port::{FindingFilter, PageRequest, ReadView, ScanFilter};
use crate::state::scan::is_terminal;

/// The result of a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanReport {
    /// The scan.
    pub scan: ScanSummary,
    /// What was read, by service and region.
    pub coverage: Vec<CoverageReport>,
    /// What was found, by key.
    pub findings: Vec<FindingReport>,
    /// What it adds up to.
    pub totals: Totals,
}

/// The scan itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanSummary {
    /// Its id.
    pub id: ScanId,
    /// `succeeded` where everything was read, `partial` where coverage says what was not.
    pub status: ScanStatus,
    /// When a processor began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// How far it is.
    pub progress: ScanProgress,
    /// A newer scan of the account that began since. A finding belongs to the last scan that found
    /// it, so findings and totals of this report are only what that one did not find again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub superseded_by: Option<ScanId>,
}

/// Coverage of one service in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageReport {
    /// The service.
    pub service: String,
    /// The region.
    pub region: Region,
    /// The worst status of its kinds: `complete` only where each of them is.
    pub status: CoverageStatus,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Pages read.
    pub pages: u64,
    /// Resources read.
    pub resources: u64,
    /// The provider's error code for the worst status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
    /// The same, kind by kind.
    pub kinds: Vec<KindCoverage>,
}

/// Coverage of one kind of resource of one service in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCoverage {
    /// The kind.
    pub kind: ResourceKind,
    /// How far it got.
    pub status: CoverageStatus,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Pages read.
    pub pages: u64,
    /// Resources read.
    pub resources: u64,
    /// The provider's error code, where one ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingReport {
    /// Stable across scans.
    pub key: String,
    /// The check's id.
    pub check: String,
    /// The check's version.
    pub check_version: u32,
    /// The resource.
    pub resource: ResourceReport,
    /// How much it matters.
    pub severity: Severity,
    /// The facts that it rests on.
    pub evidence: Map<String, Value>,
    /// What acting on it saves; `None` (JSON `null`) where a price is unknown.
    pub monthly_saving: Option<SavingReport>,
    /// Savings of one group exclude each other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conflict_group: Option<String>,
}

/// The resource of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// Its kind.
    pub kind: ResourceKind,
    /// The provider's id for it.
    pub native_id: String,
    /// Its region.
    pub region: Region,
    /// Its name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A known saving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavingReport {
    /// Per month, in micro-units of the currency.
    pub amount_micros: i64,
    /// The currency.
    pub currency: Currency,
    /// Where the prices come from.
    pub source: String,
    /// The day on which they were read.
    pub as_of: Date,
}

impl SavingReport {
    /// What is known of a saving.
    #[must_use]
    pub fn known(saving: Saving) -> Option<Self> {
        match saving {
            Saving::Unknown => None,
            Saving::Known { amount, origin } => Some(Self {
                amount_micros: amount.micros,
                currency: amount.currency,
                source: origin.source,
                as_of: origin.as_of,
            }),
        }
    }
}

impl From<FindingDraft> for FindingReport {
    fn from(draft: FindingDraft) -> Self {
        Self {
            key: draft.key,
            check: draft.check,
            check_version: draft.check_version,
            resource: ResourceReport {
                kind: draft.resource.kind,
                native_id: draft.resource.native_id,
                region: draft.resource.region,
                name: draft.name,
                tags: draft.tags,
            },
            severity: draft.severity,
            evidence: draft.evidence,
            monthly_saving: SavingReport::known(draft.monthly_saving),
            conflict_group: draft.conflict_group,
        }
    }
}

impl From<Scan> for ScanSummary {
    fn from(scan: Scan) -> Self {
        Self {
            id: scan.id,
            status: scan.status,
            started_at: scan.started_at,
            finished_at: scan.finished_at,
            error: scan.error,
            progress: scan.progress,
            superseded_by: None,
        }
    }
}

/// Reports a scan: what the view's scope may see of it.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound) for a scan that is not the organization's;
/// otherwise those of the store.
pub async fn report(view: &mut dyn ReadView, scan: ScanId) -> Result<ScanReport> {
    let summary = view.scan(scan).await?;
    let superseded_by = superseded_by(view, &summary).await?;
    let mut coverage = view.coverage(scan).await?;
    if is_terminal(summary.status) {
        // Its workers vanished, or it was cancelled: what they were reading is not known (P8).
        for row in coverage
            .iter_mut()
            .filter(|row| row.status == CoverageStatus::Reading)
        {
            row.status = CoverageStatus::Undetermined;
        }
    }
    let coverage = by_region(coverage);
    let filter = FindingFilter::default()
        .with_account(summary.account)
        .with_scan(scan)
        .standing();
    let mut drafts = Vec::new();
    let mut page = PageRequest::largest();
    loop {
        let found = view.findings(&filter, &page).await?;
        drafts.extend(found.items.into_iter().map(|finding| finding.draft));
        let Some(next) = found.next else { break };
        page = page.after(Some(next));
    }
    let totals = totals(&drafts)?;
    let findings = drafts.into_iter().map(FindingReport::from).collect();
    Ok(ScanReport {
        scan: ScanSummary {
            superseded_by,
            ..summary.into()
        },
        coverage,
        findings,
        totals,
    })
}

/// The newest scan of the same account that began after this one.
async fn superseded_by(view: &mut dyn ReadView, scan: &Scan) -> Result<Option<ScanId>> {
    let of_account = ScanFilter::default().with_account(scan.account);
    // Newest first. An account has one live scan at a time, so at the most one has not begun.
    let newest = view.scans(&of_account, &PageRequest::first(2)?).await?;
    let mut newer = newest
        .items
        .into_iter()
        .take_while(|other| other.id != scan.id);
    Ok(newer
        .find(|other| other.started_at.is_some())
        .map(|other| other.id))
}

fn by_region(coverage: Vec<Coverage>) -> Vec<CoverageReport> {
    let mut regions: BTreeMap<(String, Region), Vec<Coverage>> = BTreeMap::new();
    for row in coverage {
        regions
            .entry((row.task.service.clone(), row.task.region.clone()))
            .or_default()
            .push(row);
    }
    regions
        .into_iter()
        .map(|((service, region), rows)| {
            let worst = rows.iter().max_by_key(|row| badness(row.status));
            CoverageReport {
                service,
                region,
                status: worst.map_or(CoverageStatus::Undetermined, |row| row.status),
                error_code: worst.and_then(|row| row.error_code.clone()),
                requests: rows.iter().map(|row| row.requests).sum(),
                pages: rows.iter().map(|row| row.pages).sum(),
                resources: rows.iter().map(|row| row.resources).sum(),
                kinds: rows
                    .into_iter()
                    .map(|row| KindCoverage {
                        kind: row.task.kind,
                        status: row.status,
                        requests: row.requests,
                        pages: row.pages,
                        resources: row.resources,
                        error_code: row.error_code,
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Orders statuses for a summary of several: what a reader should know first is largest.
const fn badness(status: CoverageStatus) -> u8 {
    match status {
        CoverageStatus::NotEnabled => 0,
        CoverageStatus::Complete => 1,
        CoverageStatus::Reading => 2,
        CoverageStatus::Undetermined => 3,
        CoverageStatus::Unreachable => 4,
        CoverageStatus::Throttled => 5,
        CoverageStatus::Denied => 6,
    }
}
