//! Audit events: staged with their changes, and read back.

use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use trueno_core::error::{Error, Result};
use trueno_core::id::{AuditEventId, IdSource, OrganizationId};
use trueno_core::model::{Actor, AuditEvent, EventDraft, limits};

use super::organizations;
use crate::encode::{self, RowExt as _};
use crate::error;
use crate::transaction::Tx;

/// Refuses an event that says nothing, or too much.
pub(super) fn check(draft: &EventDraft) -> Result<()> {
    if draft.action.is_empty() {
        return Err(Error::invalid("audit event", "needs an action"));
    }
    limits::event(draft)
}

/// Stages an event, as the last statement before the commit: whoever waited for a row of this
/// transaction stages after it, so that events that depend on each other keep their order. Events
/// outlive their organization, but none begins after it was erased.
pub(crate) async fn stage(
    tx: &mut Tx,
    ids: &IdSource,
    organization: OrganizationId,
    actor: Actor,
    draft: EventDraft,
) -> Result<AuditEventId> {
    let staged = "insert into audit_staged (
            organization_id, id, actor_kind, actor_id, action, targets, details
         )
         select $1, $2, $3, $4, $5, $6, $7
         where exists (select from organization where organization_id = $1)";
    insert(tx, ids, organization, actor, draft, staged).await
}

/// Stages the event of the transaction that erased its organization.
pub(super) async fn stage_last(
    tx: &mut Tx,
    ids: &IdSource,
    organization: OrganizationId,
    actor: Actor,
    draft: EventDraft,
) -> Result<AuditEventId> {
    let staged = "insert into audit_staged (
            organization_id, id, actor_kind, actor_id, action, targets, details
         ) values ($1, $2, $3, $4, $5, $6, $7)";
    insert(tx, ids, organization, actor, draft, staged).await
}

async fn insert(
    tx: &mut Tx,
    ids: &IdSource,
    organization: OrganizationId,
    actor: Actor,
    draft: EventDraft,
    sql: &'static str,
) -> Result<AuditEventId> {
    check(&draft)?;
    let id: AuditEventId = ids.next(tx.now());
    let (actor_kind, actor_id) = encode::actor(actor)?;
    let query = tx.query(sql);
    let staged = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(actor_kind)
        .bind(actor_id)
        .bind(draft.action)
        .bind(Json(draft.targets))
        .bind(Json(Value::Object(draft.details)))
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    if staged.rows_affected() == 0 {
        return Err(organizations::not_found());
    }
    Ok(id)
}

pub(super) fn decode(row: &PgRow) -> Result<AuditEvent> {
    Ok(AuditEvent {
        id: row.id("id")?,
        organization: row.id("organization_id")?,
        occurred_at: row.time("occurred_at")?,
        actor: row.actor("actor_kind", "actor_id")?,
        action: row.text("action")?,
        targets: row.json("targets")?,
        details: row.json("details")?,
    })
}
