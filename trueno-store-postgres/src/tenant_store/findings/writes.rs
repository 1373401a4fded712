//! What members do with findings.

use sqlx::postgres::PgRow;
use trueno_core::error::{Error, Result};
use trueno_core::id::{FindingId, OrganizationId, UserId};
use trueno_core::model::{
    Actor, ChangeOfFinding, Comment, Finding, FindingStatus, NewComment, Version,
};
use trueno_core::state::finding::{self, FindingEvent, FindingStep};

use super::super::versions;
use super::history::{self, Change};
use super::reads::decode_comment;
use super::{WHAT, decode};
use crate::encode;
use crate::error::{self, sqlstate};
use crate::transaction::Tx;

pub(super) async fn step(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    id: FindingId,
    version: Version,
    step: FindingStep,
) -> Result<Finding> {
    let row = versions::unchanged(locked(tx, organization, id).await?, WHAT, version)?;
    apply(
        tx,
        organization,
        actor,
        &decode(&row)?,
        FindingEvent::Step(step),
    )
    .await
}

pub(super) async fn assign(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    id: FindingId,
    version: Version,
    assignee: Option<UserId>,
) -> Result<Finding> {
    let row = versions::unchanged(locked(tx, organization, id).await?, WHAT, version)?;
    let before = decode(&row)?;
    if before.assignee == assignee {
        return Ok(before);
    }
    let query = tx.query(
        "update finding set assignee = $3, version = version + 1
         where organization_id = $1 and id = $2 returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(assignee.map(|user| user.as_uuid()))
        .fetch_one(tx.connection())
        .await
        .map_err(|source| refers_to("member", source))?;
    let after = decode(&row)?;
    let change = Change {
        finding: id,
        version: after.version,
        what: ChangeOfFinding::Assignee {
            from: before.assignee,
            to: assignee,
        },
    };
    history::record(tx, organization, actor, &[change]).await?;
    Ok(after)
}

pub(super) async fn comment(
    tx: &mut Tx,
    organization: OrganizationId,
    author: UserId,
    new: NewComment,
) -> Result<Comment> {
    let query = tx.query(
        "insert into finding_comment (organization_id, id, finding_id, author, text)
         values ($1, $2, $3, $4, $5) returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(new.id().as_uuid())
        .bind(new.finding().as_uuid())
        .bind(author.as_uuid())
        .bind(new.text())
        .fetch_one(tx.connection())
        .await
        .map_err(|source| refers_to(WHAT, source))?;
    decode_comment(&row)
}

/// One finding, locked until the transaction ends.
pub(in super::super) async fn lock(
    tx: &mut Tx,
    organization: OrganizationId,
    id: FindingId,
) -> Result<Finding> {
    let row = locked(tx, organization, id).await?;
    decode(&row.ok_or_else(|| Error::not_found(WHAT))?)
}

async fn locked(tx: &mut Tx, organization: OrganizationId, id: FindingId) -> Result<Option<PgRow>> {
    let query =
        tx.query("select * from finding where organization_id = $1 and id = $2 for no key update");
    query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)
}

/// Moves a finding that the transaction has locked through its machine.
pub(in super::super) async fn apply(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    before: &Finding,
    event: FindingEvent,
) -> Result<Finding> {
    let to: FindingStatus = finding::apply(before.status, event)?.to;
    let query = tx.query(
        "update finding set status = $3, version = version + 1
         where organization_id = $1 and id = $2 returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(before.id.as_uuid())
        .bind(to.as_str())
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let after = decode(&row)?;
    let change = Change::of_status(after.id, after.version, Some(before.status), to);
    history::record(tx, organization, actor, change.as_slice()).await?;
    Ok(after)
}

/// Assigns nobody to what a member was assigned to. The member's row is locked: nothing is assigned
/// to the member meanwhile.
pub(in super::super) async fn unassign(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    member: UserId,
) -> Result<()> {
    let (actor_kind, actor_id) = encode::actor(actor)?;
    let query = tx.query(
        "with assigned as (
            select id from finding where organization_id = $1 and assignee = $2
            order by account_id, key for no key update
         ), freed as (
            update finding f set assignee = null, version = f.version + 1
            from assigned a where f.organization_id = $1 and f.id = a.id
            returning f.id, f.version
         )
         insert into finding_change (
            organization_id, finding_id, version, actor_kind, actor_id, change, from_assignee
         ) select $1, id, version, $3, $4, 'assignee', $2 from freed",
    );
    query
        .bind(organization.as_uuid())
        .bind(member.as_uuid())
        .bind(actor_kind)
        .bind(actor_id)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// An error of a statement that refers to `what`, which may not be there.
fn refers_to(what: &str, source: sqlx::Error) -> Error {
    match error::code(&source).as_deref() {
        Some(sqlstate::FOREIGN_KEY_VIOLATION) => Error::not_found(what),
        _ => error::statement(source),
    }
}
