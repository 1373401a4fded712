//! What scans see of resources: `migrations/0006_inventory.sql` says how it is kept.
//!
//! A resource that is new, changed or back is written. One that is as it was costs a look at its
//! digest and a bit in the scan's sighting: its row is neither written nor locked.

mod batch;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sqlx::Row as _;
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{CloudAccountId, OrganizationId, ScanId};
use trueno_core::model::{Coverage, CoverageStatus, Resource, ResourceRef, limits};
use uuid::Uuid;

use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;
use batch::{Batch, Sent};

/// Rows of one statement: more gain nothing, and hold more memory here and there.
const BATCH: usize = 1_000;

/// Resources of one sighting: its bits, in the migration too.
const CHUNK: i64 = 4_096;

/// Whose inventory is written, and for which scan.
#[derive(Clone, Copy)]
struct Look {
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
}

/// One inventory, locked.
struct Inventory {
    id: Uuid,
    next_ordinal: i64,
    present: i64,
    looks: i64,
}

/// What the store has of a resource.
struct Known {
    ordinal: i64,
    is_gone: bool,
    /// None of a row of an older program.
    digest: Option<Vec<u8>>,
}

/// How a resource is, compared with what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    AsItWas,
    Changed,
    Gone,
}

/// Notes that `scan` saw these resources, and writes those that are new or no longer as they were.
pub(super) async fn put(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    mut resources: Vec<Resource>,
) -> Result<()> {
    resources.iter().try_for_each(limits::resource)?;
    if resources.is_empty() {
        return Ok(());
    }
    // The last of the same resource stands: one statement cannot change a row twice.
    resources.sort_by(|a, b| a.reference.cmp(&b.reference));
    resources.dedup_by(|later, kept| {
        let same = later.reference == kept.reference;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    let look = Look {
        organization,
        account,
        scan,
    };
    let of_one = |a: &Resource, b: &Resource| {
        a.reference.kind == b.reference.kind && a.reference.region == b.reference.region
    };
    let (wanted, counts): (Vec<&ResourceRef>, Vec<usize>) = resources
        .chunk_by(of_one)
        .filter_map(|of_one| Some((&of_one.first()?.reference, of_one.len())))
        .unzip();
    let inventories = lock(tx, look, &wanted).await?;
    let mut resources = resources.into_iter();
    for (mut inventory, count) in inventories.into_iter().zip(counts) {
        let before = (inventory.next_ordinal, inventory.present);
        let mut of_one = resources.by_ref().take(count);
        loop {
            let next: Vec<Resource> = of_one.by_ref().take(BATCH).collect();
            if next.is_empty() {
                break;
            }
            put_next(tx, look, &mut inventory, next).await?;
        }
        if (inventory.next_ordinal, inventory.present) != before {
            write_counts(tx, look, &inventory).await?;
        }
    }
    Ok(())
}

/// Locks the inventories of these resources, in the order of their keys, and makes those that are
/// missing.
async fn lock(tx: &mut Tx, look: Look, wanted: &[&ResourceRef]) -> Result<Vec<Inventory>> {
    let (kinds, regions): (Vec<&str>, Vec<&str>) = wanted
        .iter()
        .map(|reference| (reference.kind.as_str(), reference.region.as_str()))
        .unzip();
    let mut found = find(tx, look, &kinds, &regions).await?;
    if found.len() < kinds.len() {
        let query = tx.query(
            "insert into inventory (organization_id, account_id, kind, region)
             select $1, $2, n.* from unnest($3::text[], $4::text[]) n
             on conflict (organization_id, account_id, kind, region) do nothing",
        );
        query
            .bind(look.organization.as_uuid())
            .bind(look.account.as_uuid())
            .bind(&kinds)
            .bind(&regions)
            .execute(tx.connection())
            .await
            .map_err(error::statement)?;
        found = find(tx, look, &kinds, &regions).await?;
    }
    if found.len() < kinds.len() {
        return Err(Error::new(
            ErrorKind::Conflict,
            "an inventory went away while it was written to; try again",
        )
        .with_applied(Applied::No));
    }
    Ok(found)
}

async fn find(tx: &mut Tx, look: Look, kinds: &[&str], regions: &[&str]) -> Result<Vec<Inventory>> {
    let query = tx.query(
        "select i.id, i.next_ordinal, i.present, i.looks from inventory i
         where i.organization_id = $1 and i.account_id = $2
            and (i.kind, i.region) in (select * from unnest($3::text[], $4::text[]))
         order by i.kind, i.region
         for no key update of i",
    );
    let rows = query
        .bind(look.organization.as_uuid())
        .bind(look.account.as_uuid())
        .bind(kinds)
        .bind(regions)
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    rows.iter()
        .map(|row| {
            Ok(Inventory {
                id: row.id("id")?,
                next_ordinal: row.count("next_ordinal")?,
                present: row.count("present")?,
                looks: row.count("looks")?,
            })
        })
        .collect()
}

impl Known {
    fn compared(&self, sent: &Sent<'_>) -> Is {
        match &self.digest {
            _ if self.is_gone => Is::Gone,
            Some(digest) if *digest == sent.digest => Is::AsItWas,
            _ => Is::Changed,
        }
    }
}

/// Puts up to [`BATCH`] resources of an inventory.
async fn put_next(
    tx: &mut Tx,
    look: Look,
    inventory: &mut Inventory,
    mut resources: Vec<Resource>,
) -> Result<()> {
    let native_ids: Vec<String> = resources
        .iter_mut()
        .map(|resource| std::mem::take(&mut resource.reference.native_id))
        .collect();
    let mut resources = native_ids.iter().zip(resources);
    // The server looks while the resources are written out here, and each takes about as long as the
    // other: the question is on its way when the second future is first polled, but for a connection's
    // first and where statements have no name.
    let (known, batch) = tokio::join!(
        biased;
        known(tx, look, inventory, &native_ids),
        async { Batch::take(&mut resources) },
    );
    let mut known = known?.into_iter();
    let mut batch = batch?;
    while let Some(some) = batch {
        put_batch(tx, look, inventory, &some, &mut known).await?;
        batch = Batch::take(&mut resources)?;
    }
    Ok(())
}

/// Puts a batch, of which the next of `known` tell what the store has.
async fn put_batch(
    tx: &mut Tx,
    look: Look,
    inventory: &mut Inventory,
    batch: &Batch<'_>,
    known: &mut impl Iterator<Item = Option<Known>>,
) -> Result<()> {
    let mut seen = Vec::with_capacity(batch.sent.len());
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    // In this order: what ends first takes none of `known` that belongs to the next batch.
    for (sent, known) in batch.sent.iter().zip(known) {
        let ordinal = match known {
            Some(known) => {
                let is = known.compared(sent);
                if is != Is::AsItWas {
                    changed.push((known.ordinal, sent));
                }
                if is == Is::Gone {
                    inventory.present += 1;
                }
                known.ordinal
            }
            None => {
                let ordinal = inventory.next_ordinal;
                inventory.next_ordinal += 1;
                inventory.present += 1;
                new.push((ordinal, sent));
                ordinal
            }
        };
        seen.push(ordinal);
    }
    write(tx, look, inventory, Write::New, &new, &batch.json).await?;
    write(tx, look, inventory, Write::Changed, &changed, &batch.json).await?;
    sight(tx, look, inventory, &seen).await
}

/// What the store has of each of the resources, in their order.
async fn known(
    tx: &mut Tx,
    look: Look,
    inventory: &Inventory,
    native_ids: &[String],
) -> Result<Vec<Option<Known>>> {
    // LATERAL with a limit: one look at the key for each, whatever the statistics say.
    let query = tx.query(
        "select array_agg(k.ordinal) as ordinals, array_agg(k.gone) as gone,
            array_agg(k.digest) as digests
         from (
            select 4096 * r.chunk + r.bit as ordinal, r.gone_at is not null as gone, r.digest
            from unnest($3::text[]) with ordinality as n (native_id, nth)
            left join lateral (
                select r.chunk, r.bit, r.digest, r.gone_at from resource r
                where r.organization_id = $1 and r.inventory_id = $2 and r.native_id = n.native_id
                limit 1
            ) r on true
            order by n.nth
         ) k",
    );
    let row = inventory
        .bind(query, look)
        .bind(native_ids)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let ordinals: Vec<Option<i64>> = row.try_get("ordinals").map_err(error::statement)?;
    let gone: Vec<bool> = row.try_get("gone").map_err(error::statement)?;
    let digests: Vec<Option<Vec<u8>>> = row.try_get("digests").map_err(error::statement)?;
    let found = ordinals.into_iter().zip(gone).zip(digests);
    let known = found.map(|((ordinal, is_gone), digest)| {
        ordinal.map(|ordinal| Known {
            ordinal,
            is_gone,
            digest,
        })
    });
    Ok(known.collect())
}

/// How resources are written.
#[derive(Clone, Copy)]
enum Write {
    /// They are not there, and nobody else can add them: the inventory is locked.
    New,
    Changed,
}

async fn write(
    tx: &mut Tx,
    look: Look,
    inventory: &Inventory,
    how: Write,
    dirty: &[(i64, &Sent<'_>)],
    json: &str,
) -> Result<()> {
    fn column<'a, T>(
        dirty: &'a [(i64, &'a Sent<'a>)],
        of: impl Fn(&'a (i64, &'a Sent<'a>)) -> T,
    ) -> Vec<T> {
        dirty.iter().map(of).collect()
    }
    macro_rules! insert {
        ($conflict:literal) => {
            concat!(
                "insert into resource (
                    organization_id, inventory_id, last_scan_id, looks,
                    chunk, bit, native_id, digest, name, tags, attributes
                 )
                 select $1, $2, $3, $4, n.ordinal / 4096, n.ordinal % 4096,
                    n.native_id, n.digest, n.name, n.tags::jsonb, n.attributes::jsonb
                 from unnest(
                    $5::bigint[], $6::text[], $7::bytea[], $8::text[], $9::text[], $10::text[]
                 ) as n (ordinal, native_id, digest, name, tags, attributes) ",
                $conflict
            )
        };
    }
    if dirty.is_empty() {
        return Ok(());
    }
    let query = tx.query(match how {
        Write::New => insert!(""),
        Write::Changed => insert!(
            "on conflict (organization_id, inventory_id, native_id) do update set
                last_scan_id = excluded.last_scan_id, looks = excluded.looks,
                digest = excluded.digest, name = excluded.name, tags = excluded.tags,
                attributes = excluded.attributes, gone_at = null, last_seen_at = clock_timestamp()"
        ),
    });
    inventory
        .bind(query, look)
        .bind(look.scan.as_uuid())
        .bind(inventory.looks)
        .bind(column(dirty, |(ordinal, _)| *ordinal))
        .bind(column(dirty, |(_, sent)| sent.native_id))
        .bind(column(dirty, |(_, sent)| sent.digest.as_slice()))
        .bind(column(dirty, |(_, sent)| sent.name.as_deref()))
        .bind(column(dirty, |(_, sent)| &json[sent.tags.clone()]))
        .bind(column(dirty, |(_, sent)| &json[sent.attributes.clone()]))
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Notes what the scan saw, and that no other one is the latest to have seen it.
async fn sight(tx: &mut Tx, look: Look, inventory: &Inventory, ordinals: &[i64]) -> Result<()> {
    let mut chunks: BTreeMap<i64, [u8; CHUNK as usize / 8]> = BTreeMap::new();
    for ordinal in ordinals {
        let bits = chunks
            .entry(ordinal / CHUNK)
            .or_insert([0; CHUNK as usize / 8]);
        let bit = (ordinal % CHUNK) as usize;
        // Bit strings count from the left.
        bits[bit / 8] |= 0x80 >> (bit % 8);
    }
    let query = tx.query(
        "with n as (
            select n.chunk, n.bits::bit(4096) as bits
            from unnest($4::bigint[], $5::text[]) as n (chunk, bits)
         ), others as (
            update sighting s set latest = s.latest & ~n.bits
            from n
            where s.organization_id = $1 and s.inventory_id = $2 and s.chunk = n.chunk
                and s.scan_id <> $3 and bit_count(s.latest & n.bits) > 0
         )
         insert into sighting as s (
            organization_id, inventory_id, scan_id, chunk, seen, latest
         )
         select $1, $2, $3, n.chunk, n.bits, n.bits from n
         on conflict (organization_id, inventory_id, chunk, scan_id) do update set
            seen = s.seen | excluded.seen, latest = s.latest | excluded.latest,
            seen_at = clock_timestamp()",
    );
    inventory
        .bind(query, look)
        .bind(look.scan.as_uuid())
        .bind(chunks.keys().copied().collect::<Vec<_>>())
        .bind(
            chunks
                .values()
                .map(|bits| format!("x{}", HEXLOWER.encode(bits)))
                .collect::<Vec<_>>(),
        )
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Writes down how many resources there are.
async fn write_counts(tx: &mut Tx, look: Look, inventory: &Inventory) -> Result<()> {
    let query = tx.query(
        "update inventory set next_ordinal = $3, present = $4
         where organization_id = $1 and id = $2",
    );
    inventory
        .bind(query, look)
        .bind(inventory.next_ordinal)
        .bind(inventory.present)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl Inventory {
    /// Its key, as the first two parameters.
    fn bind<'q>(&self, query: Query<'q>, look: Look) -> Query<'q> {
        query.bind(look.organization.as_uuid()).bind(self.id)
    }
}

/// Ends looks at inventories, as coverage says: a complete one leaves behind what the scan did not
/// see, which is gone from then on (P8: no other one does).
pub(super) async fn end_looks<'a>(
    tx: &mut Tx,
    account: CloudAccountId,
    scan: ScanId,
    coverage: impl Iterator<Item = &'a Coverage>,
) -> Result<()> {
    let mut ended: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for Coverage { task, status, .. } in coverage {
        if *status != CoverageStatus::Reading {
            let complete = ended
                .entry((task.kind.as_str(), task.region.as_str()))
                .or_default();
            *complete |= status.is_complete();
        }
    }
    if ended.is_empty() {
        return Ok(());
    }
    let query = tx.query("select end_looks($1, $2, $3, $4, $5)");
    query
        .bind(account.as_uuid())
        .bind(scan.as_uuid())
        .bind(ended.keys().map(|(kind, _)| *kind).collect::<Vec<_>>())
        .bind(ended.keys().map(|(_, region)| *region).collect::<Vec<_>>())
        .bind(ended.values().copied().collect::<Vec<_>>())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}
