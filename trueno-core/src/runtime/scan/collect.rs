//! First half of a scan: reads tasks page by page into the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Coverage, CoverageStatus, Resource, ScanProgress};
use crate::port::{ScanPage, ScanPlan, ScanSession, ScanTask, TaskPlan};
use crate::runtime::JobContext;

/// What all tasks of a scan have done together.
#[derive(Debug)]
pub(super) struct Totals {
    tasks: u64,
    tasks_done: AtomicU64,
    resources: AtomicU64,
}

impl Totals {
    pub(super) fn new(plan: &ScanPlan) -> Self {
        let settled = plan
            .tasks
            .iter()
            .filter(|task| matches!(task, TaskPlan::Settled(..)));
        Self {
            tasks: plan.tasks.len() as u64,
            tasks_done: AtomicU64::new(settled.count() as u64),
            resources: AtomicU64::new(0),
        }
    }

    fn progress(&self) -> ScanProgress {
        ScanProgress {
            tasks: self.tasks,
            tasks_done: self.tasks_done.load(Ordering::Relaxed),
            resources: self.resources.load(Ordering::Relaxed),
        }
    }
}

/// Reads tasks through one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collector<'a> {
    pub(super) context: &'a JobContext,
    pub(super) session: &'a dyn ScanSession,
    pub(super) deadline: Duration,
    pub(super) totals: &'a Totals,
}

impl Collector<'_> {
    /// Reads one task to its end, whatever that is: what cannot be read becomes coverage. An error
    /// means that the scan cannot go on (the store refused a write, or the job should stop).
    pub(super) async fn read(&self, task: &ScanTask, before: Option<Coverage>) -> Result<()> {
        let resumable = before.filter(|coverage| {
            coverage.status == CoverageStatus::Complete
                || (coverage.status == CoverageStatus::Reading && coverage.checkpoint.is_some())
        });
        let mut coverage = resumable.unwrap_or_else(|| Coverage::begin(task.key.clone()));
        self.totals
            .resources
            .fetch_add(coverage.resources, Ordering::Relaxed);
        if coverage.status == CoverageStatus::Complete {
            self.totals.tasks_done.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let deadline = Instant::now() + self.deadline;
        let mut resumed = coverage.checkpoint.is_some();
        loop {
            match self.pages(task, &mut coverage, deadline).await? {
                None => return Ok(()),
                // The provider forgot where we were: what was written stays, and is read again.
                Some(error) if resumed && error.kind() == ErrorKind::InvalidInput => {
                    resumed = false;
                    self.totals
                        .resources
                        .fetch_sub(coverage.resources, Ordering::Relaxed);
                    coverage = Coverage {
                        requests: coverage.requests,
                        ..Coverage::begin(task.key.clone())
                    };
                }
                Some(error) => {
                    tracing::warn!(
                        task = %task.key.kind,
                        region = %task.key.region,
                        ?error,
                        "a task could not be read to its end"
                    );
                    coverage.status = CoverageStatus::from_error(error.kind());
                    coverage.error_code = Some(
                        error
                            .code()
                            .map_or(error.kind().code(), |code| code)
                            .to_owned(),
                    );
                    coverage.checkpoint = None;
                    self.totals.tasks_done.fetch_add(1, Ordering::Relaxed);
                    return self.write(Vec::new(), &coverage).await;
                }
            }
        }
    }

    /// Reads pages from the coverage's checkpoint on. `None` once the last one is written, or the
    /// error that the provider ended it with.
    async fn pages(
        &self,
        task: &ScanTask,
        coverage: &mut Coverage,
        deadline: Instant,
    ) -> Result<Option<Error>> {
        let opened = self.session.scan(task, coverage.checkpoint.clone());
        let mut stream = match self.within(deadline, opened).await? {
            Ok(stream) => stream,
            Err(error) => return Ok(Some(error)),
        };
        loop {
            let next = async { Ok(stream.next().await) };
            let page = match self.within(deadline, next).await? {
                Ok(Some(Ok(page))) => page,
                Ok(Some(Err(failed))) => {
                    coverage.requests += failed.requests;
                    return Ok(Some(failed.error));
                }
                Ok(None) => return Ok(Some(ended_early())),
                Err(error) => return Ok(Some(error)),
            };
            let last = page.checkpoint.is_none();
            let ScanPage {
                resources,
                requests,
                checkpoint,
            } = page;
            coverage.pages += 1;
            coverage.requests += requests;
            coverage.resources += resources.len() as u64;
            coverage.checkpoint = checkpoint;
            self.totals
                .resources
                .fetch_add(resources.len() as u64, Ordering::Relaxed);
            if last {
                coverage.status = CoverageStatus::Complete;
                self.totals.tasks_done.fetch_add(1, Ordering::Relaxed);
            }
            self.write(resources, coverage).await?;
            if last {
                return Ok(None);
            }
        }
    }

    /// Waits for the provider, no longer than to the deadline, and gives up when the job should
    /// stop: the outer error ends the scan, the inner one the task.
    async fn within<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T>>,
    ) -> Result<Result<T>> {
        self.context
            .unless_stopped(async {
                Ok(tokio::time::timeout_at(deadline, work)
                    .await
                    .unwrap_or_else(|_| {
                        Err(Error::new(
                            ErrorKind::Timeout,
                            "the task took longer than its deadline",
                        )
                        .with_code("TaskDeadlineExceeded"))
                    }))
            })
            .await
    }

    /// Says how far the scan is once every task has ended: while they run side by side, the last
    /// to write is not always the last to have counted.
    pub(super) async fn write_progress(&self) -> Result<()> {
        let mut batch = self.context.store.ingest(&self.context.lease).await?;
        batch.set_progress(self.totals.progress()).await?;
        batch.commit().await
    }

    async fn write(&self, resources: Vec<Resource>, coverage: &Coverage) -> Result<()> {
        let mut batch = self.context.store.ingest(&self.context.lease).await?;
        if !resources.is_empty() {
            batch.put_resources(resources).await?;
        }
        batch.put_coverage(vec![coverage.clone()]).await?;
        batch.set_progress(self.totals.progress()).await?;
        batch.commit().await
    }
}

fn ended_early() -> Error {
    Error::new(ErrorKind::Corrupt, "the pages ended before the last one").with_code("EndedEarly")
}
