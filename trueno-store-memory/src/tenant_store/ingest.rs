//! Fenced batches: what a processor read, applied while its lease holds.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::ScanId;
use trueno_core::model::{
    Coverage, Finding, FindingStatus, Resource, Scan, ScanProgress, ScanStatus, TaskKey,
};
use trueno_core::port::tenant_store::FindingUpsert;
use trueno_core::port::{Ingest, LeaseRef};
use trueno_core::state::scan::{self, ScanEvent};

use super::named;
use crate::MemoryStore;
use crate::state::{Draft, SeenResource};

/// One write, kept until the commit. A worker writes the tasks of its scan side by side, so
/// batches of one lease add up: a write goes on top of what is there then, and is no conflict.
enum Write {
    Scan(ScanWrite),
    Resources(Vec<Resource>),
    Coverage(Vec<Coverage>),
    Findings(Vec<FindingUpsert>),
    Resolve(Vec<String>),
}

/// A write of the scan's own row.
#[derive(Clone, Copy)]
enum ScanWrite {
    Start { tasks: u64, at: Timestamp },
    Progress(ScanProgress),
}

/// Writes of one lease that are not applied yet.
pub(super) struct Batch {
    store: MemoryStore,
    lease: LeaseRef,
    /// `None` where the job runs none.
    scan: Option<ScanId>,
    writes: Vec<Write>,
    spent: bool,
}

impl Batch {
    pub(super) fn open(store: MemoryStore, lease: LeaseRef) -> Result<Self> {
        let scan = store.with(|database, now| {
            database.require(&lease, now)?;
            Ok::<_, Error>(database.tables(lease.organization)?.scan_of(lease.job))
        })?;
        Ok(Self {
            store,
            lease,
            scan,
            writes: Vec::new(),
            spent: false,
        })
    }

    fn write(&mut self, operation: &'static str, write: Write) -> Result<()> {
        named(operation, self.usable().map(|_| self.writes.push(write)))
    }

    /// A write of the scan's row. It is tried at once, on top of the batch's earlier ones, so that
    /// a step that is not allowed is told where it was asked for.
    fn write_scan(&mut self, operation: &'static str, write: ScanWrite) -> Result<Scan> {
        let tried = self.usable().and_then(|scan| {
            let draft = self
                .store
                .with(|database, _| database.draft(self.lease.organization))?;
            let mut row = draft.scan_row(scan)?;
            for earlier in &self.writes {
                if let Write::Scan(earlier) = earlier {
                    earlier.apply(&mut row)?;
                }
            }
            let applied = write.apply(&mut row);
            self.spent = applied.is_err();
            applied.map(|()| row)
        });
        if tried.is_ok() {
            self.writes.push(Write::Scan(write));
        }
        named(operation, tried)
    }

    /// The scan to write to.
    fn usable(&self) -> Result<ScanId> {
        self.require_unspent()?;
        self.scan.ok_or_else(|| Error::not_found("scan of the job"))
    }

    fn require_unspent(&self) -> Result<()> {
        if self.spent {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the batch is spent: one of its calls failed before; open another",
            ));
        }
        Ok(())
    }

    fn apply(self) -> Result<()> {
        self.require_unspent()?;
        self.store.with(|database, now| {
            database.require(&self.lease, now)?;
            let mut draft = database.draft(self.lease.organization)?;
            if let Some(scan) = self.scan {
                for write in self.writes {
                    draft.ingest(scan, write, now)?;
                }
            }
            database.commit(draft, Vec::new())
        })
    }
}

impl ScanWrite {
    fn apply(self, row: &mut Scan) -> Result<()> {
        match self {
            Self::Start { tasks, at } => {
                row.status = scan::apply(row.status, &ScanEvent::Started)?.to;
                row.started_at.get_or_insert(at);
                row.progress.tasks = tasks;
            }
            Self::Progress(_) if row.status != ScanStatus::Running => {
                return Err(Error::new(
                    ErrorKind::InvalidTransition,
                    format!(
                        "the scan is {}: only a running one has progress",
                        row.status
                    ),
                ));
            }
            Self::Progress(progress) => row.progress = progress,
        }
        row.version += 1;
        Ok(())
    }
}

impl Draft {
    fn ingest(&mut self, scan: ScanId, write: Write, now: Timestamp) -> Result<()> {
        let mut row = self.scan_row(scan)?;
        let account = row.account;
        match write {
            Write::Scan(write) => {
                write.apply(&mut row)?;
                self.scans.put(Reverse(scan), row);
            }
            Write::Resources(resources) => {
                for resource in resources {
                    let key = (account, Some(resource.reference.clone()));
                    self.resources.put(
                        key,
                        SeenResource {
                            resource,
                            last_scan: scan,
                        },
                    );
                }
            }
            Write::Coverage(coverage) => {
                let rows = self.coverage.get(&scan);
                let mut rows: BTreeMap<TaskKey, Coverage> =
                    rows.map(|rows| BTreeMap::clone(rows)).unwrap_or_default();
                rows.extend(coverage.into_iter().map(|row| (row.task.clone(), row)));
                self.coverage.put(scan, rows);
            }
            Write::Findings(findings) => {
                for finding in findings {
                    self.upsert_finding(&row, finding, now);
                }
            }
            Write::Resolve(keys) => {
                for key in keys {
                    let key = (account, key);
                    let Some(row) = self.findings.get(&key) else {
                        continue;
                    };
                    if row.status != FindingStatus::Resolved {
                        let mut row = Finding::clone(row);
                        row.status = FindingStatus::Resolved;
                        row.version += 1;
                        self.findings.put(key, row);
                    }
                }
            }
        }
        Ok(())
    }

    fn upsert_finding(&mut self, scan: &Scan, found: FindingUpsert, now: Timestamp) {
        let key = (scan.account, found.draft.key.clone());
        let before = self.findings.get(&key);
        let row = Finding {
            account: scan.account,
            status: found.status,
            first_scan: before.map_or(scan.id, |before| before.first_scan),
            last_scan: scan.id,
            first_seen_at: before.map_or(now, |before| before.first_seen_at),
            last_seen_at: now,
            version: before.map_or(1, |before| before.version + 1),
            draft: found.draft,
        };
        self.findings.put(key, row);
    }
}

#[async_trait]
impl Ingest for Batch {
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan> {
        let at = self.store.now();
        self.write_scan("ingest.start_scan", ScanWrite::Start { tasks, at })
    }

    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()> {
        self.write("ingest.put_resources", Write::Resources(resources))
    }

    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()> {
        self.write("ingest.put_coverage", Write::Coverage(coverage))
    }

    async fn put_findings(&mut self, findings: Vec<FindingUpsert>) -> Result<()> {
        self.write("ingest.put_findings", Write::Findings(findings))
    }

    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()> {
        self.write("ingest.resolve_findings", Write::Resolve(keys))
    }

    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()> {
        self.write_scan("ingest.set_progress", ScanWrite::Progress(progress))
            .map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        named("ingest.commit", (*self).apply())
    }
}
