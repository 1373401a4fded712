//! Scans and their coverage.

use async_trait::async_trait;
use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::error::{Error, Result};
use trueno_core::id::{JobId, OrganizationId, ScanId};
use trueno_core::model::{Actor, Coverage, NewScan, Scan, ScanProgress, ScanStatus, TaskKey};
use trueno_core::port::tenant_store::{ScanReads, ScanWrites};
use trueno_core::port::{Page, PageRequest, ScanFilter};
use trueno_core::state::scan::{self, ScanEvent, is_terminal};
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{paging, view};
use crate::encode::{self, RowExt as _};
use crate::error::{self, sqlstate};
use crate::transaction::Tx;

const LIST: &str = "scans";

view::reads! {
    ScanReads {
        fn scan(id: ScanId) -> Scan;
        fn scans(filter: &ScanFilter, page: &PageRequest) -> Page<Scan>;
        fn coverage(scan: ScanId) -> Vec<Coverage>;
    } for view and unit
}

#[async_trait]
impl ScanWrites for PgUnitOfWork {
    async fn insert_scan(&mut self, new: NewScan) -> Result<Scan> {
        let scan: Scan = step!(self, insert_scan for Scan, tx => insert(&mut tx, self.organization(), self.actor(), new))?;
        self.awaited.insert(scan.job);
        Ok(scan)
    }
}

async fn scan(tx: &mut Tx, organization: OrganizationId, id: ScanId) -> Result<Scan> {
    let query = tx.query("select * from scan where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(not_found)?)
}

async fn scans(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ScanFilter,
    page: &PageRequest,
) -> Result<Page<Scan>> {
    let mut query = QueryBuilder::new("select * from scan where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(account) = filter.account {
        query
            .push(" and account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some(id) = paging::after::<Uuid>(LIST, page)? {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc");
    paging::fetch(tx, LIST, query, page, decode, |row| row.id::<Uuid>("id")).await
}

async fn coverage(tx: &mut Tx, organization: OrganizationId, of: ScanId) -> Result<Vec<Coverage>> {
    // A scan that is not there is told apart from one that has read nothing yet.
    scan(tx, organization, of).await?;
    let query = tx.query(
        "select * from coverage where organization_id = $1 and scan_id = $2
         order by service, region, kind",
    );
    let rows = query
        .bind(organization.as_uuid())
        .bind(of.as_uuid())
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    rows.iter().map(decode_coverage).collect()
}

async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    new: NewScan,
) -> Result<Scan> {
    let (actor_kind, actor_id) = encode::actor(actor)?;
    let query = tx.query(
        "insert into scan (
            organization_id, id, account_id, job_id, kind, status, requested_by_kind, requested_by_id
         ) values ($1, $2, $3, $4, $5, 'queued', $6, $7)
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(new.id.as_uuid())
        .bind(new.account.as_uuid())
        .bind(new.job.as_uuid())
        .bind(new.kind.as_str())
        .bind(actor_kind)
        .bind(actor_id)
        .fetch_one(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::FOREIGN_KEY_VIOLATION) => Error::not_found("cloud account"),
            _ => error::statement(source),
        })?;
    decode(&row)
}

/// The scan that a job runs, if it runs one.
pub(crate) async fn of_job(
    tx: &mut Tx,
    organization: OrganizationId,
    job: JobId,
) -> Result<Option<ScanId>> {
    let query = tx.query("select id from scan where organization_id = $1 and job_id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(job.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    row.map(|row| row.id("id")).transpose()
}

/// Moves a scan through its machine, by the database's clock. A beginning counts its tasks.
pub(super) async fn apply(
    tx: &mut Tx,
    organization: OrganizationId,
    id: ScanId,
    event: &ScanEvent,
    tasks: Option<i64>,
) -> Result<Scan> {
    let query = tx
        .query("select status from scan where organization_id = $1 and id = $2 for no key update");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .ok_or_else(not_found)?;
    let to = scan::apply(row.parsed("status")?, event)?.to;
    let reason = match event {
        ScanEvent::Failed { reason } => Some(reason.as_str()),
        _ => None,
    };
    // Two statements, since the app may end a scan and never begin one.
    let query = if to == ScanStatus::Running {
        tx.query(
            "update scan set
                status = $3, started_at = coalesce(started_at, clock_timestamp()),
                tasks = coalesce($4, tasks), tasks_done = 0, resources = 0, version = version + 1
             where organization_id = $1 and id = $2
             returning *",
        )
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(to.as_str())
        .bind(tasks)
    } else {
        debug_assert!(is_terminal(to), "a scan runs or has ended");
        tx.query(
            "update scan set
                status = $3, finished_at = clock_timestamp(), error = $4, version = version + 1
             where organization_id = $1 and id = $2
             returning *",
        )
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(to.as_str())
        .bind(reason)
    };
    let row = query
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

/// A scan that is not there, or not the reader's.
pub(super) fn not_found() -> Error {
    Error::not_found("scan")
}

pub(super) fn decode(row: &PgRow) -> Result<Scan> {
    Ok(Scan {
        id: row.id("id")?,
        account: row.id("account_id")?,
        job: row.id("job_id")?,
        kind: row.parsed("kind")?,
        status: row.parsed("status")?,
        requested_by: row.actor("requested_by_kind", "requested_by_id")?,
        created_at: row.time("created_at")?,
        started_at: row.time_opt("started_at")?,
        finished_at: row.time_opt("finished_at")?,
        error: row.text_opt("error")?,
        progress: ScanProgress {
            tasks: row.count("tasks")?,
            tasks_done: row.count("tasks_done")?,
            resources: row.count("resources")?,
        },
        version: row.count("version")?,
    })
}

fn decode_coverage(row: &PgRow) -> Result<Coverage> {
    Ok(Coverage {
        task: TaskKey {
            service: row.text("service")?,
            region: row.parsed("region")?,
            kind: row.parsed("kind")?,
        },
        status: row.parsed("status")?,
        requests: row.count("requests")?,
        pages: row.count("pages")?,
        resources: row.count("resources")?,
        error_code: row.text_opt("error_code")?,
        checkpoint: row.text_opt("checkpoint")?,
    })
}
