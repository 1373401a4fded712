//! Resources.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, ScanId};
use trueno_core::model::{Resource, ResourceRecord, ResourceRef, TaskKey};
use trueno_core::port::tenant_store::ResourceReads;
use trueno_core::port::{Page, PageRequest, Presence, ResourceFilter};

use super::cursor::List;
use super::filters::{has_tag, is_or_any, valid_tag};
use super::read_view::View;
use crate::state::Draft;

impl Draft {
    fn resource_page(
        &self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ResourceRecord>> {
        valid_tag(filter.tag.as_ref())?;
        let start = filter
            .account
            .map_or(Bound::Unbounded, |account| Bound::Included((account, None)));
        List {
            name: "resources".into(),
            rows: &self.resources,
            start,
        }
        .page(
            page,
            |(account, _)| filter.account.is_none_or(|wanted| wanted >= *account),
            |_, row: &Arc<ResourceRecord>| passes(filter, row).then(|| ResourceRecord::clone(row)),
        )
    }

    /// A scan saw a resource, which is there from then on, whatever was said of it before.
    pub(super) fn saw(
        &mut self,
        account: CloudAccountId,
        scan: ScanId,
        resource: Resource,
        now: Timestamp,
    ) {
        let key = (account, Some(resource.reference.clone()));
        let before = self.resources.get(&key);
        let record = ResourceRecord {
            resource,
            account,
            last_scan: scan,
            first_seen_at: before.map_or(now, |before| before.first_seen_at),
            last_seen_at: now,
            gone_at: None,
        };
        self.resources.put(key, record);
    }

    /// A task was read to its end: what it would have read and this scan did not see is gone.
    pub(super) fn saw_no_others(
        &mut self,
        account: CloudAccountId,
        scan: ScanId,
        task: &TaskKey,
        now: Timestamp,
    ) {
        let first = ResourceRef {
            kind: task.kind.clone(),
            region: task.region.clone(),
            native_id: String::new(),
        };
        let of_task = |reference: &ResourceRef| {
            reference.kind == task.kind && reference.region == task.region
        };
        let gone: Vec<_> = self
            .resources
            .rows_from(Bound::Included(&(account, Some(first))))
            .take_while(|((of, reference), _)| {
                *of == account && reference.as_ref().is_some_and(of_task)
            })
            .filter(|(_, row)| row.last_scan != scan && row.gone_at.is_none())
            .map(|(key, row)| (key.clone(), ResourceRecord::clone(row)))
            .collect();
        for (key, mut record) in gone {
            record.gone_at = Some(now);
            self.resources.put(key, record);
        }
    }
}

fn passes(filter: &ResourceFilter, row: &ResourceRecord) -> bool {
    let reference = &row.resource.reference;
    filter.account.is_none_or(|wanted| wanted == row.account)
        && filter.scan.is_none_or(|wanted| wanted == row.last_scan)
        && (filter.presence == Presence::Gone) == row.gone_at.is_some()
        && is_or_any(filter.kind.as_ref(), &reference.kind)
        && is_or_any(filter.region.as_ref(), &reference.region)
        && has_tag(filter.tag.as_ref(), &row.resource.tags)
}

#[async_trait]
impl ResourceReads for View {
    async fn resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ResourceRecord>> {
        self.look("read_view.resources", |draft| {
            draft.resource_page(filter, page)
        })
    }
}
