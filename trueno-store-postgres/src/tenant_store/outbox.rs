//! The sequencer's side of staged audit events.

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::id::AuditEventId;
use trueno_core::model::AuditEvent;
use trueno_core::port::AuditOutbox;
use uuid::Uuid;

use super::events;
use crate::error;
use crate::store::PostgresStore;

#[async_trait]
impl AuditOutbox for PostgresStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        staged(self, limit)
            .await
            .map_err(|error| error.with_operation("audit_outbox.staged"))
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        forget(self, events)
            .await
            .map_err(|error| error.with_operation("audit_outbox.forget"))
    }
}

async fn staged(store: &PostgresStore, limit: usize) -> Result<Vec<AuditEvent>> {
    let mut tx = store.begin_sequencer().await?;
    let query = tx.query("select * from staged($1)");
    let rows = query
        .bind(i32::try_from(limit).unwrap_or(i32::MAX))
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    rows.iter().map(events::decode).collect()
}

async fn forget(store: &PostgresStore, events: &[AuditEventId]) -> Result<()> {
    let mut tx = store.begin_sequencer().await?;
    let ids: Vec<Uuid> = events.iter().map(AuditEventId::as_uuid).collect();
    let query = tx.query("select forget($1)");
    query
        .bind(ids)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.commit().await
}
