//! Exceptions from findings.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::error::Error;
use trueno_core::id::{ExceptionId, FindingId, UserId};
use trueno_core::model::{Exception, ExceptionStatus, NewException, Version};
use trueno_core::port::ExceptionFilter;
use trueno_core::runtime::findings;
use trueno_core::state::exception::ExceptionDecision;
use utoipa::ToSchema;

use super::{List, schema};
use crate::HttpState;
use crate::extract::{
    IdInPath, IfMatch, JsonBody, Member, Query, Versioned, acts, list_query, named, parsed,
    precondition,
};
use crate::problem::Problem;

/// An exception from a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExceptionItem {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: ExceptionId,
    /// The finding.
    #[schema(value_type = uuid::Uuid)]
    pub finding: FindingId,
    /// Why the finding is acceptable.
    pub reason: String,
    /// Who asked for it.
    #[schema(value_type = uuid::Uuid)]
    pub requester: UserId,
    /// Who approved or rejected it: never the requester.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub approver: Option<UserId>,
    /// Where it is in its life.
    #[schema(schema_with = schema::exception_status)]
    pub status: ExceptionStatus,
    /// When it lapses: its finding is reopened then.
    pub expires_at: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it got its present status.
    pub changed_at: Timestamp,
    /// Counts changes; the `ETag` of the exception.
    pub version: Version,
}

impl From<Exception> for ExceptionItem {
    fn from(exception: Exception) -> Self {
        Self {
            id: exception.id,
            finding: exception.finding,
            reason: exception.reason,
            requester: exception.requester,
            approver: exception.approver,
            status: exception.status,
            expires_at: exception.expires_at,
            created_at: exception.created_at,
            changed_at: exception.changed_at,
            version: exception.version,
        }
    }
}

/// An exception to ask for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionBody {
    /// The finding.
    #[schema(value_type = uuid::Uuid)]
    finding: String,
    /// Why the finding is acceptable: 1 to 2,000 characters.
    reason: String,
    /// When it lapses: in the future, at most 366 days from now.
    #[schema(value_type = Timestamp)]
    expires_at: String,
}

/// What to decide about an exception.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// By somebody other than the requester.
    Approve,
    /// By somebody other than the requester.
    Reject,
    /// By the requester, or by whoever decides about exceptions.
    Withdraw,
}

list_query! {
    /// Which exceptions: those that pass every filter.
    ExceptionQuery {
        /// From this finding only.
        #[param(value_type = Option<uuid::Uuid>)]
        finding,
        /// With this status only.
        status,
    }
}

/// Lists exceptions, newest first.
#[utoipa::path(get, path = "/v1/exceptions", tag = "exceptions", params(ExceptionQuery), responses(
    (status = OK, description = "A page of exceptions", body = List<ExceptionItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<ExceptionQuery>,
) -> Result<Json<List<ExceptionItem>>, Problem> {
    let mut filter = ExceptionFilter::default();
    filter.finding = parsed("finding", query.finding.as_deref())?;
    filter.status = parsed("status", query.status.as_deref())?;
    let page = query.page()?;
    let page = member.view().await?.exceptions(&filter, &page).await?;
    Ok(Json(List::of(page, ExceptionItem::from)))
}

/// Asks for an exception from a finding.
#[utoipa::path(post, path = "/v1/exceptions", tag = "exceptions", request_body = ExceptionBody, responses(
    (status = CREATED, description = "The exception waits for its approval", body = ExceptionItem),
))]
pub(super) async fn request(
    State(state): State<HttpState>,
    member: Member<acts::WorkFindings>,
    JsonBody(body): JsonBody<ExceptionBody>,
) -> Result<(StatusCode, Versioned<ExceptionItem>), Problem> {
    let finding: FindingId = named("finding", body.finding.parse())?;
    let expires_at: Timestamp = body.expires_at.parse().map_err(|_| {
        Error::invalid(
            "expires_at",
            "is no RFC 3339 moment, such as 2027-01-31T12:00:00Z",
        )
    })?;
    let now = state.clock.now();
    let new = NewException::new(state.ids.next(now), finding, &body.reason, expires_at, now)?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let exception = findings::request_exception(store, scope, new).await?;
    Ok((
        StatusCode::CREATED,
        Versioned(exception.version, exception.into()),
    ))
}

/// Shows an exception.
#[utoipa::path(get, path = "/v1/exceptions/{id}", tag = "exceptions",
    params(("id" = uuid::Uuid, Path, description = "The exception")), responses(
    (status = OK, description = "The exception", body = ExceptionItem),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<ExceptionId>,
) -> Result<Versioned<ExceptionItem>, Problem> {
    let exception = member.view().await?.exception(id).await?;
    Ok(Versioned(exception.version, exception.into()))
}

/// Whoever decides about exceptions, or works on findings: the latter may only withdraw, and the
/// store sees to it that it is their own.
pub(super) struct Decider {
    deciding: Result<Member<acts::DecideExceptions>, Problem>,
    working: Option<Member<acts::WorkFindings>>,
}

impl FromRequestParts<HttpState> for Decider {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &HttpState,
    ) -> Result<Self, Self::Rejection> {
        let deciding = Member::from_request_parts(parts, state).await;
        let working = match &deciding {
            Ok(_) => None,
            Err(_) => Member::from_request_parts(parts, state).await.ok(),
        };
        Ok(Self { deciding, working })
    }
}

/// Approves, rejects or withdraws an exception. Approving suppresses its finding.
#[utoipa::path(patch, path = "/v1/exceptions/{id}", tag = "exceptions", request_body = DecisionBody,
    params(
        ("id" = uuid::Uuid, Path, description = "The exception"),
        ("If-Match" = String, Header, description = "The exception's ETag"),
    ),
    responses(
    (status = OK, description = "The exception as it is now", body = ExceptionItem),
))]
pub(super) async fn decide(
    decider: Decider,
    IdInPath(id): IdInPath<ExceptionId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<DecisionBody>,
) -> Result<Versioned<ExceptionItem>, Problem> {
    let decision = match body.decision {
        Decision::Approve => ExceptionDecision::Approve,
        Decision::Reject => ExceptionDecision::Reject,
        Decision::Withdraw => ExceptionDecision::Withdraw,
    };
    let (store, scope) = match (decider.deciding, decider.working, decision) {
        (Ok(member), ..) => (member.store, member.scope),
        (Err(_), Some(member), ExceptionDecision::Withdraw) => (member.store, member.scope),
        (Err(problem), ..) => return Err(problem),
    };
    let decided = findings::decide_exception(store.as_ref(), &scope, id, version, decision).await;
    let exception = decided.map_err(precondition)?;
    Ok(Versioned(exception.version, exception.into()))
}
