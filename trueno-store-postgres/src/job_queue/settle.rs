//! Settling jobs whose handlers have no effects in the store.

use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{Actor, EventDraft, JobStatus};
use trueno_core::port::{FinishOutcome, SettleOutcome, Settlement};

use crate::store::PostgresStore;
use crate::tenant_store::{Ended, end_attempt, events};

/// Job by job, each in its own transaction. An error leaves those before it settled: asked again,
/// they answer that they are.
pub(super) async fn settle(
    store: &PostgresStore,
    settlements: Vec<Settlement>,
) -> Result<Vec<SettleOutcome>> {
    let mut outcomes = Vec::with_capacity(settlements.len());
    let mut waiting_again = false;
    for settlement in settlements {
        let outcome = match settle_one(store, settlement).await {
            Err(error) if error.kind() == ErrorKind::StaleLease => SettleOutcome::Stale,
            other => other?,
        };
        waiting_again |= matches!(outcome, SettleOutcome::Settled(status) if !status.is_terminal());
        outcomes.push(outcome);
    }
    if waiting_again {
        store.wake();
    }
    Ok(outcomes)
}

async fn settle_one(store: &PostgresStore, settlement: Settlement) -> Result<SettleOutcome> {
    let lease = settlement.lease;
    let mut tx = store.begin_processor().await?;
    let outcome = FinishOutcome::new(settlement.outcome);
    let Ended::Now { status, scan } = end_attempt(&mut tx, lease, &outcome).await? else {
        tx.rollback().await?;
        return Ok(SettleOutcome::AlreadySettled);
    };
    // A scan whose job ends here ends with it, and its organization is told (P2).
    if let Some((scan, _)) = scan {
        let action = if status == JobStatus::Dead {
            "job.dead"
        } else {
            "job.cancelled"
        };
        let event = EventDraft::new(action, "job", lease.job).with_target("scan", scan);
        let actor = Actor::Processor { job: lease.job };
        events::stage(&mut tx, store.ids(), lease.organization, actor, event).await?;
    }
    tx.commit().await?;
    Ok(SettleOutcome::Settled(status))
}
