//! The handler of scan jobs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;

use super::collect::{Collector, Totals};
use super::evaluate::evaluate;
use super::request::{JOB_KIND, ScanPayload};
use crate::check::{CoverageMap, Engine};
use crate::clock::SharedClock;
use crate::error::{Error, ErrorKind, Result, RetryAdvice};
use crate::model::{CloudAccount, Coverage, EventDraft, JobKind, Provider, Scan, TaskKey};
use crate::port::{CloudScanner, Lease, ScanPlan, ScanTarget, TaskPlan, TenantStore};
use crate::runtime::{Completion, JobContext, JobHandler};
use crate::state::cloud_account::may_scan;
use crate::state::scan::ScanEvent;

/// How scans run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScanConfig {
    /// Tasks (a kind of resource in a region) at the same time: 8 by default.
    pub concurrency: usize,
    /// How long one task may take: 10 min by default. Past it the task is reported as unreachable.
    pub task_deadline: Duration,
    /// How long after its start a scan that was interrupted goes on where it stopped: 1 h by
    /// default. Later it fails, and a new one begins from the start.
    pub resume_within: Duration,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self {
            concurrency: 8,
            task_deadline: Duration::from_secs(600),
            resume_within: Duration::from_secs(3_600),
        }
    }
}

impl ScanConfig {
    /// So many tasks at the same time.
    #[must_use]
    pub const fn with_concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = tasks;
        self
    }

    /// So long for one task.
    #[must_use]
    pub const fn with_task_deadline(mut self, deadline: Duration) -> Self {
        self.task_deadline = deadline;
        self
    }

    /// Goes on with a scan that began up to this long ago.
    #[must_use]
    pub const fn with_resume_within(mut self, age: Duration) -> Self {
        self.resume_within = age;
        self
    }
}

/// Runs scans: reads the account page by page, then looks at what it read.
///
/// Every page is written through the lease before the next one is asked for, with a checkpoint, so
/// that a second attempt goes on where the first one stopped. Nothing holds a whole account.
#[derive(Clone)]
pub struct ScanHandler {
    scanners: HashMap<Provider, Arc<dyn CloudScanner>>,
    engine: Arc<Engine>,
    clock: SharedClock,
    config: ScanConfig,
    kind: JobKind,
}

impl fmt::Debug for ScanHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanHandler")
            .field("scanners", &self.scanners)
            .field("engine", &self.engine)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl ScanHandler {
    /// A handler over these scanners, one a provider. `clock` is what the checks count ages to.
    #[must_use]
    pub fn new(
        scanners: Vec<Arc<dyn CloudScanner>>,
        engine: Arc<Engine>,
        clock: SharedClock,
        config: ScanConfig,
    ) -> Self {
        let scanners = scanners.into_iter().map(|s| (s.provider(), s)).collect();
        Self {
            scanners,
            engine,
            clock,
            config,
            kind: JOB_KIND,
        }
    }

    /// Takes jobs of this kind instead of [`JOB_KIND`].
    #[must_use]
    pub fn with_kind(mut self, kind: JobKind) -> Self {
        self.kind = kind;
        self
    }

    /// Passes unless the scan began so long ago that what an earlier attempt read is out of date: a
    /// result is one look, not two with days between them (P8). Both times are the store's.
    fn still_one_look(&self, lease: &Lease, scan: &Scan) -> Result<()> {
        let Some(started) = scan.started_at else {
            return Ok(());
        };
        let age = lease.claim().expires_at.duration_since(started);
        if age.unsigned_abs() <= self.config.resume_within {
            return Ok(());
        }
        let message =
            "the scan was interrupted, and what it read is out of date; request a new one";
        Err(Error::new(ErrorKind::Conflict, message).with_retry(RetryAdvice::Never))
    }

    async fn collect(
        &self,
        context: &JobContext,
        scanner: &dyn CloudScanner,
        account: &CloudAccount,
        before: Vec<Coverage>,
    ) -> Result<Vec<Coverage>> {
        let target = ScanTarget::new(account.clone());
        let plan = context.unless_stopped(scanner.plan(&target)).await?;
        if plan.tasks.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the plan of the scan has no task",
            ));
        }
        let before: HashMap<TaskKey, Coverage> = before
            .into_iter()
            .map(|coverage| (coverage.task.clone(), coverage))
            .collect();
        start(context, &plan).await?;
        let session = context.unless_stopped(scanner.open(&target, &plan)).await?;
        let totals = Totals::new(&plan);
        let collector = Collector {
            context,
            session: session.as_ref(),
            deadline: self.config.task_deadline,
            totals: &totals,
        };
        let mut tasks = Vec::new();
        for task in &plan.tasks {
            if let TaskPlan::Read(task) = task {
                tasks.push(collector.read(task, before.get(&task.key).cloned()));
            }
        }
        let mut running =
            futures::stream::iter(tasks).buffer_unordered(self.config.concurrency.max(1));
        // The first refused write (a lost lease) drops the tasks that are still being read.
        while let Some(done) = running.next().await {
            done?;
        }
        drop(running);
        collector.write_progress().await?;
        let mut view = context.store.read(context.lease.scope()).await?;
        view.coverage(scan_of(&context.lease)?).await
    }
}

#[async_trait]
impl JobHandler for ScanHandler {
    fn kind(&self) -> JobKind {
        self.kind.clone()
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let (scan, account, before) = load(context.store.as_ref(), &context.lease).await?;
        if !may_scan(account.status) {
            let message = format!("the account is {} and is not scanned", account.status);
            return Err(Error::new(ErrorKind::InvalidTransition, message));
        }
        let scanner = self.scanners.get(&account.provider).ok_or_else(|| {
            let message = format!("this processor scans no {} accounts", account.provider);
            Error::new(ErrorKind::Unsupported, message)
        })?;
        self.still_one_look(&context.lease, &scan)?;
        let coverage = self
            .collect(context, scanner.as_ref(), &account, before)
            .await?;
        something_was_read(&coverage)?;
        context.proceed()?;
        let map = CoverageMap::new(&coverage);
        let now = self.clock.now();
        let summary = evaluate(context, &self.engine, &account, &scan, &map, now).await?;
        let coverage_complete = coverage
            .iter()
            .all(|coverage| coverage.status.is_complete());
        let event = EventDraft::new("scan.completed", "scan", scan.id)
            .with_target("cloud_account", account.id)
            .with_detail("coverage_complete", coverage_complete)
            .with_detail("resources", summary.resources)
            .with_detail("resources_sha256", summary.digest)
            .with_detail("findings", summary.findings)
            .with_detail("undetermined", summary.undetermined)
            .with_detail("resolved", summary.resolved);
        Ok(Completion::new(event).with_scan(ScanEvent::Completed { coverage_complete }))
    }
}

fn scan_of(lease: &Lease) -> Result<crate::id::ScanId> {
    ScanPayload::parse(&lease.claim().payload).map(|payload| payload.scan)
}

async fn load(
    store: &dyn TenantStore,
    lease: &Lease,
) -> Result<(Scan, CloudAccount, Vec<Coverage>)> {
    let mut view = store.read(lease.scope()).await?;
    let scan = view.scan(scan_of(lease)?).await?;
    let account = view.account(scan.account).await?;
    let coverage = view.coverage(scan.id).await?;
    Ok((scan, account, coverage))
}

/// Says that the scan runs, and what of its plan needs no look.
async fn start(context: &JobContext, plan: &ScanPlan) -> Result<()> {
    let settled: Vec<Coverage> = plan
        .tasks
        .iter()
        .filter_map(|task| match task {
            TaskPlan::Settled(key, status) => Some(Coverage {
                status: *status,
                ..Coverage::begin(key.clone())
            }),
            TaskPlan::Read(_) => None,
        })
        .collect();
    let mut batch = context.store.ingest(&context.lease).await?;
    batch.start_scan(plan.tasks.len() as u64).await?;
    batch.put_coverage(settled).await?;
    batch.commit().await
}

/// A scan that could read nothing at all failed; it has no partial result to show.
fn something_was_read(coverage: &[Coverage]) -> Result<()> {
    use crate::model::CoverageStatus as S;
    if coverage
        .iter()
        .any(|coverage| coverage.status == S::Complete)
    {
        return Ok(());
    }
    let Some(first) = coverage
        .iter()
        .find(|coverage| !coverage.status.is_complete())
    else {
        // Every region that was asked for is known to be off: that is a complete look at nothing.
        return Ok(());
    };
    let kind = match first.status {
        S::Denied => ErrorKind::Denied,
        S::Throttled => ErrorKind::Throttled,
        S::Unreachable => ErrorKind::Unavailable,
        _ => ErrorKind::Corrupt,
    };
    let code = first.error_code.as_deref().unwrap_or("no code");
    let message = format!(
        "nothing could be read: {} in {} was {} ({code}), and so were the others",
        first.task.kind, first.task.region, first.status
    );
    Err(Error::new(kind, message).with_code(code))
}
