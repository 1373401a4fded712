//! Resources.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::model::Resource;
use trueno_core::port::tenant_store::ResourceReads;
use trueno_core::port::{Page, PageRequest, ResourceFilter};

use super::cursor::List;
use super::read_view::View;
use crate::state::{Draft, SeenResource};

impl Draft {
    fn resource_page(&self, filter: &ResourceFilter, page: &PageRequest) -> Result<Page<Resource>> {
        let start = filter
            .account
            .map_or(Bound::Unbounded, |account| Bound::Included((account, None)));
        List {
            name: "resources",
            rows: &self.resources,
            start,
        }
        .page(
            page,
            |(account, _)| filter.account.is_none_or(|wanted| wanted >= *account),
            |(account, _), row: &Arc<SeenResource>| {
                let reference = &row.resource.reference;
                let wanted = filter.account.is_none_or(|wanted| wanted == *account)
                    && filter.scan.is_none_or(|scan| scan == row.last_scan)
                    && filter
                        .kind
                        .as_ref()
                        .is_none_or(|kind| *kind == reference.kind)
                    && filter
                        .region
                        .as_ref()
                        .is_none_or(|region| *region == reference.region);
                wanted.then(|| row.resource.clone())
            },
        )
    }
}

#[async_trait]
impl ResourceReads for View {
    async fn resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<Resource>> {
        self.look("read_view.resources", |draft| {
            draft.resource_page(filter, page)
        })
    }
}
