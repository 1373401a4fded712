//! Settling jobs whose handlers have no effects in the store.

use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::model::{Actor, EventDraft, JobStatus};
use trueno_core::port::{FinishOutcome, JobOutcome, LeaseRef, SettleOutcome, Settlement};

use crate::context;
use crate::store::PostgresStore;
use crate::tenant_store::{Ended, end_attempt, events, scans};

/// Job by job, each in its own transaction. An error leaves those before it settled: asked again,
/// they answer that they are.
pub(super) async fn settle(
    store: &PostgresStore,
    settlements: Vec<Settlement>,
) -> Result<Vec<SettleOutcome>> {
    settlements
        .iter()
        .try_for_each(|settlement| settlement.outcome.check())?;
    refuse_to_strand_scans(store, &settlements).await?;
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

/// A job that runs a scan has effects in the store: its success is told to `finish`, which ends the
/// scan with it. Asked for every settlement before the first is applied, so that the refusal is of
/// the whole batch. It holds afterwards: a scan and its job are enqueued together.
async fn refuse_to_strand_scans(store: &PostgresStore, settlements: &[Settlement]) -> Result<()> {
    for settlement in settlements {
        if settlement.outcome == JobOutcome::Succeeded && runs_scan(store, settlement.lease).await?
        {
            let problem =
                "its success is reported through TenantStore::finish, with the scan's end";
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("job {} runs a scan: {problem}", settlement.lease.job),
            )
            .with_applied(Applied::No));
        }
    }
    Ok(())
}

/// Whether a job that the lease holds runs a scan.
async fn runs_scan(store: &PostgresStore, lease: LeaseRef) -> Result<bool> {
    let mut tx = store.begin_processor().await?;
    let scan = match context::enter_lease_to_read(&mut tx, lease).await {
        Ok(()) => scans::of_job(&mut tx, lease.organization, lease.job).await?,
        // What is not held is not settled either.
        Err(error) if error.kind() == ErrorKind::StaleLease => None,
        Err(error) => return Err(error),
    };
    tx.rollback().await?;
    Ok(scan.is_some())
}

async fn settle_one(store: &PostgresStore, settlement: Settlement) -> Result<SettleOutcome> {
    let lease = settlement.lease;
    let mut tx = store.begin_processor().await?;
    let outcome = FinishOutcome::new(settlement.outcome);
    let (status, scan) = match end_attempt(&mut tx, lease, &outcome).await {
        Ok(Ended::Now { status, scan }) => (status, scan),
        Ok(Ended::Before) => {
            tx.rollback().await?;
            return Ok(SettleOutcome::AlreadySettled);
        }
        Err(error) => return Err(tx.fail(error).await),
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
