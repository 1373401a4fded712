//! Second half of a scan: the checks' look at what was read.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::check::{CoverageMap, Engine, Evaluation, Reconciliation, Relations, reconcile};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ScanId;
use crate::model::{CloudAccount, Finding, FindingStatus, Resource, Scan};
use crate::port::tenant_store::FindingUpsert;
use crate::port::{FindingFilter, Page, PageRequest, ResourceFilter};
use crate::runtime::JobContext;

/// How many findings one batch holds.
const BATCH: usize = 500;

/// What a look came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    pub(super) resources: u64,
    /// SHA-256 over the canonical JSON of every resource, in the store's order: ties the audit
    /// event to what was ingested.
    pub(super) digest: String,
    pub(super) findings: u64,
    pub(super) undetermined: u64,
    pub(super) resolved: u64,
}

/// What is kept of an earlier finding while the account is looked at.
#[derive(Clone, Copy)]
struct Before {
    status: FindingStatus,
    last_scan: ScanId,
}

pub(super) async fn evaluate(
    context: &JobContext,
    engine: &Engine,
    account: &CloudAccount,
    scan: &Scan,
    coverage: &CoverageMap,
    now: Timestamp,
) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut relations = Relations::default();
    let mut hash = Sha256::new();
    let mut pages = Pages::new(context, scan);
    while let Some(page) = pages.next().await? {
        for resource in &page {
            engine.relate(resource, &mut relations);
            let leaf = serde_json_canonicalizer::to_vec(resource).map_err(|source| {
                Error::new(
                    ErrorKind::Unexpected,
                    "a resource cannot be written as JSON",
                )
                .with_source(source)
            })?;
            hash.update((leaf.len() as u64).to_be_bytes());
            hash.update(&leaf);
            summary.resources += 1;
        }
    }
    summary.digest = HEXLOWER.encode(&hash.finalize());

    let mut reconciliation = Reconciliation::default();
    let mut before = HashMap::new();
    let mut findings = Findings::new(context, account);
    while let Some(page) = findings.next().await? {
        for Finding {
            draft,
            status,
            last_scan,
            ..
        } in page
        {
            if stands(status) {
                reconciliation.stands(&draft, engine, coverage);
            }
            before.insert(draft.key, Before { status, last_scan });
        }
    }
    let mut batch = Vec::new();
    let mut pages = Pages::new(context, scan);
    while let Some(page) = pages.next().await? {
        for resource in &page {
            for evaluation in engine.evaluate(&account.number, resource, &relations, coverage, now)
            {
                match evaluation {
                    Evaluation::Clear { .. } => {}
                    Evaluation::Undetermined { key, reason } => {
                        tracing::debug!(%key, %reason, "undetermined");
                        summary.undetermined += 1;
                        reconciliation.undetermined(&key);
                    }
                    Evaluation::Found(draft) => {
                        summary.findings += 1;
                        reconciliation.found(&draft.key);
                        let status = status_after(before.get(&draft.key), scan.id);
                        batch.push(FindingUpsert {
                            draft: *draft,
                            status,
                        });
                    }
                }
            }
        }
        if batch.len() >= BATCH {
            put(context, std::mem::take(&mut batch)).await?;
        }
    }
    put(context, batch).await?;

    let resolved = reconciliation.resolved();
    summary.resolved = resolved.len() as u64;
    if !resolved.is_empty() {
        let mut batch = context.store.ingest(&context.lease).await?;
        batch.resolve_findings(resolved).await?;
        batch.commit().await?;
    }
    Ok(summary)
}

/// A second attempt of the same scan finds what the first one wrote, and leaves its status alone.
fn status_after(before: Option<&Before>, scan: ScanId) -> FindingStatus {
    match before {
        Some(before) if before.last_scan == scan && stands(before.status) => before.status,
        before => reconcile(before.map(|before| before.status)),
    }
}

fn stands(status: FindingStatus) -> bool {
    !matches!(status, FindingStatus::Resolved | FindingStatus::Suppressed)
}

async fn put(context: &JobContext, findings: Vec<FindingUpsert>) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut batch = context.store.ingest(&context.lease).await?;
    batch.put_findings(findings).await?;
    batch.commit().await
}

/// The account's findings, standing and past, a page at a time.
struct Findings<'a> {
    context: &'a JobContext,
    filter: FindingFilter,
    page: Option<PageRequest>,
}

impl<'a> Findings<'a> {
    fn new(context: &'a JobContext, account: &CloudAccount) -> Self {
        Self {
            context,
            filter: FindingFilter::default().with_account(account.id),
            page: Some(PageRequest::largest()),
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<Finding>>> {
        let Some(page) = self.page.take() else {
            return Ok(None);
        };
        self.context.proceed()?;
        let mut view = self.context.store.read(self.context.lease.scope()).await?;
        let Page { items, next } = view.findings(&self.filter, &page).await?;
        self.page = next.map(|next| page.after(Some(next)));
        Ok(Some(items))
    }
}

/// The resources that this scan saw, a page at a time. Each page is a read of its own, so that no
/// transaction stays open while checks run; nothing else writes what this scan saw.
struct Pages<'a> {
    context: &'a JobContext,
    filter: ResourceFilter,
    page: Option<PageRequest>,
}

impl<'a> Pages<'a> {
    fn new(context: &'a JobContext, scan: &Scan) -> Self {
        let filter = ResourceFilter::default()
            .with_account(scan.account)
            .with_scan(scan.id);
        Self {
            context,
            filter,
            page: Some(PageRequest::largest()),
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<Resource>>> {
        let Some(page) = self.page.take() else {
            return Ok(None);
        };
        self.context.proceed()?;
        let mut view = self.context.store.read(self.context.lease.scope()).await?;
        let Page { items, next } = view.resources(&self.filter, &page).await?;
        self.page = next.map(|next| page.after(Some(next)));
        Ok(Some(items))
    }
}
