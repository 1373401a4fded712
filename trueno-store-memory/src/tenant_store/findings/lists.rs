//! Findings as they are listed and counted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, FindingId};
use trueno_core::model::{Finding, FindingChange, FindingStatus};
use trueno_core::port::tenant_store::FindingCount;
use trueno_core::port::{COUNT_LIMIT, Count, FindingFilter, Page, PageRequest};
use trueno_core::state::finding::stands;

use super::changes::not_found;
use crate::state::Draft;
use crate::tenant_store::cursor::List;
use crate::tenant_store::filters::{has_tag, is_or_any, no_nul, valid_tag};

impl Draft {
    pub(super) fn finding_page(
        &self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>> {
        valid(filter)?;
        List {
            name: "findings".into(),
            rows: &self.findings,
            start: start_of(filter.account),
        }
        .page(
            page,
            |(account, _)| filter.account.is_none_or(|wanted| wanted >= *account),
            |_, row: &Arc<Finding>| passes(filter, row).then(|| Finding::clone(row)),
        )
    }

    /// Findings of the organization or of one account, by account and key.
    pub(in crate::tenant_store) fn findings_of(
        &self,
        account: Option<CloudAccountId>,
    ) -> impl Iterator<Item = &Finding> {
        self.findings_from(account)
            .take_while(move |row| account.is_none_or(|wanted| wanted == row.account))
    }

    /// Findings from an account on, by account and key.
    pub(super) fn findings_from(
        &self,
        account: Option<CloudAccountId>,
    ) -> impl Iterator<Item = &Finding> {
        self.findings
            .rows_from(start_of(account).as_ref())
            .map(|(_, row)| row.as_ref())
    }

    pub(super) fn count_findings(&self, filter: &FindingFilter) -> Result<Count> {
        valid(filter)?;
        let found = self.findings_of(filter.account);
        let found = found.filter(|row| passes(filter, row));
        if filter.is_counted() {
            return Ok(Count::Exactly(found.count() as u64));
        }
        Ok(match found.zip(0..COUNT_LIMIT).count() as u64 {
            COUNT_LIMIT => Count::AtLeast(COUNT_LIMIT),
            fewer => Count::Exactly(fewer),
        })
    }

    pub(super) fn finding_counts(&self, account: Option<CloudAccountId>) -> Vec<FindingCount> {
        let mut counts: BTreeMap<(CloudAccountId, &str, FindingStatus), u64> = BTreeMap::new();
        for row in self.findings_of(account) {
            let group = (row.account, row.draft.check.as_str(), row.status);
            *counts.entry(group).or_default() += 1;
        }
        counts
            .into_iter()
            .map(|((account, check, status), count)| FindingCount {
                account,
                check: check.to_owned(),
                status,
                count,
            })
            .collect()
    }

    pub(super) fn history_page(
        &self,
        id: FindingId,
        page: &PageRequest,
    ) -> Result<Page<FindingChange>> {
        if !self.findings_by_id.contains(&id) {
            return Err(not_found());
        }
        List {
            name: format!("history-{id}").into(),
            rows: &self.finding_history,
            start: Bound::Included((id, 0)),
        }
        .page(
            page,
            |(finding, _)| *finding == id,
            |_, row: &Arc<FindingChange>| Some(row.as_ref().clone()),
        )
    }
}

fn start_of(account: Option<CloudAccountId>) -> Bound<(CloudAccountId, String)> {
    account.map_or(Bound::Unbounded, |account| {
        Bound::Included((account, String::new()))
    })
}

fn valid(filter: &FindingFilter) -> Result<()> {
    valid_tag(filter.tag.as_ref())?;
    filter
        .check
        .as_ref()
        .map_or(Ok(()), |check| no_nul("check", check))
}

fn passes(filter: &FindingFilter, row: &Finding) -> bool {
    let resource = &row.draft.resource;
    filter.account.is_none_or(|wanted| wanted == row.account)
        && filter.scan.is_none_or(|wanted| wanted == row.last_scan)
        && (!filter.standing || stands(row.status))
        && filter.status.is_none_or(|wanted| wanted == row.status)
        && filter
            .severity
            .is_none_or(|wanted| wanted == row.draft.severity)
        && is_or_any(filter.region.as_ref(), &resource.region)
        && is_or_any(filter.check.as_ref(), &row.draft.check)
        && has_tag(filter.tag.as_ref(), &row.draft.tags)
}
