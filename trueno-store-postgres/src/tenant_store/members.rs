//! The organization itself and its members.

use async_trait::async_trait;
use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, UserId};
use trueno_core::model::{Member, Organization, Role, Version};
use trueno_core::port::tenant_store::{OrganizationReads, OrganizationWrites};
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{findings, organizations, paging, versions, view};
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;

const LIST: &str = "members";

/// What errors call one.
const WHAT: &str = "member";

view::reads! {
    OrganizationReads {
        fn organization() -> Organization;
        fn member(user: UserId) -> Member;
        fn members(page: &PageRequest) -> Page<Member>;
    } for view
}

#[async_trait]
impl OrganizationWrites for PgUnitOfWork {
    async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let scope = *self.scope();
        step!(self, insert_member for ManageMembers, tx => insert(&mut tx, &scope, user, role))
    }

    async fn set_member_role(
        &mut self,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member> {
        let scope = *self.scope();
        step!(self, set_member_role for ManageMembers, tx =>
            set_role(&mut tx, &scope, user, version, role))
    }

    async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()> {
        let scope = *self.scope();
        step!(self, remove_member for ManageMembers, tx =>
            remove(&mut tx, &scope, user, version))
    }

    async fn erase_organization(&mut self) -> Result<()> {
        step!(self, erase_organization for EraseOrganization, tx => organizations::erase(&mut tx))?;
        self.erase();
        Ok(())
    }
}

async fn organization(tx: &mut Tx, id: OrganizationId) -> Result<Organization> {
    let query = tx.query("select * from organization where organization_id = $1");
    let row = query
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(organizations::not_found)?;
    Ok(Organization {
        id,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
    })
}

async fn members(
    tx: &mut Tx,
    organization: OrganizationId,
    page: &PageRequest,
) -> Result<Page<Member>> {
    let mut query = QueryBuilder::new("select * from member where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(user) = paging::after::<Uuid>(LIST, page)? {
        query.push(" and user_id > ").push_bind(user);
    }
    query.push(" order by user_id");
    paging::fetch(tx, LIST, query, page, decode, |row| {
        row.id::<Uuid>("user_id")
    })
    .await
}

async fn member(tx: &mut Tx, organization: OrganizationId, user: UserId) -> Result<Member> {
    let query = tx.query("select * from member where organization_id = $1 and user_id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(|| Error::not_found(WHAT))?)
}

async fn insert(tx: &mut Tx, scope: &OrgScope, user: UserId, role: Role) -> Result<Member> {
    let organization = scope.organization();
    let former = take_turn(tx, organization).await?;
    keep_an_owner(tx, scope, None, Some(role)).await?;
    let query = tx.query(
        "insert into member (organization_id, user_id, role, version) values ($1, $2, $3, $4)
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .bind(role.as_str())
        .bind(former + 1)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

async fn set_role(
    tx: &mut Tx,
    scope: &OrgScope,
    user: UserId,
    version: Version,
    role: Role,
) -> Result<Member> {
    let organization = scope.organization();
    take_turn(tx, organization).await?;
    let query = tx.query(
        "select * from member where organization_id = $1 and user_id = $2 for no key update",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    let before = decode(&versions::unchanged(row, WHAT, version)?)?;
    keep_an_owner(tx, scope, Some(before.role), Some(role)).await?;
    let query = tx.query(
        "update member set role = $3, version = version + 1
         where organization_id = $1 and user_id = $2 returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .bind(role.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

async fn remove(tx: &mut Tx, scope: &OrgScope, user: UserId, version: Version) -> Result<()> {
    let organization = scope.organization();
    take_turn(tx, organization).await?;
    // FOR UPDATE: from here nothing can be assigned to the member any more.
    let query =
        tx.query("select * from member where organization_id = $1 and user_id = $2 for update");
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    let row = versions::unchanged(row, WHAT, version)?;
    keep_an_owner(tx, scope, Some(row.parsed("role")?), None).await?;
    findings::unassign(tx, organization, scope.actor(), user).await?;
    let query = tx.query(
        "with gone as (
            delete from member where organization_id = $1 and user_id = $2 returning version
         )
         update organization
         set former_member_version = greatest(former_member_version, gone.version)
         from gone where organization_id = $1",
    );
    query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Locks the organization until the transaction ends, so that changes of its members take turns: what
/// is read of them from here on stays true. Not FOR UPDATE, which would keep others from adding what
/// refers to the organization. Answers the highest version that a former member had.
async fn take_turn(tx: &mut Tx, organization: OrganizationId) -> Result<i64> {
    let query = tx.query(
        "select former_member_version from organization where organization_id = $1
         for no key update",
    );
    query
        .bind(organization.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(organizations::not_found)?
        .count("former_member_version")
}

/// Only an owner makes owners and changes or removes them, and one stays. Within the turn.
async fn keep_an_owner(
    tx: &mut Tx,
    scope: &OrgScope,
    was: Option<Role>,
    becomes: Option<Role>,
) -> Result<()> {
    let (was_owner, stays_owner) = (was == Some(Role::Owner), becomes == Some(Role::Owner));
    if !was_owner && !stays_owner {
        return Ok(());
    }
    let by_an_owner = matches!(
        scope.authority(),
        Authority::Member {
            role: Role::Owner,
            ..
        }
    );
    if !by_an_owner {
        return Err(Error::new(
            ErrorKind::Denied,
            "only an owner makes owners, and changes or removes them",
        ));
    }
    if !was_owner || stays_owner {
        return Ok(());
    }
    let query = tx
        .query("select user_id from member where organization_id = $1 and role = 'owner' limit 2");
    let owners = query
        .bind(scope.organization().as_uuid())
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    if owners.len() == 1 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "role: an organization needs an owner, and this is the last one; make another member an \
             owner first",
        )
        .with_applied(Applied::No));
    }
    Ok(())
}

fn decode(row: &PgRow) -> Result<Member> {
    Ok(Member {
        user: row.id("user_id")?,
        role: row.parsed("role")?,
        created_at: row.time("created_at")?,
        version: row.count("version")?,
    })
}
