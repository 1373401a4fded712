//! Members.

use axum::Json;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::id::UserId;
use trueno_core::model::{Member as Membership, Role};
use trueno_core::runtime::organizations;
use utoipa::ToSchema;

use super::{List, schema};
use crate::extract::{IdInPath, JsonBody, Member, Query, acts, list_query, named};
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
}

impl From<Membership> for MemberItem {
    fn from(member: Membership) -> Self {
        Self {
            user: member.user,
            role: member.role,
            created_at: member.created_at,
        }
    }
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
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

/// Makes a user a member, or changes the role of one. Only an owner makes owners.
#[utoipa::path(put, path = "/v1/members/{id}", tag = "members", request_body = NewRole,
    params(("id" = uuid::Uuid, Path, description = "The user")), responses(
    (status = OK, description = "The member as it is now", body = MemberItem),
))]
pub(super) async fn set(
    member: Member<acts::ManageMembers>,
    IdInPath(user): IdInPath<UserId>,
    JsonBody(body): JsonBody<NewRole>,
) -> Result<Json<MemberItem>, Problem> {
    let role: Role = named("role", body.role.parse())?;
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let set = organizations::set_member(store, scope, user, role).await?;
    Ok(Json(set.into()))
}

/// Ends a membership.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "members",
    params(("id" = uuid::Uuid, Path, description = "The user")), responses(
    (status = NO_CONTENT, description = "The user is no member any more"),
))]
pub(super) async fn remove(
    member: Member<acts::ManageMembers>,
    IdInPath(user): IdInPath<UserId>,
) -> Result<StatusCode, Problem> {
    organizations::remove_member(member.store.as_ref(), &member.scope, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
