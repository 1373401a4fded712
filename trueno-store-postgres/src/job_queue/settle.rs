//! Settling jobs whose handlers have no effects in the store.

use std::collections::BTreeMap;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::WorkerSessionId;
use trueno_core::model::{Actor, EventDraft, JobStatus};
use trueno_core::port::{FinishOutcome, JobOutcome, LeaseRef, SettleOutcome, Settlement};

use uuid::Uuid;

use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;
use crate::tenant_store::{Ended, end_attempt, events};
use crate::transaction::Tx;

/// Successes together, in one transaction for each session, and the others job by job. An error leaves
/// those before it settled: asked again, they answer that they are.
pub(super) async fn settle(
    store: &PostgresStore,
    settlements: Vec<Settlement>,
) -> Result<Vec<SettleOutcome>> {
    settlements
        .iter()
        .try_for_each(|settlement| settlement.outcome.check())?;
    let mut outcomes = vec![SettleOutcome::Stale; settlements.len()];
    let mut succeeded: BTreeMap<WorkerSessionId, Vec<usize>> = BTreeMap::new();
    let mut others = Vec::new();
    for (nth, settlement) in settlements.iter().enumerate() {
        if settlement.outcome == JobOutcome::Succeeded {
            let of_session = succeeded.entry(settlement.lease.session).or_default();
            of_session.push(nth);
        } else {
            others.push(nth);
        }
    }
    // First, since they may be refused, and the refusal is of the whole batch: so are all of them in
    // one transaction.
    if !succeeded.is_empty() {
        let mut tx = store.begin_processor().await?;
        for (session, nths) in succeeded {
            let leases: Vec<LeaseRef> = nths.iter().map(|nth| settlements[*nth].lease).collect();
            let settled = match settle_succeeded(&mut tx, session, &leases).await {
                Ok(settled) => settled,
                Err(error) => return Err(tx.fail(error).await),
            };
            for (nth, outcome) in nths.into_iter().zip(settled) {
                outcomes[nth] = outcome;
            }
        }
        tx.commit().await?;
    }
    let mut waiting_again = false;
    for nth in others {
        let outcome = match settle_one(store, settlements[nth].clone()).await {
            Err(error) if error.kind() == ErrorKind::StaleLease => SettleOutcome::Stale,
            other => other?,
        };
        waiting_again |= matches!(outcome, SettleOutcome::Settled(status) if !status.is_terminal());
        outcomes[nth] = outcome;
    }
    if waiting_again {
        store.wake();
    }
    Ok(outcomes)
}

async fn settle_succeeded(
    tx: &mut Tx,
    session: WorkerSessionId,
    leases: &[LeaseRef],
) -> Result<Vec<SettleOutcome>> {
    fn column(leases: &[LeaseRef], of: impl Fn(&LeaseRef) -> Uuid) -> Vec<Uuid> {
        leases.iter().map(of).collect()
    }
    let query = tx.query("select outcome from settle_succeeded($1, $2, $3, $4)");
    let rows = query
        .bind(session.as_uuid())
        .bind(column(leases, |lease| lease.organization.as_uuid()))
        .bind(column(leases, |lease| lease.job.as_uuid()))
        .bind(column(leases, |lease| lease.token.as_uuid()))
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    rows.iter()
        .map(|row| match row.text("outcome")?.as_str() {
            "settled" => Ok(SettleOutcome::Settled(JobStatus::Succeeded)),
            "already_settled" => Ok(SettleOutcome::AlreadySettled),
            _ => Ok(SettleOutcome::Stale),
        })
        .collect()
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
