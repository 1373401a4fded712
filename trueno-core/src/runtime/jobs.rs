//! What members do with jobs. Each function is one unit of work with its audit event.
//!
//! # Errors
//! All fail with [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for
//! [`Action::Scan`], and with [`NotFound`](crate::error::ErrorKind::NotFound) for a job that is not
//! there; otherwise with what the store's contract says.

use crate::access::{Action, OrgScope};
use crate::error::Result;
use crate::id::JobId;
use crate::model::{EventDraft, Job};
use crate::port::{CancelOutcome, TenantStore};

/// Asks to stop a job, and ends its scan where it had not begun. Where it had ended before, nothing
/// changes and nothing is recorded.
///
/// # Errors
/// See [the module](self).
pub async fn cancel(store: &dyn TenantStore, scope: &OrgScope, id: JobId) -> Result<CancelOutcome> {
    scope.require(Action::Scan)?;
    let mut work = store.begin(scope).await?;
    let outcome = work.cancel_job(id).await?;
    let action = match outcome {
        CancelOutcome::Cancelled => "job.cancelled",
        CancelOutcome::Requested => "job.cancel_requested",
        CancelOutcome::AlreadyFinished(_) => {
            work.rollback().await?;
            return Ok(outcome);
        }
    };
    work.commit(EventDraft::new(action, "job", id)).await?;
    Ok(outcome)
}

/// Lets a dead job begin anew, with all its attempts.
///
/// # Errors
/// See [the module](self).
pub async fn redrive(store: &dyn TenantStore, scope: &OrgScope, id: JobId) -> Result<Job> {
    scope.require(Action::Scan)?;
    let mut work = store.begin(scope).await?;
    let job = work.redrive_job(id).await?;
    work.commit(EventDraft::new("job.redriven", "job", id))
        .await?;
    Ok(job)
}

/// Gives a dead job up.
///
/// # Errors
/// See [the module](self).
pub async fn discard(store: &dyn TenantStore, scope: &OrgScope, id: JobId) -> Result<Job> {
    scope.require(Action::Scan)?;
    let mut work = store.begin(scope).await?;
    let job = work.discard_job(id).await?;
    work.commit(EventDraft::new("job.discarded", "job", id))
        .await?;
    Ok(job)
}
