//! Resources.

use std::collections::BTreeMap;

use axum::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::error::{Error, Result};
use trueno_core::id::{CloudAccountId, ScanId};
use trueno_core::model::{Region, ResourceKind, ResourceRecord};
use trueno_core::port::{Presence, ResourceFilter, TagFilter};
use utoipa::ToSchema;

use super::List;
use crate::extract::{Member, Query, acts, list_query, parsed};
use crate::problem::Problem;

/// A resource that a scan saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceItem {
    /// The account.
    #[schema(value_type = uuid::Uuid)]
    pub account: CloudAccountId,
    /// Its kind.
    #[schema(value_type = String)]
    pub kind: ResourceKind,
    /// Its region.
    #[schema(value_type = String)]
    pub region: Region,
    /// The provider's id for it.
    pub native_id: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What the provider says of it.
    #[schema(value_type = Object)]
    pub attributes: serde_json::Value,
    /// The latest scan that saw it.
    #[schema(value_type = uuid::Uuid)]
    pub last_scan: ScanId,
    /// When it was seen first.
    pub first_seen_at: Timestamp,
    /// When it was seen last.
    pub last_seen_at: Timestamp,
    /// Since when it is gone; `null` while it is there.
    pub gone_at: Option<Timestamp>,
}

impl From<ResourceRecord> for ResourceItem {
    fn from(record: ResourceRecord) -> Self {
        let ResourceRecord { resource, .. } = record;
        Self {
            account: record.account,
            kind: resource.reference.kind,
            region: resource.reference.region,
            native_id: resource.reference.native_id,
            name: resource.name,
            tags: resource.tags,
            attributes: resource.attributes,
            last_scan: record.last_scan,
            first_seen_at: record.first_seen_at,
            last_seen_at: record.last_seen_at,
            gone_at: record.gone_at,
        }
    }
}

list_query! {
    /// Which resources: those that pass every filter.
    ResourceQuery {
        /// Of this account only.
        #[param(value_type = Option<uuid::Uuid>)]
        account,
        /// Last seen by this scan only.
        #[param(value_type = Option<uuid::Uuid>)]
        scan,
        /// Of this kind only, such as `ec2.volume`.
        kind,
        /// In this region only.
        region,
        /// With this tag only: `key`, or `key=value`.
        tag,
        /// `present` (the default) for what is there, `gone` for what a complete look no longer saw.
        presence,
    }
}

impl ResourceQuery {
    fn filter(&self) -> Result<ResourceFilter> {
        let mut filter = ResourceFilter::default();
        filter.account = parsed("account", self.account.as_deref())?;
        filter.scan = parsed("scan", self.scan.as_deref())?;
        filter.kind = parsed("kind", self.kind.as_deref())?;
        filter.region = parsed("region", self.region.as_deref())?;
        filter.tag = self.tag.as_deref().map(tag).transpose()?;
        filter.presence = match self.presence.as_deref() {
            None | Some("present") => Presence::Present,
            Some("gone") => Presence::Gone,
            Some(_) => return Err(Error::invalid("presence", "is neither present nor gone")),
        };
        Ok(filter)
    }
}

/// `key` or `key=value`. A key that has an equals sign cannot be asked for without a value.
pub(super) fn tag(text: &str) -> Result<TagFilter> {
    if text.contains('\0') {
        return Err(Error::invalid("tag", "holds a NUL, which no tag has"));
    }
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err(Error::invalid("tag", "needs key or key=value"));
    }
    Ok(TagFilter {
        key: key.to_owned(),
        value,
    })
}

/// Lists resources, by account, kind, region and native id.
#[utoipa::path(get, path = "/v1/resources", tag = "resources", params(ResourceQuery), responses(
    (status = OK, description = "A page of resources", body = List<ResourceItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<ResourceQuery>,
) -> Result<Json<List<ResourceItem>>, Problem> {
    let (filter, page) = (query.filter()?, query.page()?);
    let page = member.view().await?.resources(&filter, &page).await?;
    Ok(Json(List::of(page, ResourceItem::from)))
}
