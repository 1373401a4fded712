//! Members.

use axum::Json;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::id::UserId;
use trueno_core::model::{Member as Membership, Role, Version};
use trueno_core::runtime::organizations;
use utoipa::ToSchema;

use super::{List, schema};
use crate::extract::{
    IdInPath, IfMatch, JsonBody, Member, Query, Versioned, acts, list_query, named, precondition,
};
use crate::problem::Problem;

/// A member of the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberItem {
    /// The user.
    #[schema(value_type = uuid::Uuid)]
    pub user: UserId,
    /// The member's role.
    #[schema(schema_with = schema::role)]
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
    /// Counts changes; the `ETag` of the member.
    pub version: Version,
}

impl From<Membership> for MemberItem {
    fn from(member: Membership) -> Self {
        Self {
            user: member.user,
            role: member.role,
            created_at: member.created_at,
            version: member.version,
        }
    }
}

/// A member to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    /// The user.
    #[schema(value_type = uuid::Uuid)]
    user: String,
    #[schema(schema_with = schema::role)]
    role: String,
}

/// What to change of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberChange {
    #[schema(schema_with = schema::role)]
    role: String,
}

list_query! {
    /// Which members.
    MemberQuery {}
}

/// Lists members, by user.
#[utoipa::path(get, path = "/v1/members", tag = "members", params(MemberQuery), responses(
    (status = OK, description = "A page of members", body = List<MemberItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<MemberQuery>,
) -> Result<Json<List<MemberItem>>, Problem> {
    let page = member.view().await?.members(&query.page()?).await?;
    Ok(Json(List::of(page, MemberItem::from)))
}

/// Makes a user a member. Only an owner makes owners.
#[utoipa::path(post, path = "/v1/members", tag = "members", request_body = NewMember, responses(
    (status = CREATED, description = "The member", body = MemberItem),
))]
pub(super) async fn add(
    member: Member<acts::ManageMembers>,
    JsonBody(body): JsonBody<NewMember>,
) -> Result<(StatusCode, Versioned<MemberItem>), Problem> {
    let user: UserId = named("user", body.user.parse())?;
    let role: Role = named("role", body.role.parse())?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let added = organizations::add_member(store, scope, user, role).await?;
    Ok((StatusCode::CREATED, Versioned(added.version, added.into())))
}

/// Shows a member.
#[utoipa::path(get, path = "/v1/members/{id}", tag = "members",
    params(("id" = uuid::Uuid, Path, description = "The user")), responses(
    (status = OK, description = "The member", body = MemberItem),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(user): IdInPath<UserId>,
) -> Result<Versioned<MemberItem>, Problem> {
    let found = member.view().await?.member(user).await?;
    Ok(Versioned(found.version, found.into()))
}

/// Gives a member another role. Only an owner makes owners, and changes them.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "members", request_body = MemberChange,
    params(
        ("id" = uuid::Uuid, Path, description = "The user"),
        ("If-Match" = String, Header, description = "The member's ETag"),
    ),
    responses(
    (status = OK, description = "The member as it is now", body = MemberItem),
))]
pub(super) async fn change(
    member: Member<acts::ManageMembers>,
    IdInPath(user): IdInPath<UserId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<MemberChange>,
) -> Result<Versioned<MemberItem>, Problem> {
    let role: Role = named("role", body.role.parse())?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let changed = organizations::set_role(store, scope, user, version, role)
        .await
        .map_err(precondition)?;
    Ok(Versioned(changed.version, changed.into()))
}

/// Ends a membership.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "members",
    params(
        ("id" = uuid::Uuid, Path, description = "The user"),
        ("If-Match" = String, Header, description = "The member's ETag"),
    ),
    responses(
    (status = NO_CONTENT, description = "The user is no member any more"),
))]
pub(super) async fn remove(
    member: Member<acts::ManageMembers>,
    IdInPath(user): IdInPath<UserId>,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    organizations::remove_member(member.store.as_ref(), &member.scope, user, version)
        .await
        .map_err(precondition)?;
    Ok(StatusCode::NO_CONTENT)
}
