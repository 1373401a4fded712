//! Scans.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::id::{CloudAccountId, JobId, ScanId};
use trueno_core::model::Scan;
use trueno_core::port::ScanFilter;
use trueno_core::runtime::scan::{self, RequestedScan, ScanReport, ScanRequest, ScanSummary};
use utoipa::ToSchema;

use super::List;
use crate::HttpState;
use crate::extract::{IdInPath, Member, Query, ScanInPath, acts, list_query, parsed};
use crate::problem::Problem;

/// One scan of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanItem {
    /// What the scan's own report says of it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub summary: ScanSummary,
    /// The account that it looks at.
    #[schema(value_type = uuid::Uuid)]
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

/// A scan that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestedScanItem {
    /// The scan.
    #[schema(value_type = uuid::Uuid)]
    pub scan: ScanId,
    /// The job that runs it.
    #[schema(value_type = uuid::Uuid)]
    pub job: JobId,
}

list_query! {
    /// Which scans.
    ScanQuery {
        /// Of this account only.
        account,
    }
}

/// Lists scans, newest first.
#[utoipa::path(get, path = "/v1/scans", tag = "scans", params(ScanQuery), responses(
    (status = OK, description = "A page of scans", body = List<ScanItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<ScanQuery>,
) -> Result<Json<List<ScanItem>>, Problem> {
    let mut filter = ScanFilter::default();
    if let Some(account) = parsed("account", query.account.as_deref())? {
        filter = filter.with_account(account);
    }
    let page = member.view().await?.scans(&filter, &query.page()?).await?;
    Ok(Json(List::of(page, ScanItem::from)))
}

/// Shows a scan's result: its coverage, what it found and what that adds up to.
#[utoipa::path(get, path = "/v1/scans/{id}", tag = "scans",
    params(("id" = uuid::Uuid, Path, description = "The scan")), responses(
    (status = OK, description = "The result, in the shape that the README describes", body = Object),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(id): ScanInPath,
) -> Result<Json<ScanReport>, Problem> {
    let mut view = member.view().await?;
    Ok(Json(scan::report(view.as_mut(), id).await?))
}

/// Requests a scan of an account.
#[utoipa::path(post, path = "/v1/accounts/{id}/scans", tag = "scans",
    params(("id" = uuid::Uuid, Path, description = "The account")), responses(
    (status = ACCEPTED, description = "The scan waits for a processor", body = RequestedScanItem),
))]
pub(super) async fn request(
    State(state): State<HttpState>,
    member: Member<acts::Scan>,
    IdInPath(account): IdInPath<CloudAccountId>,
) -> Result<Accepted, Problem> {
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let wanted = ScanRequest::new(account);
    let requested = scan::request(store, scope, &wanted, &state.ids, state.clock.as_ref()).await?;
    Ok(accepted(requested))
}

/// The answer to whoever requested a scan.
pub(super) type Accepted = (
    StatusCode,
    [(HeaderName, String); 1],
    Json<RequestedScanItem>,
);

pub(super) fn accepted(requested: RequestedScan) -> Accepted {
    let answer = RequestedScanItem {
        scan: requested.scan,
        job: requested.job,
    };
    let location = [(LOCATION, format!("/v1/scans/{}", requested.scan))];
    (StatusCode::ACCEPTED, location, Json(answer))
}
