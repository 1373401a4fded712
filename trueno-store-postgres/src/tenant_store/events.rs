//! Staging audit events with their changes.

use serde_json::Value;
use sqlx::types::Json;
use trueno_core::error::{Error, Result};
use trueno_core::id::{AuditEventId, IdSource, OrganizationId};
use trueno_core::model::{Actor, EventDraft};

use crate::pool::Tx;
use crate::{encode, error};

/// Refuses an event that says nothing.
pub(super) fn check(draft: &EventDraft) -> Result<()> {
    if draft.action.is_empty() {
        return Err(Error::invalid("audit event", "needs an action"));
    }
    if draft.targets.is_empty() {
        return Err(Error::invalid("audit event", "needs at least one target"));
    }
    Ok(())
}

/// Stages an event, as the last statement before the commit: whoever waited for a row of this
/// transaction stages after it, so that events that depend on each other keep their order.
pub(crate) async fn stage(
    tx: &mut Tx,
    ids: &IdSource,
    organization: OrganizationId,
    actor: Actor,
    draft: EventDraft,
) -> Result<AuditEventId> {
    check(&draft)?;
    let id: AuditEventId = ids.next(tx.now());
    let (actor_kind, actor_id) = encode::actor(actor)?;
    let query = tx.query(
        "insert into audit_staged (
            organization_id, id, actor_kind, actor_id, action, targets, details
         ) values ($1, $2, $3, $4, $5, $6, $7)",
    );
    query
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
    Ok(id)
}
