//! Findings.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::error::{Error, Result};
use trueno_core::id::CloudAccountId;
use trueno_core::model::{Finding, FindingStatus};
use trueno_core::port::tenant_store::FindingReads;
use trueno_core::port::{FindingFilter, Page, PageRequest};

use super::cursor::List;
use super::read_view::View;
use crate::state::Draft;

impl Draft {
    fn finding(&self, account: CloudAccountId, key: &str) -> Result<Finding> {
        let row = self.findings.get(&(account, key.to_owned()));
        row.map(|row| Finding::clone(row))
            .ok_or_else(|| Error::not_found("finding"))
    }

    fn finding_page(&self, filter: &FindingFilter, page: &PageRequest) -> Result<Page<Finding>> {
        let start = filter.account.map_or(Bound::Unbounded, |account| {
            Bound::Included((account, String::new()))
        });
        List {
            name: "findings",
            rows: &self.findings,
            start,
        }
        .page(
            page,
            |(account, _)| filter.account.is_none_or(|wanted| wanted >= *account),
            |(account, _), row: &Arc<Finding>| {
                let wanted = filter.account.is_none_or(|wanted| wanted == *account)
                    && filter.scan.is_none_or(|scan| scan == row.last_scan)
                    && (!filter.standing || stands(row.status));
                wanted.then(|| Finding::clone(row))
            },
        )
    }
}

fn stands(status: FindingStatus) -> bool {
    !matches!(status, FindingStatus::Resolved | FindingStatus::Suppressed)
}

#[async_trait]
impl FindingReads for View {
    async fn finding(&mut self, account: CloudAccountId, key: &str) -> Result<Finding> {
        self.look("read_view.finding", |draft| draft.finding(account, key))
    }

    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>> {
        self.look("read_view.findings", |draft| {
            draft.finding_page(filter, page)
        })
    }
}
