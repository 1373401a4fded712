//! Scans and their coverage.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::Action;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::ScanId;
use trueno_core::model::{Coverage, NewScan, Scan, ScanProgress, ScanStatus};
use trueno_core::port::tenant_store::{ScanReads, ScanWrites};
use trueno_core::port::{Page, PageRequest, ScanFilter};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{Stamp, account_not_found};
use crate::state::Draft;

impl Draft {
    fn scan_page(&self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>> {
        List {
            name: "scans".into(),
            rows: &self.scans,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |_, row: &Arc<Scan>| {
                let wanted = filter.account.is_none_or(|account| account == row.account);
                wanted.then(|| Scan::clone(row))
            },
        )
    }

    fn coverage_of(&self, scan: ScanId) -> Result<Vec<Coverage>> {
        self.scan_row(scan)?;
        let rows = self.coverage.get(&scan);
        Ok(rows
            .map(|rows| rows.values().cloned().collect())
            .unwrap_or_default())
    }

    pub(super) fn insert_scan(&mut self, new: &NewScan, by: Stamp) -> Result<Scan> {
        if self.scans.contains(&Reverse(new.id)) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the scan's id is in use",
            ));
        }
        if !self.accounts.contains(&new.account) {
            return Err(account_not_found());
        }
        if self.scans_by_job.contains(&new.job) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the job runs another scan already",
            ));
        }
        let scan = Scan {
            id: new.id,
            account: new.account,
            job: new.job,
            kind: new.kind,
            status: ScanStatus::Queued,
            requested_by: by.actor,
            created_at: by.at,
            started_at: None,
            finished_at: None,
            error: None,
            progress: ScanProgress::default(),
            version: 1,
        };
        self.scans_by_job.put(new.job, new.id);
        self.scans.put(Reverse(new.id), scan.clone());
        Ok(scan)
    }
}

#[async_trait]
impl ScanReads for View {
    async fn scan(&mut self, id: ScanId) -> Result<Scan> {
        self.look("read_view.scan", |draft| draft.scan_row(id))
    }

    async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>> {
        self.look("read_view.scans", |draft| draft.scan_page(filter, page))
    }

    async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>> {
        self.look("read_view.coverage", |draft| draft.coverage_of(scan))
    }
}

#[async_trait]
impl ScanReads for Unit {
    async fn scan(&mut self, id: ScanId) -> Result<Scan> {
        self.step("unit_of_work.scan", |draft| draft.scan_row(id))
    }

    async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>> {
        self.step("unit_of_work.scans", |draft| draft.scan_page(filter, page))
    }

    async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>> {
        self.step("unit_of_work.coverage", |draft| draft.coverage_of(scan))
    }
}

#[async_trait]
impl ScanWrites for Unit {
    async fn insert_scan(&mut self, new: NewScan) -> Result<Scan> {
        let by = self.stamp();
        let scan = self.write_as(Action::Scan, "unit_of_work.insert_scan", |draft| {
            draft.insert_scan(&new, by)
        })?;
        self.awaited.insert(scan.job);
        Ok(scan)
    }
}
