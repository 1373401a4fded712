//! The end of a job and its scan.

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{EventDraft, JobStatus};
use trueno_core::port::{FinishOutcome, Finished, Lease};
use trueno_core::state::Refusal;

use crate::MemoryStore;
use crate::job_queue::created_any;

pub(super) fn finish(
    store: &MemoryStore,
    lease: &Lease,
    outcome: FinishOutcome,
    event: EventDraft,
) -> Result<Finished> {
    outcome.check()?;
    let reference = lease.reference();
    let (job, next) = store.with(|database, now| {
        let mut draft = database
            .draft(reference.organization)
            .map_err(|_| Error::stale_lease())?;
        let held = database.holds(&reference, now);
        let status = match draft.settle(&reference, &outcome.job, held, now) {
            Ok(status) => status,
            Err(Refusal::AlreadySettled) => return Ok((None, Vec::new())),
            Err(_) => return Err(Error::stale_lease()),
        };
        let ended = draft.end_scan_with(reference.job, status, &outcome, now)?;
        let mut next = Vec::new();
        if status == JobStatus::Succeeded {
            let runs_scan = draft.scans_by_job.contains(&reference.job);
            match (runs_scan, ended) {
                (true, None) => return Err(wrong("the job runs a scan; say how it ends")),
                (false, _) if outcome.scan.is_some() => {
                    return Err(wrong("the job runs no scan that could end"));
                }
                _ => {}
            }
            next = draft.enqueue(outcome.next, now)?;
            if let Some(result) = outcome.result {
                draft.keep_result(reference.job, result);
            }
        }
        let event = store.event(reference.organization, lease.scope().actor(), event, now)?;
        database.commit(draft, vec![event])?;
        Ok((Some(status), next))
    })?;
    let Some(job) = job else {
        return Ok(Finished::AlreadySettled);
    };
    if !job.is_terminal() || created_any(&next) {
        store.wake();
    }
    Ok(Finished::Applied { job, next })
}

fn wrong(problem: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("outcome of the scan: {problem}"),
    )
}
