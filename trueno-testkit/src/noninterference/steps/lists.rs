//! Pages of lists.

use trueno_core::access::{Action, OrgScope};
use trueno_core::id::CloudAccountId;
use trueno_core::model::{ExceptionStatus, FindingStatus, JobStatus, Severity};
use trueno_core::port::{
    ExceptionFilter, FindingFilter, JobFilter, Page, PageRequest, ReadView, ResourceFilter,
    ScanFilter, TagFilter,
};

use super::scans::{CHECKS, REGIONS};
use super::{Life, Stage, shown_account};
use crate::fixtures::{region, resource_kind};
use crate::noninterference::names::Thing;

/// Every list, by the name that its pages are taken down under.
const LISTS: [&str; 12] = [
    "members",
    "accounts",
    "scans",
    "resources",
    "findings",
    "finding_history",
    "comments",
    "exceptions",
    "schedules",
    "jobs",
    "recommendations",
    "audit_events",
];

impl Life {
    /// One small page of a list: the first, the next after what was read of it before, or one after
    /// a cursor of another list.
    pub(super) async fn list(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::Read).await else {
            return;
        };
        for _ in 0..self.pick(&[1, 2]) {
            let list = self.pick(&LISTS);
            let from = match self.pick(&[0, 0, 1, 1, 1, 2]) {
                0 => None,
                1 => Some(list),
                _ => Some(self.pick(&LISTS)),
            };
            let from = from.and_then(|list| self.cursors.get(list).cloned());
            let limit = self.pick(&[1, 2, 3]);
            let page = PageRequest::first(limit).unwrap().after(from);
            match stage.store.read(&scope).await {
                Ok(mut view) => {
                    stage.pause().await;
                    self.page_of(&mut *view, list, &page).await;
                }
                Err(error) => self.notes.refusal("read", &error),
            }
        }
    }

    /// Every list from its beginning, in one view.
    pub(super) async fn every_list(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        match stage.store.read(scope).await {
            Ok(mut view) => {
                for list in LISTS {
                    self.page_of(&mut *view, list, &PageRequest::largest())
                        .await;
                }
            }
            Err(error) => self.notes.refusal("read", &error),
        }
    }

    /// Reads a page by a random filter, takes it down, and keeps its cursor.
    async fn page_of(&mut self, view: &mut dyn ReadView, list: &'static str, page: &PageRequest) {
        let next = match list {
            "members" => self.notes.page(list, &view.members(page).await),
            "accounts" => {
                let accounts = view.accounts(page).await.map(|page| Page {
                    items: page.items.iter().map(shown_account).collect(),
                    next: page.next,
                });
                self.notes.page(list, &accounts)
            }
            "scans" => {
                let filter = match self.chance(0.5) {
                    true => ScanFilter::default().with_account(self.some_account()),
                    false => ScanFilter::default(),
                };
                self.notes.page(list, &view.scans(&filter, page).await)
            }
            "resources" => {
                let filter = self.resource_filter();
                self.notes.page(list, &view.resources(&filter, page).await)
            }
            "findings" => {
                let filter = self.finding_filter();
                let found = view.findings(&filter, page).await;
                let next = self.notes.page(list, &found);
                let count = view.count_findings(&filter).await;
                self.notes.answer("count_findings", &count);
                next
            }
            "finding_history" => {
                let finding = self.some_finding();
                let history = view.finding_history(finding, page).await;
                self.notes.page(list, &history)
            }
            "comments" => {
                let finding = self.some_finding();
                self.notes.page(list, &view.comments(finding, page).await)
            }
            "exceptions" => {
                let mut filter = ExceptionFilter::default();
                if self.chance(0.3) {
                    filter = filter.with_finding(self.some_finding());
                }
                if self.chance(0.3) {
                    filter = filter.with_status(self.pick(ExceptionStatus::ALL));
                }
                self.notes.page(list, &view.exceptions(&filter, page).await)
            }
            "schedules" => self.notes.page(list, &view.schedules(page).await),
            "jobs" => {
                let mut filter = JobFilter::default();
                if self.chance(0.5) {
                    filter = filter.with_status(self.pick(JobStatus::ALL));
                }
                self.notes.page(list, &view.jobs(&filter, page).await)
            }
            "recommendations" => {
                let account = self.chance(0.3).then(|| self.some_account());
                let best = view.recommendations(account, page).await;
                self.notes.page(list, &best)
            }
            _ => self.notes.page(list, &view.audit_events(page).await),
        };
        match next {
            Some(next) => self.cursors.insert(list, next),
            None => self.cursors.remove(list),
        };
    }

    /// An account of its own, or of the other side's.
    pub(super) fn some_account(&mut self) -> CloudAccountId {
        if self.chance(0.25) {
            self.foreign(Thing::Account)
        } else {
            self.one_of(&self.accounts.clone(), Thing::Account)
        }
    }

    fn tag_filter(&mut self) -> TagFilter {
        TagFilter {
            key: self.pick(&["team", "Owner"]).to_owned(),
            value: self
                .pick(&[None, Some("alpha"), Some("beta")])
                .map(str::to_owned),
        }
    }

    fn resource_filter(&mut self) -> ResourceFilter {
        let mut filter = ResourceFilter::default();
        if self.chance(0.3) {
            filter = filter.with_account(self.some_account());
        }
        if self.chance(0.2) {
            filter = filter.with_scan(self.one_of(&self.scans.clone(), Thing::Scan));
        }
        if self.chance(0.2) {
            filter = filter.with_kind(resource_kind("ec2.volume"));
        }
        if self.chance(0.2) {
            filter = filter.with_region(region(self.pick(&REGIONS)));
        }
        if self.chance(0.3) {
            filter = filter.with_tag(self.tag_filter());
        }
        match self.chance(0.3) {
            true => filter.gone(),
            false => filter,
        }
    }

    pub(super) fn finding_filter(&mut self) -> FindingFilter {
        let mut filter = FindingFilter::default();
        if self.chance(0.3) {
            filter = filter.with_account(self.some_account());
        }
        if self.chance(0.2) {
            filter = filter.with_scan(self.one_of(&self.scans.clone(), Thing::Scan));
        }
        if self.chance(0.3) {
            filter = filter.standing();
        }
        if self.chance(0.2) {
            filter = filter.with_region(region(self.pick(&REGIONS)));
        }
        if self.chance(0.3) {
            filter = filter.with_check(self.pick(&CHECKS));
        }
        if self.chance(0.2) {
            filter = filter.with_severity(self.pick(Severity::ALL));
        }
        if self.chance(0.2) {
            filter = filter.with_status(self.pick(FindingStatus::ALL));
        }
        if self.chance(0.3) {
            filter = filter.with_tag(self.tag_filter());
        }
        filter
    }
}
