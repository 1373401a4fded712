//! Lists of resources.

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use trueno_core::error::Result;
use trueno_core::id::OrganizationId;
use trueno_core::model::{Region, Resource, ResourceKind, ResourceRecord, ResourceRef};
use trueno_core::port::tenant_store::{Presence, ResourceReads, TagFilter};
use trueno_core::port::{Page, PageRequest, ResourceFilter};
use uuid::Uuid;

use super::{paging, view};
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;

const LIST: &str = "resources";

/// Account, kind and region of an inventory.
type Place = (Uuid, String, String);
type Key = (Uuid, String, String, String);

view::reads! {
    ResourceReads {
        fn resources(filter: &ResourceFilter, page: &PageRequest) -> Page<ResourceRecord>;
    } for view
}

/// Walks the inventories that pass the filters, and the resources of each, in the order of the
/// list. Account, kind and region, in any combination, cost a look at an index; so does presence for
/// what is gone. Scan and tag are looked at resource by resource: no index serves them.
async fn resources(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ResourceFilter,
    page: &PageRequest,
) -> Result<Page<ResourceRecord>> {
    let mut from = From::cursor(paging::after::<Key>(LIST, page)?);
    let wanted = paging::rows(page);
    let mut rows = Vec::new();
    let mut reach = wanted;
    loop {
        let inventories = inventories(tx, organization, filter, &from, reach).await?;
        let Some(last) = inventories.last() else {
            break;
        };
        let missing = wanted - rows.len();
        rows.extend(records(tx, organization, filter, &from, &inventories, missing).await?);
        if rows.len() == wanted {
            break;
        }
        from = From::After(last.place.clone());
        // Filters that no index serves leave little of what is there: each round looks further.
        reach = if filter.scan.is_some() || filter.tag.is_some() {
            reach.saturating_mul(2)
        } else {
            wanted - rows.len()
        };
    }
    paging::page(LIST, &rows, page, decode, key)
}

/// Where a walk goes on.
enum From {
    Start,
    /// Within this inventory, after this native id.
    Within(Place, String),
    After(Place),
}

impl From {
    fn cursor(key: Option<Key>) -> Self {
        key.map_or(Self::Start, |(account, kind, region, native_id)| {
            Self::Within((account, kind, region), native_id)
        })
    }
}

struct Inventory {
    id: Uuid,
    place: Place,
}

/// The next inventories, in order: as many as have `reach` resources that are there, or gone, so that
/// neither many small nor few large ones make a round dear.
async fn inventories(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ResourceFilter,
    from: &From,
    reach: usize,
) -> Result<Vec<Inventory>> {
    let reach = i64::try_from(reach).unwrap_or(i64::MAX);
    let mut query = QueryBuilder::new(
        "select id, account_id, kind, region from (
            select n.*,
                sum(n.size) over (order by n.account_id, n.kind, n.region) - n.size as before
            from (
                select i.id, i.account_id, i.kind, i.region, ",
    );
    let size = match filter.presence {
        Presence::Present => "i.present",
        Presence::Gone => "i.next_ordinal - i.present",
    };
    query
        .push(size)
        .push(" as size from inventory i where i.organization_id = ")
        .push_bind(organization.as_uuid())
        .push(" and ")
        .push(size)
        .push(" > 0");
    if let Some(account) = filter.account {
        query
            .push(" and i.account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some(scan) = filter.scan {
        // A scan looks at one account.
        query
            .push(" and i.account_id = (select c.account_id from scan c where c.organization_id = ")
            .push_bind(organization.as_uuid())
            .push(" and c.id = ")
            .push_bind(scan.as_uuid())
            .push(")");
    }
    if let Some(kind) = &filter.kind {
        query.push(" and i.kind = ").push_bind(kind.as_str());
    }
    if let Some(region) = &filter.region {
        query.push(" and i.region = ").push_bind(region.as_str());
    }
    let begin = match from {
        From::Start => None,
        From::Within(place, _) => Some((" >= (", place)),
        From::After(place) => Some((" > (", place)),
    };
    if let Some((begins, (account, kind, region))) = begin {
        query
            .push(" and (i.account_id, i.kind, i.region)")
            .push(begins)
            .push_bind(account)
            .push(", ")
            .push_bind(kind)
            .push(", ")
            .push_bind(region)
            .push(")");
    }
    query
        .push(" order by i.account_id, i.kind, i.region limit ")
        .push_bind(reach)
        .push(") n) n where n.before < ")
        .push_bind(reach)
        .push(" order by n.account_id, n.kind, n.region");
    let rows = query
        .build()
        .persistent(tx.prepared())
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    rows.iter()
        .map(|row| {
            Ok(Inventory {
                id: row.id("id")?,
                place: (
                    row.id("account_id")?,
                    row.text("kind")?,
                    row.text("region")?,
                ),
            })
        })
        .collect()
}

/// Up to `limit` resources of these inventories, in their order. Who saw each last is said as
/// `migrations/0006_inventory.sql` has it.
async fn records(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &ResourceFilter,
    from: &From,
    inventories: &[Inventory],
    limit: usize,
) -> Result<Vec<PgRow>> {
    // Native ids are never empty.
    let begins = inventories.iter().map(|inventory| match from {
        From::Within(place, native_id) if *place == inventory.place => native_id.as_str(),
        _ => "",
    });
    let begins: Vec<&str> = begins.collect();
    let mut query =
        QueryBuilder::new("select n.nth, i.account_id, i.kind, i.region, r.* from unnest(");
    query
        .push_bind(inventories.iter().map(|i| i.id).collect::<Vec<_>>())
        .push(", ")
        .push_bind(begins)
        .push(
            ") with ordinality as n (id, after, nth)
             join inventory i on i.organization_id = ",
        )
        .push_bind(organization.as_uuid())
        .push(
            " and i.id = n.id
             cross join lateral (
                select r.native_id, r.name, r.tags, r.attributes, r.first_seen_at, r.gone_at,
                    l.last_scan_id, l.last_seen_at
                from resource r
                left join lateral (
                    select s.scan_id, s.seen_at from sighting s
                    where s.organization_id = r.organization_id
                        and s.inventory_id = r.inventory_id and s.chunk = r.chunk
                        and get_bit(s.latest, r.bit) = 1
                    limit 1
                ) s on true
                cross join lateral (select
                    case
                        when s.scan_id is not null then s.scan_id
                        when r.gone_at is null and i.looks > r.looks then i.scan_id
                        else r.last_scan_id
                    end as last_scan_id,
                    case
                        when s.scan_id is not null then s.seen_at
                        when r.gone_at is null and i.looks > r.looks then i.looked_at
                        else r.last_seen_at
                    end as last_seen_at
                ) l
                where r.organization_id = i.organization_id and r.inventory_id = i.id
                    and r.native_id > n.after",
        );
    query.push(match filter.presence {
        Presence::Present => " and r.gone_at is null",
        Presence::Gone => " and r.gone_at is not null",
    });
    if let Some(scan) = filter.scan {
        query
            .push(" and l.last_scan_id = ")
            .push_bind(scan.as_uuid());
    }
    if let Some(tag) = &filter.tag {
        push_tag(&mut query, tag)?;
    }
    query
        .push(" order by r.native_id limit ")
        .push_bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .push(") r");
    let query = query.build().persistent(tx.prepared());
    let rows = query
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    // Each inventory gave what would fill the page. It is put together here: there it would be sorted,
    // with all that the planner expects of such a sort.
    let mut rows = rows
        .into_iter()
        .map(|row| Ok((row.count::<i64>("nth")?, row.text("native_id")?, row)))
        .collect::<Result<Vec<_>>>()?;
    rows.sort_by(|(a, in_a, _), (b, in_b, _)| (a, in_a).cmp(&(b, in_b)));
    rows.truncate(limit);
    Ok(rows.into_iter().map(|(.., row)| row).collect())
}

fn push_tag(query: &mut QueryBuilder<Postgres>, tag: &TagFilter) -> Result<()> {
    paging::no_nul("tag", &tag.key)?;
    match &tag.value {
        Some(value) => {
            paging::no_nul("tag", value)?;
            query
                .push(" and r.tags ->> ")
                .push_bind(&tag.key)
                .push(" = ")
                .push_bind(value);
        }
        None => {
            query.push(" and r.tags ? ").push_bind(&tag.key);
        }
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

fn decode(row: &PgRow) -> Result<ResourceRecord> {
    Ok(ResourceRecord {
        resource: Resource {
            reference: ResourceRef {
                kind: row.parsed::<ResourceKind>("kind")?,
                region: row.parsed::<Region>("region")?,
                native_id: row.text("native_id")?,
            },
            name: row.text_opt("name")?,
            tags: row.json("tags")?,
            attributes: row.json("attributes")?,
        },
        account: row.id("account_id")?,
        last_scan: row.id("last_scan_id")?,
        first_seen_at: row.time("first_seen_at")?,
        last_seen_at: row.time("last_seen_at")?,
        gone_at: row.time_opt("gone_at")?,
    })
}
