//! Findings, and what members do with them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use trueno_core::error::{Error, Result};
use trueno_core::id::{CloudAccountId, FindingId, UserId};
use trueno_core::model::NewComment;
use trueno_core::port::FindingFilter;
use trueno_core::runtime::findings;
use trueno_core::state::finding::FindingStep;
use utoipa::ToSchema;

mod item;

pub use item::{ChangeItem, CommentItem, CountItem, FindingItem, FindingList, RecommendationItem};

use super::{List, resources, schema};
use crate::HttpState;
use crate::extract::{
    IdInPath, IfMatch, JsonBody, Member, Query, Versioned, acts, list_query, named, parsed,
    precondition,
};
use crate::problem::Problem;

list_query! {
    /// Which findings: those that pass every filter.
    FindingQuery {
        /// Of this account only.
        #[param(value_type = Option<uuid::Uuid>)]
        account,
        /// Last found by this scan only.
        #[param(value_type = Option<uuid::Uuid>)]
        scan,
        /// In this region only.
        region,
        /// Found by this check only, such as `ec2.volume.gp2`.
        check,
        /// Of this severity only.
        severity,
        /// With this status only, or `standing` for all that are neither resolved nor suppressed.
        status,
        /// Of a resource with this tag only: `key`, or `key=value`.
        tag,
    }
}

impl FindingQuery {
    fn filter(&self) -> Result<FindingFilter> {
        let mut filter = FindingFilter::default();
        filter.account = parsed("account", self.account.as_deref())?;
        filter.scan = parsed("scan", self.scan.as_deref())?;
        filter.region = parsed("region", self.region.as_deref())?;
        filter.check.clone_from(&self.check);
        if self
            .check
            .as_ref()
            .is_some_and(|check| check.contains('\0'))
        {
            return Err(Error::invalid(
                "check",
                "holds a NUL, which no check's id has",
            ));
        }
        filter.severity = parsed("severity", self.severity.as_deref())?;
        match self.status.as_deref() {
            Some("standing") => filter.standing = true,
            status => filter.status = parsed("status", status)?,
        }
        filter.tag = self.tag.as_deref().map(resources::tag).transpose()?;
        Ok(filter)
    }
}

/// Lists findings, by account and key, and counts those that pass the filters.
#[utoipa::path(get, path = "/v1/findings", tag = "findings", params(FindingQuery), responses(
    (status = OK, description = "A page of findings, and how many there are", body = FindingList),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<FindingQuery>,
) -> Result<Json<FindingList>, Problem> {
    let (filter, page) = (query.filter()?, query.page()?);
    let mut view = member.view().await?;
    let found = view.findings(&filter, &page).await?;
    let count = view.count_findings(&filter).await?;
    Ok(Json(FindingList::new(found, count)))
}

/// Which counts.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountQuery {
    /// Of this account only.
    #[param(value_type = Option<uuid::Uuid>)]
    account: Option<String>,
}

/// Counts findings by account, check and status.
#[utoipa::path(get, path = "/v1/findings/counts", tag = "findings", params(CountQuery), responses(
    (status = OK, description = "Exact counts; what is not there has none", body = Vec<CountItem>),
))]
pub(super) async fn counts(
    member: Member<acts::Read>,
    Query(query): Query<CountQuery>,
) -> Result<Json<Vec<CountItem>>, Problem> {
    let account = parsed("account", query.account.as_deref())?;
    let counts = member.view().await?.finding_counts(account).await?;
    Ok(Json(counts.into_iter().map(CountItem::from).collect()))
}

/// Shows a finding.
#[utoipa::path(get, path = "/v1/findings/{id}", tag = "findings",
    params(("id" = uuid::Uuid, Path, description = "The finding")), responses(
    (status = OK, description = "The finding", body = FindingItem),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<FindingId>,
) -> Result<Versioned<FindingItem>, Problem> {
    let finding = member.view().await?.finding(id).await?;
    Ok(Versioned(finding.version, finding.into()))
}

/// What to change of a finding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindingChangeBody {
    /// `acknowledged`, `in_progress`, or `open` to put it back.
    #[schema(schema_with = schema::finding_status)]
    status: String,
}

/// Acknowledges a finding, begins to work on it, or puts it back.
#[utoipa::path(patch, path = "/v1/findings/{id}", tag = "findings", request_body = FindingChangeBody,
    params(
        ("id" = uuid::Uuid, Path, description = "The finding"),
        ("If-Match" = String, Header, description = "The finding's ETag"),
    ),
    responses(
    (status = OK, description = "The finding as it is now", body = FindingItem),
))]
pub(super) async fn change(
    member: Member<acts::WorkFindings>,
    IdInPath(id): IdInPath<FindingId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<FindingChangeBody>,
) -> Result<Versioned<FindingItem>, Problem> {
    let step = match body.status.as_str() {
        "acknowledged" => FindingStep::Acknowledge,
        "in_progress" => FindingStep::Start,
        "open" => FindingStep::PutBack,
        _ => {
            return Err(Error::invalid(
                "status",
                "needs acknowledged, in_progress or open: a scan resolves and reopens, an \
                 exception suppresses",
            )
            .into());
        }
    };
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let changed = findings::step(store, scope, id, version, step).await;
    let finding = changed.map_err(precondition)?;
    Ok(Versioned(finding.version, finding.into()))
}

list_query! {
    /// Which page.
    PageQuery {}
}

/// Lists what became of a finding: who changed what, oldest first.
#[utoipa::path(get, path = "/v1/findings/{id}/history", tag = "findings",
    params(("id" = uuid::Uuid, Path, description = "The finding"), PageQuery), responses(
    (status = OK, description = "A page of changes", body = List<ChangeItem>),
))]
pub(super) async fn history(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<FindingId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<ChangeItem>>, Problem> {
    let page = query.page()?;
    let page = member.view().await?.finding_history(id, &page).await?;
    Ok(Json(List::of(page, ChangeItem::from)))
}

/// Lists comments on a finding, oldest first.
#[utoipa::path(get, path = "/v1/findings/{id}/comments", tag = "findings",
    params(("id" = uuid::Uuid, Path, description = "The finding"), PageQuery), responses(
    (status = OK, description = "A page of comments", body = List<CommentItem>),
))]
pub(super) async fn comments(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<FindingId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<CommentItem>>, Problem> {
    let page = query.page()?;
    let page = member.view().await?.comments(id, &page).await?;
    Ok(Json(List::of(page, CommentItem::from)))
}

/// A comment to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentBody {
    /// 1 to 10,000 characters.
    text: String,
}

/// Adds a comment to a finding.
#[utoipa::path(post, path = "/v1/findings/{id}/comments", tag = "findings", request_body = CommentBody,
    params(("id" = uuid::Uuid, Path, description = "The finding")), responses(
    (status = CREATED, description = "The comment", body = CommentItem),
))]
pub(super) async fn comment(
    State(state): State<HttpState>,
    member: Member<acts::WorkFindings>,
    IdInPath(id): IdInPath<FindingId>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<(StatusCode, Json<CommentItem>), Problem> {
    let new = NewComment::new(state.ids.next(state.clock.now()), id, &body.text)?;
    let comment = findings::comment(member.store.as_ref(), &member.scope, new).await?;
    Ok((StatusCode::CREATED, Json(comment.into())))
}

/// Who is to deal with a finding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignmentBody {
    /// A member of the organization.
    #[schema(value_type = uuid::Uuid)]
    user: String,
}

/// Makes a member the one to deal with a finding.
#[utoipa::path(put, path = "/v1/findings/{id}/assignment", tag = "findings", request_body = AssignmentBody,
    params(
        ("id" = uuid::Uuid, Path, description = "The finding"),
        ("If-Match" = String, Header, description = "The finding's ETag"),
    ),
    responses(
    (status = OK, description = "The finding as it is now", body = FindingItem),
))]
pub(super) async fn assign(
    member: Member<acts::WorkFindings>,
    IdInPath(id): IdInPath<FindingId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<AssignmentBody>,
) -> Result<Versioned<FindingItem>, Problem> {
    let user: UserId = named("user", body.user.parse())?;
    set_assignee(member, id, version, Some(user)).await
}

/// Makes nobody the one to deal with a finding.
#[utoipa::path(delete, path = "/v1/findings/{id}/assignment", tag = "findings",
    params(
        ("id" = uuid::Uuid, Path, description = "The finding"),
        ("If-Match" = String, Header, description = "The finding's ETag"),
    ),
    responses(
    (status = OK, description = "The finding as it is now", body = FindingItem),
))]
pub(super) async fn unassign(
    member: Member<acts::WorkFindings>,
    IdInPath(id): IdInPath<FindingId>,
    IfMatch(version): IfMatch,
) -> Result<Versioned<FindingItem>, Problem> {
    set_assignee(member, id, version, None).await
}

async fn set_assignee(
    member: Member<acts::WorkFindings>,
    id: FindingId,
    version: u64,
    assignee: Option<UserId>,
) -> Result<Versioned<FindingItem>, Problem> {
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let assigned = findings::assign(store, scope, id, version, assignee).await;
    let finding = assigned.map_err(precondition)?;
    Ok(Versioned(finding.version, finding.into()))
}

list_query! {
    /// Which recommendations.
    RecommendationQuery {
        /// Of this account only.
        #[param(value_type = Option<uuid::Uuid>)]
        account,
    }
}

/// Lists what to act on: of findings that exclude each other the one that saves most.
#[utoipa::path(get, path = "/v1/recommendations", tag = "findings", params(RecommendationQuery), responses(
    (status = OK, description = "A page of recommendations", body = List<RecommendationItem>),
))]
pub(super) async fn recommendations(
    member: Member<acts::Read>,
    Query(query): Query<RecommendationQuery>,
) -> Result<Json<List<RecommendationItem>>, Problem> {
    let account: Option<CloudAccountId> = parsed("account", query.account.as_deref())?;
    let page = query.page()?;
    let page = member.view().await?.recommendations(account, &page).await?;
    Ok(Json(List::of(page, RecommendationItem::from)))
}
