//! Jobs, as their organization sees them.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::JobId;
use crate::model::{Job, JobKind, JobStatus, NewJob};
use crate::port::{CancelOutcome, Enqueued, Page, PageRequest};

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFilter {
    /// In this status only: [`JobStatus::Dead`] lists the dead letters.
    pub status: Option<JobStatus>,
    /// Of this kind only.
    pub kind: Option<JobKind>,
}

impl JobFilter {
    /// Jobs in one status.
    #[must_use]
    pub const fn with_status(mut self, status: JobStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Jobs of one kind.
    #[must_use]
    pub fn with_kind(mut self, kind: JobKind) -> Self {
        self.kind = Some(kind);
        self
    }
}

/// Reads of jobs.
#[async_trait]
pub trait JobReads {
    /// One job, live or finished.
    async fn job(&mut self, id: JobId) -> Result<Job>;

    /// Jobs, live and finished, oldest first (by id, which is time-ordered).
    async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>>;
}

/// Writes of jobs: they take part in the unit of work.
#[async_trait]
pub trait JobWrites {
    /// Enqueues jobs. Answers in order; see [`JobQueue::enqueue`](crate::port::JobQueue::enqueue).
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;

    /// Asks to stop a job, and ends its scan where it had not begun.
    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome>;

    /// Lets a dead job begin anew, with all its attempts. Fails with
    /// [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition) for a job that is not dead,
    /// and with [`Conflict`](crate::error::ErrorKind::Conflict) for one whose scan ended with it
    /// (request another), or while another live job has its dedupe key.
    async fn redrive_job(&mut self, job: JobId) -> Result<Job>;

    /// Gives a dead job up: it is cancelled, and keeps its errors. Fails with
    /// [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition) for a job that is not dead.
    async fn discard_job(&mut self, job: JobId) -> Result<Job>;
}
