//! The organization as a whole.

use axum::body::Body as ResponseBody;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use trueno_core::error::Error;
use trueno_core::id::OrganizationId;
use trueno_core::runtime::organizations;
use utoipa::ToSchema;

use crate::extract::{JsonBody, Member, acts, named};
use crate::problem::Problem;

/// What an export may be ahead of its reader.
const BUFFER: usize = 64 * 1_024;

/// Exports everything that the organization has, as JSON lines: one object per line, whose `type`
/// says what it is. The last one has the type `end`: without it the export was cut off.
#[utoipa::path(get, path = "/v1/export", tag = "organization", responses(
    (status = OK, description = "The lines", body = String, content_type = "application/jsonl"),
))]
pub(super) async fn export(member: Member<acts::Export>) -> impl IntoResponse {
    let (mut to, from) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        let exported = organizations::export(member.store.as_ref(), &member.scope, &mut to).await;
        if let Err(error) = exported {
            // The reader sees that the last line is missing.
            tracing::warn!(?error, "an export was cut off");
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/jsonl"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"organization.jsonl\"",
        ),
    ];
    (headers, ResponseBody::from_stream(ReaderStream::new(from)))
}

/// Says which organization is meant, so that none is erased by mistake.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The id of the organization that is to be erased.
    #[schema(value_type = uuid::Uuid)]
    organization: String,
}

/// Erases the organization for good: everything but its audit events.
#[utoipa::path(delete, path = "/v1/organization", tag = "organization", request_body = Confirmation,
    responses(
    (status = NO_CONTENT, description = "It was erased"),
))]
pub(super) async fn erase(
    member: Member<acts::EraseOrganization>,
    JsonBody(body): JsonBody<Confirmation>,
) -> Result<StatusCode, Problem> {
    let meant: OrganizationId = named("organization", body.organization.parse())?;
    if meant != member.scope.organization() {
        let problem = "is not the one that the request is about";
        return Err(Error::invalid("organization", problem).into());
    }
    organizations::erase(member.store.as_ref(), &member.scope).await?;
    Ok(StatusCode::NO_CONTENT)
}
