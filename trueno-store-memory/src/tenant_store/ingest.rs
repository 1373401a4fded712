//! Fenced batches: what a processor read, applied while its lease holds.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::ScanId;
use trueno_core::model::{
    Actor, Coverage, FindingDraft, Resource, Scan, ScanProgress, ScanStatus, TaskKey, limits,
};
use trueno_core::port::{Ingest, LeaseRef};
use trueno_core::state::scan::{self, ScanEvent};

use super::{Stamp, named};
use crate::MemoryStore;
use crate::state::Draft;

/// One write, kept until the commit. A worker writes the tasks of its scan side by side, so
/// batches of one lease add up: a write goes on top of what is there then, and is no conflict.
enum Write {
    Scan(ScanWrite),
    Resources(Vec<Resource>),
    Coverage(Vec<Coverage>),
    Findings(Vec<FindingDraft>),
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

    /// A write of rows that may be too large to store: refused where they are handed over, and the
    /// batch with them.
    fn write_rows<T>(
        &mut self,
        operation: &'static str,
        rows: Vec<T>,
        limit: fn(&T) -> Result<()>,
        write: fn(Vec<T>) -> Write,
    ) -> Result<()> {
        let checked = self.usable().and_then(|_| {
            let within = rows.iter().try_for_each(limit);
            self.spent = within.is_err();
            within
        });
        named(operation, checked.map(|()| self.writes.push(write(rows))))
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
            let by = Stamp {
                actor: Actor::Processor {
                    job: self.lease.job,
                },
                at: now,
            };
            if let Some(scan) = self.scan {
                for write in self.writes {
                    draft.ingest(scan, write, by)?;
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
    fn ingest(&mut self, scan: ScanId, write: Write, by: Stamp) -> Result<()> {
        let mut row = self.scan_row(scan)?;
        let account = row.account;
        match write {
            Write::Scan(write) => {
                write.apply(&mut row)?;
                self.scans.put(Reverse(scan), row);
            }
            Write::Resources(resources) => {
                for resource in resources {
                    self.saw(account, scan, resource, by.at);
                }
            }
            Write::Coverage(coverage) => {
                let rows = self.coverage.get(&scan);
                let mut rows: BTreeMap<TaskKey, Coverage> =
                    rows.map(|rows| BTreeMap::clone(rows)).unwrap_or_default();
                for coverage in coverage {
                    if coverage.status.is_complete() {
                        self.saw_no_others(account, scan, &coverage.task, by.at);
                    }
                    rows.insert(coverage.task.clone(), coverage);
                }
                self.coverage.put(scan, rows);
            }
            Write::Findings(findings) => {
                for finding in findings {
                    self.found(&row, finding, by)?;
                }
            }
            Write::Resolve(keys) => {
                for key in keys {
                    self.gone(&row, key, by)?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Ingest for Batch {
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan> {
        let at = self.store.now();
        self.write_scan("ingest.start_scan", ScanWrite::Start { tasks, at })
    }

    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()> {
        let operation = "ingest.put_resources";
        self.write_rows(operation, resources, limits::resource, Write::Resources)
    }

    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()> {
        let operation = "ingest.put_coverage";
        self.write_rows(operation, coverage, limits::coverage, Write::Coverage)
    }

    async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()> {
        let operation = "ingest.put_findings";
        self.write_rows(operation, findings, limits::finding, Write::Findings)
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
