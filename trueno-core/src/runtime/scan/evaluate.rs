//! Second half of a scan: the checks' look at what was read.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::check::{CoverageMap, Engine, Evaluation, Reconciliation, Relations};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CloudAccount, Finding, FindingDraft, FindingStatus, ResourceRecord, Scan};
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
        for ResourceRecord { resource, .. } in &page {
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
    let mut findings = Findings::new(context, account);
    while let Some(page) = findings.next().await? {
        for Finding { draft, status, .. } in page {
            // Suppressed ones too: an exception from what is gone is of no use.
            if status != FindingStatus::Resolved {
                reconciliation.stands(&draft, engine, coverage);
            }
        }
    }
    let mut batch = Vec::new();
    let mut pages = Pages::new(context, scan);
    while let Some(page) = pages.next().await? {
        for ResourceRecord { resource, .. } in &page {
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
                        batch.push(*draft);
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

async fn put(context: &JobContext, findings: Vec<FindingDraft>) -> Result<()> {
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

    async fn next(&mut self) -> Result<Option<Vec<ResourceRecord>>> {
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
