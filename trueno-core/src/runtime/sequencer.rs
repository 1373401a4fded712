//! Moves staged audit events to the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::port::{AuditOutbox, AuditSink};

/// Moves every staged event to the sink, in order, and answers how many. At least once: an event is
/// forgotten only after the sink has it, and the sink knows events by id.
///
/// # Errors
/// Those of the outbox and the sink; what was not forgotten is delivered again.
pub async fn sequence(outbox: &dyn AuditOutbox, sink: &dyn AuditSink) -> Result<u64> {
    const BATCH: usize = 256;
    let mut moved = 0;
    loop {
        let events = outbox.staged(BATCH).await?;
        if events.is_empty() {
            return Ok(moved);
        }
        sink.append(&events).await?;
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        outbox.forget(&ids).await?;
        moved += events.len() as u64;
    }
}

/// Does so every `interval` until `stop` fires, and once more then.
pub async fn sequence_until(
    outbox: Arc<dyn AuditOutbox>,
    sink: Arc<dyn AuditSink>,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = sequence(outbox.as_ref(), sink.as_ref()).await {
            tracing::warn!(?error, "audit events wait: the ledger does not take them");
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}
