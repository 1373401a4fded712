//! Jobs, as their organization sees them.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::Action;
use trueno_core::error::Result;
use trueno_core::id::JobId;
use trueno_core::model::{Job, NewJob};
use trueno_core::port::tenant_store::{JobFilter, JobReads, JobWrites};
use trueno_core::port::{CancelOutcome, Enqueued, Page, PageRequest};
use trueno_core::state::job::JobEvent;

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use crate::state::{Draft, JobRow};

impl Draft {
    fn list_jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
        List {
            name: "jobs".into(),
            rows: &self.jobs,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |id, row: &Arc<JobRow>| {
                let wanted = filter
                    .status
                    .is_none_or(|status| status == row.state.status)
                    && filter
                        .kind
                        .as_ref()
                        .is_none_or(|kind| *kind == row.spec.kind);
                wanted.then(|| self.job_of(*id, JobRow::clone(row)))
            },
        )
    }
}

#[async_trait]
impl JobReads for View {
    async fn job(&mut self, id: JobId) -> Result<Job> {
        self.look("read_view.job", |draft| draft.job(id))
    }

    async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
        self.look("read_view.jobs", |draft| draft.list_jobs(filter, page))
    }
}

#[async_trait]
impl JobReads for Unit {
    async fn job(&mut self, id: JobId) -> Result<Job> {
        self.step("unit_of_work.job", |draft| draft.job(id))
    }

    async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
        self.step("unit_of_work.jobs", |draft| draft.list_jobs(filter, page))
    }
}

#[async_trait]
impl JobWrites for Unit {
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let store = self.store.clone();
        self.write("unit_of_work.enqueue", |draft| {
            let (room, now) = store.with(|database, now| {
                let queue = &database.queue;
                let drafted = || draft.live_jobs_added();
                (
                    queue.require_room(draft.organization, drafted, jobs.len()),
                    now,
                )
            });
            room?;
            draft.enqueue(jobs, now)
        })
    }

    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome> {
        let now = self.store.now();
        // The unit's own event tells of it, and of the scan that ends with it.
        self.write_as(Action::Scan, "unit_of_work.cancel_job", |draft| {
            Ok(draft.cancel(job, now)?.0)
        })
    }

    async fn redrive_job(&mut self, job: JobId) -> Result<Job> {
        let now = self.store.now();
        self.write_as(Action::Scan, "unit_of_work.redrive_job", |draft| {
            draft.redrive(job, now)
        })
    }

    async fn discard_job(&mut self, job: JobId) -> Result<Job> {
        let now = self.store.now();
        self.write_as(Action::Scan, "unit_of_work.discard_job", |draft| {
            draft.step(job, JobEvent::Discarded, now)?;
            draft.job(job)
        })
    }
}
