//! The organization itself and its members.

use async_trait::async_trait;
use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, UserId};
use trueno_core::model::{Member, Organization, Role};
use trueno_core::port::tenant_store::{OrganizationReads, OrganizationWrites};
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{findings, organizations, paging, view};
use crate::encode::RowExt as _;
use crate::error::{self, sqlstate};
use crate::pool::Tx;

const LIST: &str = "members";

view::reads! {
    OrganizationReads {
        fn organization() -> Organization;
        fn members(page: &PageRequest) -> Page<Member>;
    } for view
}

#[async_trait]
impl OrganizationWrites for PgUnitOfWork {
    async fn set_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let scope = *self.scope();
        step!(self, set_member for ManageMembers, tx => set(&mut tx, &scope, user, role))
    }

    async fn remove_member(&mut self, user: UserId) -> Result<()> {
        let scope = *self.scope();
        step!(self, remove_member for ManageMembers, tx => remove(&mut tx, &scope, user))
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

async fn set(tx: &mut Tx, scope: &OrgScope, user: UserId, role: Role) -> Result<Member> {
    let organization = scope.organization();
    let owners = lock_owners(tx, organization).await?;
    keep_an_owner(scope, &owners, user, Some(role))?;
    let query = tx.query(
        "insert into member (organization_id, user_id, role) values ($1, $2, $3)
         on conflict (organization_id, user_id) do update set role = excluded.role
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .bind(role.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::FOREIGN_KEY_VIOLATION) => organizations::not_found(),
            _ => error::statement(source),
        })?;
    decode(&row)
}

async fn remove(tx: &mut Tx, scope: &OrgScope, user: UserId) -> Result<()> {
    let organization = scope.organization();
    let owners = lock_owners(tx, organization).await?;
    // FOR UPDATE: from here nothing can be assigned to the member any more.
    let query =
        tx.query("select from member where organization_id = $1 and user_id = $2 for update");
    query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(|| Error::not_found("member"))?;
    keep_an_owner(scope, &owners, user, None)?;
    findings::unassign(tx, organization, scope.actor(), user).await?;
    let query = tx.query("delete from member where organization_id = $1 and user_id = $2");
    query
        .bind(organization.as_uuid())
        .bind(user.as_uuid())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// The owners, locked until the transaction ends, so that two changes of members take turns. Not FOR
/// UPDATE, which would keep others from assigning something to an owner.
async fn lock_owners(tx: &mut Tx, organization: OrganizationId) -> Result<Vec<UserId>> {
    let mut before = None;
    loop {
        let query = tx.query(
            "select user_id from member where organization_id = $1 and role = 'owner'
             order by user_id for no key update",
        );
        let rows = query
            .bind(organization.as_uuid())
            .fetch_all(tx.connection())
            .await
            .map_err(error::statement)?;
        let owners = rows
            .iter()
            .map(|row| row.id("user_id"))
            .collect::<Result<Vec<UserId>>>()?;
        // A statement that had to wait does not see who became an owner meanwhile: asked again, until
        // all that are there are locked.
        if before.as_ref() == Some(&owners) {
            return Ok(owners);
        }
        before = Some(owners);
    }
}

/// Only an owner makes owners and changes or removes them, and one stays.
fn keep_an_owner(
    scope: &OrgScope,
    owners: &[UserId],
    user: UserId,
    becomes: Option<Role>,
) -> Result<()> {
    let is_owner = owners.contains(&user);
    if !is_owner && becomes != Some(Role::Owner) {
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
    if is_owner && becomes != Some(Role::Owner) && owners.len() == 1 {
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
    })
}
