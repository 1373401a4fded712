//! The write door of processors: fenced batches.

use async_trait::async_trait;
use std::collections::BTreeMap;

use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{CloudAccountId, OrganizationId, ScanId};
use trueno_core::model::{
    Actor, Coverage, FindingDraft, Resource, Scan, ScanProgress, TaskKey, limits,
};
use trueno_core::port::{Ingest, LeaseRef};
use trueno_core::state::scan::ScanEvent;

use super::unit::{spent, step};
use super::{findings, inventory, scans};
use crate::encode::{RowExt as _, bigint};
use crate::store::PostgresStore;
use crate::transaction::Tx;
use crate::{context, error};

/// One batch in one transaction, which holds the job: it cannot change hands before the batch ends.
/// It is spent like a unit of work.
pub(super) struct PgIngest {
    tx: Option<Tx>,
    lease: LeaseRef,
    /// The scan that the job runs, and its account.
    scan: Option<(ScanId, CloudAccountId)>,
}

pub(super) async fn open(store: &PostgresStore, lease: LeaseRef) -> Result<PgIngest> {
    let mut tx = store.begin_processor().await?;
    let scan = match enter(&mut tx, lease).await {
        Ok(scan) => scan,
        Err(error) => return Err(tx.fail(error).await),
    };
    Ok(PgIngest {
        tx: Some(tx),
        lease,
        scan,
    })
}

/// Enters a lease, and reads the scan that its job runs.
async fn enter(tx: &mut Tx, lease: LeaseRef) -> Result<Option<(ScanId, CloudAccountId)>> {
    context::enter_lease(tx, lease).await?;
    let query =
        tx.query("select id, account_id from scan where organization_id = $1 and job_id = $2");
    let row = query
        .bind(lease.organization.as_uuid())
        .bind(lease.job.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    row.map(|row| Ok((row.id("id")?, row.id("account_id")?)))
        .transpose()
}

impl PgIngest {
    fn organization(&self) -> OrganizationId {
        self.lease.organization
    }

    fn actor(&self) -> Actor {
        Actor::Processor {
            job: self.lease.job,
        }
    }

    fn target(&self) -> Result<(ScanId, CloudAccountId)> {
        self.scan.ok_or_else(scans::not_found)
    }

    fn take(&mut self) -> Result<Tx> {
        self.tx.take().ok_or_else(spent)
    }

    fn put_back(&mut self, tx: Tx) {
        self.tx = Some(tx);
    }
}

#[async_trait]
impl Ingest for PgIngest {
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan> {
        let (scan, _) = self.target()?;
        let tasks = Some(bigint("tasks", tasks)?);
        step!(self, start_scan, tx =>
            scans::apply(&mut tx, self.organization(), scan, &ScanEvent::Started, tasks))
    }

    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()> {
        let (scan, account) = self.target()?;
        step!(self, put_resources, tx =>
            inventory::put(&mut tx, self.organization(), account, scan, resources))
    }

    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()> {
        let (scan, account) = self.target()?;
        step!(self, put_coverage, tx =>
            put_coverage(&mut tx, self.organization(), account, scan, coverage))
    }

    async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()> {
        let (scan, account) = self.target()?;
        step!(self, put_findings, tx =>
            findings::put(&mut tx, self.organization(), account, scan, self.actor(), findings))
    }

    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()> {
        let (_, account) = self.target()?;
        step!(self, resolve_findings, tx =>
            findings::resolve(&mut tx, self.organization(), account, self.actor(), keys))
    }

    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()> {
        let (scan, _) = self.target()?;
        step!(self, set_progress, tx => set_progress(&mut tx, self.organization(), scan, progress))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let mut tx = self.take()?;
        let committed = async {
            // The job is still this lease's, since it is locked; whether time ran out is asked last.
            match context::enter_lease(&mut tx, self.lease).await {
                Ok(()) => tx.commit().await,
                Err(error) => Err(tx.fail(error).await),
            }
        };
        committed
            .await
            .map_err(|error| error.with_operation("tenant_store.ingest_commit"))
    }
}

async fn put_coverage(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    coverage: Vec<Coverage>,
) -> Result<()> {
    coverage.iter().try_for_each(limits::coverage)?;
    // The last of the same task stands: one statement cannot change a row twice.
    let coverage: BTreeMap<TaskKey, Coverage> = coverage
        .into_iter()
        .map(|coverage| (coverage.task.clone(), coverage))
        .collect();
    fn column<'a, T>(
        coverage: &'a BTreeMap<TaskKey, Coverage>,
        of: impl Fn(&'a Coverage) -> T,
    ) -> Vec<T> {
        coverage.values().map(of).collect()
    }
    let counts = |field, of: fn(&Coverage) -> u64| {
        coverage
            .values()
            .map(|coverage| bigint(field, of(coverage)))
            .collect::<Result<Vec<i64>>>()
    };
    let query = tx.query(
        "insert into coverage (
            organization_id, scan_id, service, region, kind, status, requests, pages, resources,
            error_code, checkpoint
         )
         select $1, $2, c.*
         from unnest(
            $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::text[], $11::text[]
         ) c
         on conflict (organization_id, scan_id, service, region, kind) do update set
            status = excluded.status, requests = excluded.requests, pages = excluded.pages,
            resources = excluded.resources, error_code = excluded.error_code,
            checkpoint = excluded.checkpoint",
    );
    query
        .bind(organization.as_uuid())
        .bind(scan.as_uuid())
        .bind(column(&coverage, |c| c.task.service.as_str()))
        .bind(column(&coverage, |c| c.task.region.as_str()))
        .bind(column(&coverage, |c| c.task.kind.as_str()))
        .bind(column(&coverage, |c| c.status.as_str()))
        .bind(counts("requests", |c| c.requests)?)
        .bind(counts("pages", |c| c.pages)?)
        .bind(counts("resources", |c| c.resources)?)
        .bind(column(&coverage, |c| c.error_code.as_deref()))
        .bind(column(&coverage, |c| c.checkpoint.as_deref()))
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    inventory::end_looks(tx, account, scan, coverage.values()).await
}

async fn set_progress(
    tx: &mut Tx,
    organization: OrganizationId,
    scan: ScanId,
    progress: ScanProgress,
) -> Result<()> {
    let query = tx.query(
        "update scan set tasks = $3, tasks_done = $4, resources = $5, version = version + 1
         where organization_id = $1 and id = $2 and status = 'running'",
    );
    let updated = query
        .bind(organization.as_uuid())
        .bind(scan.as_uuid())
        .bind(bigint("tasks", progress.tasks)?)
        .bind(bigint("tasks done", progress.tasks_done)?)
        .bind(bigint("resources", progress.resources)?)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    if updated.rows_affected() == 0 {
        return Err(Error::new(
            ErrorKind::InvalidTransition,
            "the scan does not run: only a running one has progress",
        )
        .with_applied(Applied::No));
    }
    Ok(())
}
