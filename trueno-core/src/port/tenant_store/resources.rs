//! Resources.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::{CloudAccountId, ScanId};
use crate::model::{Region, ResourceKind, ResourceRecord};
use crate::port::tenant_store::TagFilter;
use crate::port::{Page, PageRequest};

/// Whether what is there is wanted, or what is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// What is there.
    #[default]
    Present,
    /// What a complete look no longer saw.
    Gone,
}

/// Which resources are wanted: those that pass every filter that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceFilter {
    /// Of this account only.
    pub account: Option<CloudAccountId>,
    /// Last seen by this scan only.
    pub scan: Option<ScanId>,
    /// Of this kind only.
    pub kind: Option<ResourceKind>,
    /// In this region only.
    pub region: Option<Region>,
    /// With this tag only.
    pub tag: Option<TagFilter>,
    /// There, or gone.
    pub presence: Presence,
}

impl ResourceFilter {
    /// Resources of one account.
    #[must_use]
    pub fn with_account(mut self, account: CloudAccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Resources that this scan was the last to see.
    #[must_use]
    pub fn with_scan(mut self, scan: ScanId) -> Self {
        self.scan = Some(scan);
        self
    }

    /// Resources of one kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ResourceKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Resources in one region.
    #[must_use]
    pub fn with_region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Resources with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: TagFilter) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Resources that are gone.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.presence = Presence::Gone;
        self
    }
}

/// Reads of resources.
#[async_trait]
pub trait ResourceReads {
    /// Resources, ordered by account, kind, region and native id, byte by byte.
    async fn resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ResourceRecord>>;
}
