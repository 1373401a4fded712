//! Staged audit events.

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::id::AuditEventId;
use trueno_core::model::AuditEvent;
use trueno_core::port::AuditOutbox;

use crate::MemoryStore;

#[async_trait]
impl AuditOutbox for MemoryStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        Ok(self.with(|database, _| database.outbox.oldest(limit)))
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.with(|database, _| database.outbox.forget(events));
        Ok(())
    }
}
