//! Audit events.

use axum::Json;
use trueno_core::model::AuditEvent;
use utoipa::ToSchema;

use super::List;
use crate::extract::{Member, Query, acts, list_query};
use crate::problem::Problem;

/// An audit event, as its leaf in the ledger has it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, ToSchema)]
pub struct EventItem {
    /// `id`, `organization`, `occurred_at`, `actor`, `action`, `targets` and `details`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub event: AuditEvent,
}

list_query! {
    /// Which audit events.
    AuditQuery {}
}

/// Lists audit events, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery), responses(
    (status = OK, description = "A page of events", body = List<EventItem>),
))]
pub(super) async fn list(
    member: Member<acts::ReadAudit>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<EventItem>>, Problem> {
    let page = member.view().await?.audit_events(&query.page()?).await?;
    Ok(Json(List::of(page, |event| EventItem { event })))
}
