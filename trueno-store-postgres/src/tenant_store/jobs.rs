//! Jobs, as their organization sees and changes them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Row as _};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId, ScanId};
use trueno_core::model::{Concurrency, Dedupe, Job, JobKind, JobStatus, NewJob};
use trueno_core::port::tenant_store::{JobReads, JobWrites};
use trueno_core::port::{CancelOutcome, Enqueued, JobFilter, Page, PageRequest};
use trueno_core::retry::Backoff;
use trueno_core::state::job::{self, JobEvent, JobState};
use trueno_core::state::scan::ScanEvent;
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{dead_jobs, organizations, paging, scans, view};
use crate::encode::RowExt as _;
use crate::error::{self, sqlstate};
use crate::pool::moment;
use crate::transaction::Tx;

const LIST: &str = "jobs";

view::reads! {
    JobReads {
        fn job(id: JobId) -> Job;
        fn jobs(filter: &JobFilter, page: &PageRequest) -> Page<Job>;
    } for view and unit
}

#[async_trait]
impl JobWrites for PgUnitOfWork {
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let enqueued: Vec<Enqueued> =
            step!(self, enqueue, tx => enqueue(&mut tx, jobs, Quota::Held))?;
        self.created
            .extend(enqueued.iter().filter_map(|answer| match answer {
                Enqueued::Created(job) => Some(*job),
                Enqueued::Duplicate(_) => None,
            }));
        Ok(enqueued)
    }

    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome> {
        let cancelled: Result<Cancelled> =
            step!(self, cancel_job for Scan, tx => cancel(&mut tx, self.organization(), job));
        Ok(cancelled?.outcome)
    }

    async fn redrive_job(&mut self, job: JobId) -> Result<Job> {
        let redriven = step!(self, redrive_job for Scan, tx => dead_jobs::redrive(&mut tx, self.organization(), job))?;
        self.created.insert(job);
        Ok(redriven)
    }

    async fn discard_job(&mut self, job: JobId) -> Result<Job> {
        step!(self, discard_job for Scan, tx => dead_jobs::discard(&mut tx, self.organization(), job))
    }
}

/// What [`decode`] reads of live jobs.
macro_rules! live {
    () => {
        "select organization_id, id, kind, status, failed_attempts, max_attempts, lost_leases,
            cancel_requested, run_at, created_at, null::timestamptz as finished_at, errors,
            null::jsonb as result, priority, concurrency_key, concurrency_limit, correlation_id
         from job where organization_id = "
    };
}

/// And of finished ones.
macro_rules! finished {
    () => {
        "select organization_id, id, kind, status, failed_attempts, max_attempts, lost_leases,
            cancel_requested, run_at, created_at, finished_at, errors, result, priority,
            concurrency_key, concurrency_limit, correlation_id
         from job_history where organization_id = "
    };
}

/// One job, live or finished.
pub(crate) async fn job(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Job> {
    let query = tx.query(concat!(
        live!(),
        "$1 and id = $2 union all ",
        finished!(),
        "$1 and id = $2"
    ));
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(not_found)?;
    decode(&row)
}

async fn jobs(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &JobFilter,
    page: &PageRequest,
) -> Result<Page<Job>> {
    let after = paging::after::<Uuid>(LIST, page)?;
    let parts: &[&str] = match filter.status {
        None => &[live!(), finished!()],
        Some(status) if status.is_terminal() => &[finished!()],
        Some(_) => &[live!()],
    };
    let mut query = QueryBuilder::new("select * from (");
    // Each part is cut by itself, so that each is read in its index's order.
    for (nth, part) in parts.iter().enumerate() {
        query.push(if nth == 0 { "(" } else { ") union all (" });
        query.push(*part).push_bind(organization.as_uuid());
        if let Some(id) = after {
            query.push(" and id > ").push_bind(id);
        }
        if let Some(status) = filter.status {
            // Not bound: the dead have an index of their own.
            query
                .push(" and status = '")
                .push(status.as_str())
                .push("'");
        }
        if let Some(kind) = &filter.kind {
            query.push(" and kind = ").push_bind(kind.as_str());
        }
        let rows = i64::try_from(paging::rows(page)).unwrap_or(i64::MAX);
        query.push(" order by id limit ").push_bind(rows);
    }
    query.push(")) j order by id");
    paging::fetch(tx, LIST, query, page, decode, |row| row.id::<Uuid>("id")).await
}

fn decode(row: &PgRow) -> Result<Job> {
    let Json(errors) = row.try_get("errors").map_err(error::statement)?;
    let result: Option<Json<_>> = row.try_get("result").map_err(error::statement)?;
    Ok(Job {
        id: row.id("id")?,
        organization: row.id("organization_id")?,
        kind: row.parsed("kind")?,
        status: row.parsed("status")?,
        failed_attempts: row.count("failed_attempts")?,
        max_attempts: row.count("max_attempts")?,
        priority: row.try_get("priority").map_err(error::statement)?,
        concurrency: concurrency(row)?,
        correlation_id: row.id_opt("correlation_id")?,
        lost_leases: row.count("lost_leases")?,
        cancel_requested: row.flag("cancel_requested")?,
        run_at: row.time("run_at")?,
        created_at: row.time("created_at")?,
        finished_at: row.time_opt("finished_at")?,
        errors,
        result: result.map(|Json(result)| result),
    })
}

/// A job's concurrency key; the columns are empty and 0 for none.
fn concurrency(row: &PgRow) -> Result<Option<Concurrency>> {
    match row.count("concurrency_limit")? {
        0 => Ok(None),
        limit => Concurrency::new(&row.text("concurrency_key")?, limit)
            .map(Some)
            .map_err(|source| error::corrupt("concurrency_limit", source)),
    }
}

/// Whether an organization's quota holds for what is enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    Held,
    /// What follows a job is never lost.
    Waived,
}

/// Enqueues jobs in the organization that the transaction entered.
pub(crate) async fn enqueue(tx: &mut Tx, jobs: Vec<NewJob>, quota: Quota) -> Result<Vec<Enqueued>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    jobs.iter().try_for_each(NewJob::check)?;
    fn column<'a, T>(jobs: &'a [NewJob], of: impl Fn(&'a NewJob) -> T) -> Vec<T> {
        jobs.iter().map(of).collect()
    }
    let waits = |of: fn(&Backoff) -> Duration| {
        column(&jobs, |job| {
            job.backoff.as_ref().map(|backoff| millis(of(backoff)))
        })
    };
    let query = tx.query(
        "select created, job_id
         from enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17)",
    );
    let rows = query
        .bind(column(&jobs, |job| job.id.as_uuid()))
        .bind(column(&jobs, |job| job.kind.as_str()))
        .bind(column(&jobs, |job| i64::from(job.payload.version)))
        .bind(column(&jobs, |job| Json(&job.payload.body)))
        .bind(column(&jobs, dedupe_scope))
        .bind(column(&jobs, |job| job.dedupe.as_ref().map(Dedupe::key)))
        .bind(column(&jobs, |job| {
            job.dedupe.as_ref().and_then(Dedupe::window).map(millis)
        }))
        .bind(column(&jobs, |job| job.priority))
        .bind(column(&jobs, |job| job.run_at.map(moment)))
        .bind(column(&jobs, |job| i64::from(job.max_attempts)))
        .bind(column(&jobs, |job| {
            job.concurrency.as_ref().map_or("", Concurrency::key)
        }))
        .bind(column(&jobs, |job| {
            let limit = job.concurrency.as_ref().map_or(0, Concurrency::limit);
            i64::from(limit)
        }))
        .bind(column(&jobs, |job| job.timeout.map(millis)))
        .bind(waits(Backoff::base))
        .bind(waits(Backoff::cap))
        .bind(quota == Quota::Held)
        .bind(column(&jobs, |job| {
            job.correlation_id.map(|id| id.as_uuid())
        }))
        .fetch_all(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::FOREIGN_KEY_VIOLATION) => organizations::not_found(),
            Some(sqlstate::QUOTA_REACHED) => quota_reached(source),
            _ => error::statement(source),
        })?;
    rows.iter()
        .map(|row| {
            let job = row.id("job_id")?;
            Ok(if row.flag("created")? {
                Enqueued::Created(job)
            } else {
                Enqueued::Duplicate(job)
            })
        })
        .collect()
}

/// The server's message says how many there are and may be, of the organization that was entered.
fn quota_reached(source: sqlx::Error) -> Error {
    let message = source
        .as_database_error()
        .map(|database| database.message().to_owned())
        .unwrap_or_default();
    Error::new(ErrorKind::Exhausted, message)
        .with_applied(Applied::No)
        .with_source(source)
}

/// How the database has the scope of a job's dedupe key: the kind, or nothing for all kinds.
pub(super) fn dedupe_scope(job: &NewJob) -> Option<&str> {
    let dedupe = job.dedupe.as_ref()?;
    Some(dedupe.kind(&job.kind).map_or("", JobKind::as_str))
}

pub(super) fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

/// A live job as its machine sees it, locked, and the database's time.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) state: JobState,
    pub(super) now: Timestamp,
}

/// Reads a live job that the transaction has locked, or locks by this.
async fn lock(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Option<Locked>> {
    // Not FOR UPDATE: a writer that holds the job's lease does not have to be waited for to ask
    // the job to stop. Whatever ends a lease has locked the row FOR UPDATE before it comes here.
    let query = tx.query(
        "select status, token, failed_attempts, max_attempts, lost_leases, cancel_requested, run_at,
            clock_timestamp() as now
         from job where organization_id = $1 and id = $2 for no key update",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    row.map(|row: PgRow| {
        Ok(Locked {
            state: JobState {
                status: row.parsed("status")?,
                token: row.id_opt("token")?,
                failed_attempts: row.count("failed_attempts")?,
                max_attempts: row.count("max_attempts")?,
                lost_leases: row.count("lost_leases")?,
                cancel_requested: row.flag("cancel_requested")?,
                run_at: row.time("run_at")?,
            },
            now: row.time("now")?,
        })
    })
    .transpose()
}

/// Reads the live job whose lease the transaction entered with.
pub(super) async fn held(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Locked> {
    lock(tx, organization, id)
        .await?
        .ok_or_else(Error::stale_lease)
}

/// What is kept of how an attempt ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End<'a> {
    /// Why it failed.
    pub(super) error: Option<&'a str>,
    /// What its handler left.
    pub(super) result: Option<&'a Value>,
}

fn most_errors() -> i32 {
    i32::try_from(Job::MAX_ERRORS).unwrap_or(i32::MAX)
}

/// Puts a job that is no longer held back in line, or into history. The token stays, so that its
/// holder learns that it was settled.
pub(super) async fn release(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
    to: &JobState,
    end: End<'_>,
) -> Result<()> {
    if to.status.is_terminal() {
        return bury(tx, organization, id, to, end).await;
    }
    let query = tx.query(
        "update job set
            status = $3, failed_attempts = $4, run_at = $5, errors = case when $6::text is null then errors else with_error(errors, $6, $7) end,
            locked_by = null, locked_worker = null
         where organization_id = $1 and id = $2",
    );
    query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(to.status.as_str())
        .bind(i64::from(to.failed_attempts))
        .bind(moment(to.run_at))
        .bind(end.error)
        .bind(most_errors())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Moves a live job into history, in one statement.
async fn bury(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
    to: &JobState,
    end: End<'_>,
) -> Result<()> {
    let query = tx.query(
        "with gone as (delete from job where organization_id = $1 and id = $2 returning *)
         insert into job_history (
            organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
            priority, run_at, max_attempts, failed_attempts, lost_leases, status, cancel_requested, created_at,
            errors, token, concurrency_key, concurrency_limit, timeout_ms, backoff_base_ms,
            backoff_cap_ms, result, correlation_id
         ) select
            organization_id, id, kind, payload_version, payload, dedupe_scope, dedupe_key,
            priority, run_at, max_attempts, $3, lost_leases, $4, cancel_requested, created_at,
            case when $5::text is null then errors else with_error(errors, $5, $6) end,
            token, concurrency_key, concurrency_limit, timeout_ms, backoff_base_ms, backoff_cap_ms, $7,
            correlation_id
         from gone",
    );
    query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(i64::from(to.failed_attempts))
        .bind(to.status.as_str())
        .bind(end.error)
        .bind(most_errors())
        .bind(end.result.map(Json))
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// What a request to cancel did.
#[derive(Debug)]
pub(crate) struct Cancelled {
    /// What is answered.
    pub(crate) outcome: CancelOutcome,
    /// The scan that ended with the job.
    pub(crate) scan: Option<ScanId>,
}

/// Asks to stop a job, and ends its scan where it had not begun.
pub(crate) async fn cancel(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
) -> Result<Cancelled> {
    let Some(Locked { state, now }) = lock(tx, organization, id).await? else {
        let status = finished(tx, organization, id)
            .await?
            .ok_or_else(not_found)?;
        return Ok(Cancelled {
            outcome: CancelOutcome::AlreadyFinished(status),
            scan: None,
        });
    };
    let to = job::apply(&state, JobEvent::CancelRequested, now)?.to;
    if to.status == JobStatus::Running {
        let query = tx
            .query("update job set cancel_requested = true where organization_id = $1 and id = $2");
        query
            .bind(organization.as_uuid())
            .bind(id.as_uuid())
            .execute(tx.connection())
            .await
            .map_err(error::statement)?;
        return Ok(Cancelled {
            outcome: CancelOutcome::Requested,
            scan: None,
        });
    }
    bury(tx, organization, id, &to, End::default()).await?;
    let scan = scans::of_job(tx, organization, id).await?;
    if let Some(scan) = scan {
        scans::apply(tx, organization, scan, &ScanEvent::Cancelled, None).await?;
    }
    Ok(Cancelled {
        outcome: CancelOutcome::Cancelled,
        scan,
    })
}

async fn finished(
    tx: &mut Tx,
    organization: OrganizationId,
    id: JobId,
) -> Result<Option<JobStatus>> {
    let query = tx.query("select status from job_history where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    row.map(|row| row.parsed("status")).transpose()
}

fn not_found() -> Error {
    Error::not_found("job")
}
