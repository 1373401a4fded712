//! Jobs, as their organization sees them.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::JobId;
use crate::model::{Job, NewJob};
use crate::port::{CancelOutcome, Enqueued};

/// Reads of jobs.
#[async_trait]
pub trait JobReads {
    /// One job, live or finished.
    async fn job(&mut self, id: JobId) -> Result<Job>;
}

/// Writes of jobs: they take part in the unit of work.
#[async_trait]
pub trait JobWrites {
    /// Enqueues jobs. Answers in order; see [`JobQueue::enqueue`](crate::port::JobQueue::enqueue).
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;

    /// Asks to stop a job, and ends its scan where it had not begun.
    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome>;
}
