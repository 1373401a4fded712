//! What is done with organizations as a whole, through definer functions.

use serde_json::Value;
use sqlx::types::Json;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, OrganizationId, UserId};
use trueno_core::model::{EventDraft, Membership, NewOrganization, Organization};

use super::events;
use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;
use crate::transaction::Tx;

pub(super) async fn memberships(store: &PostgresStore, user: UserId) -> Result<Vec<Membership>> {
    let mut tx = store.begin_app().await?;
    let query = tx.query("select organization_id, role from memberships($1)");
    let rows = query
        .bind(user.as_uuid())
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    let membership = |row| -> Result<Membership> {
        let row: &sqlx::postgres::PgRow = row;
        Ok(Membership {
            organization: row.id("organization_id")?,
            user,
            role: row.parsed("role")?,
        })
    };
    rows.iter().map(membership).collect()
}

/// An organization that is not there, or was erased.
pub(crate) fn not_found() -> Error {
    Error::not_found("organization")
}

/// A scope outlives its organization: whoever changes something is told so before anything else.
pub(super) async fn require(tx: &mut Tx, organization: OrganizationId) -> Result<()> {
    let query = tx.query("select from organization where organization_id = $1");
    query
        .bind(organization.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .map(|_| ())
        .ok_or_else(not_found)
}

/// Erases the organization that the transaction entered, in one statement: one function of the
/// database, which asks itself what was entered.
pub(super) async fn erase(tx: &mut Tx) -> Result<()> {
    // However much there is: the limit is for what somebody waits for. What waits for a lock is still
    // given up in time.
    let query = tx.query("select set_config('statement_timeout', '0', true)");
    query
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    let query = tx.query("select erase_organization() as erased");
    let row = query
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    if !row.flag("erased")? {
        return Err(not_found());
    }
    Ok(())
}

pub(super) async fn create(
    store: &PostgresStore,
    new: NewOrganization,
    event: EventDraft,
) -> Result<Organization> {
    events::check(&event)?;
    let mut tx = store.begin_app().await?;
    let event_id: AuditEventId = store.ids().next(tx.now());
    let query = tx.query("select create_organization($1, $2, $3, $4, $5, $6, $7) as created_at");
    let row = query
        .bind(new.id().as_uuid())
        .bind(new.name())
        .bind(new.owner().as_uuid())
        .bind(event_id.as_uuid())
        .bind(event.action)
        .bind(Json(event.targets))
        .bind(Json(Value::Object(event.details)))
        .fetch_one(tx.connection())
        .await
        .map_err(|source| {
            if error::code(&source).as_deref() == Some(error::sqlstate::UNIQUE_VIOLATION) {
                return Error::new(
                    ErrorKind::AlreadyExists,
                    "an organization with this id exists already",
                );
            }
            error::statement(source)
        })?;
    let created_at = row.time("created_at")?;
    tx.commit().await?;
    Ok(Organization {
        id: new.id(),
        name: new.name().to_owned(),
        created_at,
    })
}
