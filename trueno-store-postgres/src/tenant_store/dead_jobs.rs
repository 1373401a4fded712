//! Dead letters: jobs that gave up, which a member lets begin anew or discards.

use sqlx::postgres::PgRow;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId};
use trueno_core::model::Job;
use trueno_core::state::job::{self, JobEvent, JobState};

use super::jobs::job as read;
use super::scans;
use crate::encode::RowExt as _;
use crate::error::{self, sqlstate};
use crate::transaction::Tx;

/// Lets a dead job begin anew.
pub(super) async fn redrive(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Job> {
    may_leave_its_end(tx, organization, id, JobEvent::Redriven).await?;
    if scans::of_job(tx, organization, id).await?.is_some() {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the job's scan ended with it: request another scan",
        ));
    }
    let query = tx.query("select redrive_job($1) as done");
    let row = query
        .bind(id.as_uuid())
        .fetch_one(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::UNIQUE_VIOLATION) => Error::new(
                ErrorKind::Conflict,
                "another live job has the job's dedupe key",
            ),
            _ => error::statement(source),
        })?;
    left_its_end(tx, organization, id, &row).await
}

/// Gives a dead job up.
pub(super) async fn discard(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Job> {
    may_leave_its_end(tx, organization, id, JobEvent::Discarded).await?;
    let query = tx.query("select discard_job($1) as done");
    let row = query
        .bind(id.as_uuid())
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    left_its_end(tx, organization, id, &row).await
}

/// Passes a job that the machine lets take this step; the statement that takes it looks once more.
async fn may_leave_its_end(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
    event: JobEvent,
) -> Result<()> {
    let job = read(tx, organization, id).await?;
    let state = JobState {
        status: job.status,
        token: None,
        failed_attempts: job.failed_attempts,
        max_attempts: job.max_attempts,
        lost_leases: job.lost_leases,
        cancel_requested: job.cancel_requested,
        run_at: job.run_at,
    };
    job::apply(&state, event, job.run_at)?;
    Ok(())
}

async fn left_its_end(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
    row: &PgRow,
) -> Result<Job> {
    if !row.flag("done")? {
        return Err(Error::new(
            ErrorKind::Conflict,
            "somebody else dealt with the job at the same time",
        ));
    }
    read(tx, organization, id).await
}
