//! The end of a job, and what ends or begins with it.

use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::ScanId;
use trueno_core::model::{EventDraft, JobStatus};
use trueno_core::port::tenant_store::scan_end;
use trueno_core::port::{FinishOutcome, Finished, JobOutcome, Lease, LeaseRef};
use trueno_core::state::Refusal;
use trueno_core::state::job;
use trueno_core::state::scan::ScanEvent;

use super::jobs::{self, Quota};
use super::{events, findings, scans};
use crate::context::{self, Ending};
use crate::store::PostgresStore;
use crate::transaction::Tx;

pub(super) async fn finish(
    store: &PostgresStore,
    lease: &Lease,
    outcome: FinishOutcome,
    event: EventDraft,
) -> Result<Finished> {
    events::check(&event)?;
    outcome.check()?;
    let reference = lease.reference();
    let mut tx = store.begin_processor().await?;
    let ending = async {
        let Ended::Now { status, .. } = end_attempt(&mut tx, reference, &outcome).await? else {
            return Ok(Finished::AlreadySettled);
        };
        let next = if status == JobStatus::Succeeded {
            jobs::enqueue(&mut tx, outcome.next, Quota::Waived).await?
        } else {
            Vec::new()
        };
        let actor = lease.scope().actor();
        events::stage(&mut tx, store.ids(), reference.organization, actor, event).await?;
        Ok(Finished::Applied { job: status, next })
    };
    let finished = match ending.await {
        Ok(finished) => finished,
        Err(error) => return Err(tx.fail(error).await),
    };
    let Finished::Applied { job, next } = &finished else {
        tx.rollback().await?;
        return Ok(finished);
    };
    tx.commit().await?;
    if !next.is_empty() || !job.is_terminal() {
        store.wake();
    }
    Ok(finished)
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
    let end = jobs::End {
        error: match &outcome.job {
            JobOutcome::Failed { error, .. } => Some(error.as_str()),
            _ => None,
        },
        result: outcome.result.as_ref(),
    };
    jobs::release(tx, lease.organization, lease.job, &to, end).await?;
    let scan = end_scan(tx, lease, to.status, outcome).await?;
    Ok(Ended::Now {
        status: to.status,
        scan,
    })
}

async fn end_scan(
    tx: &mut Tx,
    lease: LeaseRef,
    job: JobStatus,
    outcome: &FinishOutcome,
) -> Result<Option<(ScanId, ScanEvent)>> {
    let event = scan_end(job, outcome);
    if event.is_none() && job != JobStatus::Succeeded {
        return Ok(None);
    }
    let scan = scans::of_job(tx, lease.organization, lease.job).await?;
    match (scan, event) {
        (Some(scan), Some(event)) => {
            let ended = scans::apply(tx, lease.organization, scan, &event, None).await?;
            findings::fold_counts(tx, ended.account).await?;
            Ok(Some((scan, event)))
        }
        // Nothing would ever end the scan.
        (Some(_), None) => Err(wrong("the job runs a scan; say how it ends")),
        (None, Some(_)) if job == JobStatus::Succeeded => {
            Err(wrong("the job runs no scan that could end"))
        }
        (None, _) => Ok(None),
    }
}

fn wrong(problem: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("outcome of the scan: {problem}"),
    )
    .with_applied(Applied::No)
}
