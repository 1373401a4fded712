//! The end of a job, and what ends or begins with it.

use trueno_core::error::{Error, Result};
use trueno_core::id::ScanId;
use trueno_core::model::{EventDraft, JobStatus};
use trueno_core::port::tenant_store::scan_end;
use trueno_core::port::{FinishOutcome, Finished, JobOutcome, Lease, LeaseRef};
use trueno_core::state::Refusal;
use trueno_core::state::job;
use trueno_core::state::scan::ScanEvent;

use super::{events, jobs, scans};
use crate::context::{self, Ending};
use crate::pool::Tx;
use crate::store::PostgresStore;

pub(super) async fn finish(
    store: &PostgresStore,
    lease: &Lease,
    outcome: FinishOutcome,
    event: EventDraft,
) -> Result<Finished> {
    events::check(&event)?;
    let reference = lease.reference();
    let mut tx = store.begin_processor().await?;
    let Ended::Now { status, .. } = end_attempt(&mut tx, reference, &outcome).await? else {
        tx.rollback().await?;
        return Ok(Finished::AlreadySettled);
    };
    let next = if status == JobStatus::Succeeded {
        jobs::enqueue(&mut tx, outcome.next).await?
    } else {
        Vec::new()
    };
    let actor = lease.scope().actor();
    events::stage(&mut tx, store.ids(), reference.organization, actor, event).await?;
    tx.commit().await?;
    if !next.is_empty() || !status.is_terminal() {
        store.wake();
    }
    Ok(Finished::Applied { job: status, next })
}

/// What ending an attempt did.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It ended now.
    Now {
        /// The job's status.
        status: JobStatus,
        /// The scan that ended with it, and how.
        scan: Option<(ScanId, ScanEvent)>,
    },
    /// The same lease ended it before.
    Before,
}

/// Enters a lease, applies the outcome to its job, and ends the scan by the one rule for it. Shared
/// by `finish` and `settle`.
pub(crate) async fn end_attempt(
    tx: &mut Tx,
    lease: LeaseRef,
    outcome: &FinishOutcome,
) -> Result<Ended> {
    if context::enter_lease_to_finish(tx, lease).await? == Ending::Settled {
        return Ok(Ended::Before);
    }
    let held = jobs::held(tx, lease.organization, lease.job).await?;
    let to = match job::apply(&held.state, outcome.job.event(&lease), held.now) {
        Ok(transition) => transition.to,
        Err(refused) if refused.refusal == Refusal::AlreadySettled => return Ok(Ended::Before),
        Err(refused) => return Err(refused.into()),
    };
    let last_error = match &outcome.job {
        JobOutcome::Failed { error, .. } => Some(error.as_str()),
        _ => None,
    };
    jobs::release(tx, lease.organization, lease.job, &to, last_error).await?;
    let scan = match scan_end(to.status, outcome) {
        Some(event) => end_scan(tx, lease, to.status, event).await?,
        None => None,
    };
    Ok(Ended::Now {
        status: to.status,
        scan,
    })
}

async fn end_scan(
    tx: &mut Tx,
    lease: LeaseRef,
    job: JobStatus,
    event: ScanEvent,
) -> Result<Option<(ScanId, ScanEvent)>> {
    let Some(scan) = scans::of_job(tx, lease.organization, lease.job).await? else {
        // A success that completes a scan names one; other ends concern whatever scan there is.
        return if job == JobStatus::Succeeded {
            Err(Error::not_found("scan"))
        } else {
            Ok(None)
        };
    };
    scans::apply(tx, lease.organization, scan, &event, None).await?;
    Ok(Some((scan, event)))
}
