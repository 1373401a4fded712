//! Resources.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, OrganizationId, ScanId};
use trueno_core::model::{Region, Resource, ResourceKind, ResourceRef};
use trueno_core::port::tenant_store::ResourceReads;
use trueno_core::port::{Page, PageRequest, ResourceFilter};
use uuid::Uuid;

use super::{paging, view};
use crate::encode::RowExt as _;
use crate::error;
use crate::pool::Tx;

const LIST: &str = "resources";

/// Rows of one statement: more gain nothing, and hold more memory here and there.
const BATCH: usize = 1_000;

type Key = (Uuid, String, String, String);

view::reads! {
    ResourceReads {
        fn resources(filter: &ResourceFilter, page: &PageRequest) -> Page<Resource>;
    } for view
}

async fn resources(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ResourceFilter,
    page: &PageRequest,
) -> Result<Page<Resource>> {
    let mut query = QueryBuilder::new(
        "select account_id, kind, region, native_id, name, tags, attributes from resource
         where organization_id = ",
    );
    query.push_bind(organization.as_uuid());
    if let Some(account) = filter.account {
        query
            .push(" and account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some(scan) = filter.scan {
        query.push(" and last_scan_id = ").push_bind(scan.as_uuid());
    }
    if let Some(kind) = &filter.kind {
        query.push(" and kind = ").push_bind(kind.as_str());
    }
    if let Some(region) = &filter.region {
        query.push(" and region = ").push_bind(region.as_str());
    }
    if let Some((account, kind, region, native_id)) = paging::after::<Key>(LIST, page)? {
        query.push(" and (account_id, kind, region, native_id) > (");
        query
            .push_bind(account)
            .push(", ")
            .push_bind(kind)
            .push(", ");
        query
            .push_bind(region)
            .push(", ")
            .push_bind(native_id)
            .push(")");
    }
    query.push(" order by account_id, kind, region, native_id");
    paging::fetch(tx, LIST, query, page, decode, key).await
}

/// Adds resources or replaces them, as last seen by `scan`.
pub(super) async fn put(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    resources: Vec<Resource>,
) -> Result<()> {
    // Sorted, so that two batches lock rows in the same order; the last of the same key stands,
    // since one statement cannot change a row twice.
    let resources: BTreeMap<ResourceRef, Resource> = resources
        .into_iter()
        .map(|resource| (resource.reference.clone(), resource))
        .collect();
    let resources: Vec<&Resource> = resources.values().collect();
    for batch in resources.chunks(BATCH) {
        let references = || batch.iter().map(|resource| &resource.reference);
        let kinds: Vec<&str> = references().map(|r| r.kind.as_str()).collect();
        let regions: Vec<&str> = references().map(|r| r.region.as_str()).collect();
        let native_ids: Vec<&str> = references().map(|r| r.native_id.as_str()).collect();
        let names: Vec<Option<&str>> = batch.iter().map(|r| r.name.as_deref()).collect();
        let tags: Vec<_> = batch.iter().map(|r| Json(&r.tags)).collect();
        let attributes: Vec<_> = batch.iter().map(|r| Json(&r.attributes)).collect();
        let query = tx.query(
            "insert into resource (
                organization_id, account_id, last_scan_id,
                kind, region, native_id, name, tags, attributes
             )
             select $1, $2, $3, r.*
             from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[]) r
             on conflict (organization_id, account_id, kind, region, native_id) do update set
                last_scan_id = excluded.last_scan_id, name = excluded.name, tags = excluded.tags,
                attributes = excluded.attributes, last_seen_at = clock_timestamp()",
        );
        query
            .bind(organization.as_uuid())
            .bind(account.as_uuid())
            .bind(scan.as_uuid())
            .bind(kinds)
            .bind(regions)
            .bind(native_ids)
            .bind(names)
            .bind(tags)
            .bind(attributes)
            .execute(tx.connection())
            .await
            .map_err(error::statement)?;
    }
    Ok(())
}

fn key(row: &PgRow) -> Result<Key> {
    Ok((
        row.id("account_id")?,
        row.text("kind")?,
        row.text("region")?,
        row.text("native_id")?,
    ))
}

fn decode(row: &PgRow) -> Result<Resource> {
    Ok(Resource {
        reference: ResourceRef {
            kind: row.parsed::<ResourceKind>("kind")?,
            region: row.parsed::<Region>("region")?,
            native_id: row.text("native_id")?,
        },
        name: row.text_opt("name")?,
        tags: row.json("tags")?,
        attributes: row.json("attributes")?,
    })
}
