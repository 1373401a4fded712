//! Staged audit events on their way to the ledger.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::AuditEventId;
use crate::model::AuditEvent;

/// Events staged with their changes, until a sink has them. For the sequencer alone.
///
/// # Contract
/// - An event is staged if and only if its change was committed.
/// - `staged` gives the events of one organization in an order that keeps the order of changes that
///   depend on each other (one began after the other committed, or waited for its rows), and gives
///   an event again until it is forgotten: at least once.
/// - `forget` is called once a sink has the events for good. Unknown ids are passed over.
#[async_trait]
pub trait AuditOutbox: Send + Sync {
    /// Up to `limit` staged events, oldest first, of any organization.
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>>;

    /// Takes events that the sink has out of the outbox. They stay readable
    /// ([`audit_events`](super::AuditReads::audit_events)).
    async fn forget(&self, events: &[AuditEventId]) -> Result<()>;
}
