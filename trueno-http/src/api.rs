//! The JSON routes.

use axum::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::id::CloudAccountId;
use trueno_core::model::Scan;
use trueno_core::port::{Page, ScanFilter};
use trueno_core::runtime::scan::{ScanReport, ScanSummary, report};

use crate::extract::{IdInPath, PageOfList, Reader, ScanInPath};
use crate::problem::Problem;

/// One scan of `GET /v1/scans`, whose body is a [`Page`] of these: `items`, newest first, and
/// `next`, the `cursor` of the next page or `null` on the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanItem {
    /// What the scan's own report says of it.
    #[serde(flatten)]
    pub summary: ScanSummary,
    /// The account that it looks at.
    pub account: CloudAccountId,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl From<Scan> for ScanItem {
    fn from(scan: Scan) -> Self {
        Self {
            account: scan.account,
            created_at: scan.created_at,
            summary: scan.into(),
        }
    }
}

pub(crate) async fn scans(
    reader: Reader,
    PageOfList(page): PageOfList,
) -> Result<Json<Page<ScanItem>>, Problem> {
    let mut view = reader.view().await?;
    let found = view.scans(&ScanFilter::default(), &page).await?;
    Ok(Json(Page {
        items: found.items.into_iter().map(ScanItem::from).collect(),
        next: found.next,
    }))
}

pub(crate) async fn scan(
    reader: Reader,
    IdInPath(id): ScanInPath,
) -> Result<Json<ScanReport>, Problem> {
    let mut view = reader.view().await?;
    Ok(Json(report(view.as_mut(), id).await?))
}
