//! What an organization does with its jobs.

use sqlx::postgres::PgRow;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::JobId;
use trueno_core::model::{EventDraft, Job, JobStatus, NewJob};
use trueno_core::port::{CancelOutcome, Enqueued, WaitReason};

use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;
use crate::tenant_store::events;
use crate::tenant_store::jobs::{self, Quota};
use crate::transaction::Mode;

pub(super) async fn enqueue(
    store: &PostgresStore,
    scope: &OrgScope,
    jobs: Vec<NewJob>,
) -> Result<Vec<Enqueued>> {
    scope.require_write()?;
    let mut tx = store.enter(scope, Mode::Write).await?;
    let enqueued = jobs::enqueue(&mut tx, jobs, Quota::Held).await?;
    tx.commit().await?;
    store.wake();
    Ok(enqueued)
}

pub(super) async fn cancel(
    store: &PostgresStore,
    scope: &OrgScope,
    job: JobId,
) -> Result<CancelOutcome> {
    scope.require_write()?;
    let mut tx = store.enter(scope, Mode::Write).await?;
    let cancelled = jobs::cancel(&mut tx, scope.organization(), job).await?;
    if let Some(scan) = cancelled.scan {
        let event = EventDraft::new("job.cancelled", "job", job).with_target("scan", scan);
        events::stage(
            &mut tx,
            store.ids(),
            scope.organization(),
            scope.actor(),
            event,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(cancelled.outcome)
}

pub(super) async fn why_waiting(
    store: &PostgresStore,
    scope: &OrgScope,
    id: JobId,
) -> Result<WaitReason> {
    let mut tx = store.enter(scope, Mode::Snapshot).await?;
    let job = jobs::job(&mut tx, scope.organization(), id).await?;
    let query = tx.query(
        "select clock_timestamp() as now, w.is_paused, w.has_worker, w.max_running, w.running,
            w.key_running
         from (select) one left join queue_waits($1) w on true",
    );
    let row = query
        .bind(id.as_uuid())
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let now = row.time("now")?;
    let waits = match job.status {
        JobStatus::Queued | JobStatus::Failed if job.run_at <= now => waits(&row, &job)?,
        JobStatus::Queued => WaitReason::Scheduled { run_at: job.run_at },
        JobStatus::Failed => WaitReason::Backoff {
            run_at: job.run_at,
            last_error: job.last_error().map(str::to_owned),
        },
        status => WaitReason::NotWaiting { status },
    };
    tx.rollback().await?;
    Ok(waits)
}

/// What a job waits for that could begin.
fn waits(row: &PgRow, job: &Job) -> Result<WaitReason> {
    let running: u32 = row.count("running")?;
    let key_running: u32 = row.count("key_running")?;
    Ok(match (row.count_opt("max_running")?, &job.concurrency) {
        _ if row.flag("is_paused")? => WaitReason::Paused,
        _ if !row.flag("has_worker")? => WaitReason::NoWorker,
        (Some(max_running), _) if running >= max_running => {
            WaitReason::OrganizationLimit { max_running }
        }
        (_, Some(concurrency)) if key_running >= concurrency.limit() => {
            WaitReason::ConcurrencyLimit {
                concurrency: concurrency.clone(),
            }
        }
        _ => WaitReason::Due,
    })
}
