//! What fenced batches cost beside a hand-written upsert, and what looking again costs.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{Connection as _, Row as _};
use tokio::time::Instant;
use trueno_core::model::Resource;
use trueno_core::port::{Lease, TenantStore};
use uuid::Uuid;

use crate::data::{BATCH, complete, resources};
use crate::notices::{Notices, store_with};
use crate::report::{Line, Target};
use crate::support::Database;
use crate::world::Bench;
use crate::{Options, note};

const ROWS: usize = 100_000;

pub(crate) async fn run(options: &Options, notices: &Notices) {
    let rows = options.rows(ROWS);
    note!("ingest: {rows} resources, in batches of {BATCH}");
    let bench = Bench::new().await;
    let tenant = bench.world.organization().await;
    let account = bench.world.account(&tenant).await;
    bench.database.execute(TABLE).await;
    let mut peer = bench.database.admin().await;

    let lease = bench.scan(&tenant, &account).await;
    let ids = [tenant.id.as_uuid(), account.id.as_uuid(), bench.world.id()];
    // Each look is by another worker, whose connections end with it: what they did is counted then.
    let store = store_with(&bench.database, &[]).await;
    let (mut first, mut by_hand) = (Duration::ZERO, Duration::ZERO);
    for (nth, batch) in batches(rows).enumerate() {
        let copy = batch.clone();
        // In turns, so that neither always comes when the other has just filled the log.
        if nth % 2 == 0 {
            first += put(&store, &lease, batch).await;
            by_hand += upsert(&mut peer, ids, copy).await;
        } else {
            by_hand += upsert(&mut peer, ids, copy).await;
            first += put(&store, &lease, batch).await;
        }
        // What sqlx tells is not needed here, and is not to be kept.
        notices.take();
    }
    first += look_is_complete(&store, &lease).await;
    store.close().await;
    bench.finish(&lease).await;
    let rate = |time: Duration| rows as f64 / time.as_secs_f64();
    Line {
        metric: "ingest rate",
        peer: "hand-written UNNEST upsert, rows/s",
        ours: rate(first),
        peer_value: rate(by_hand),
        target: Some(Target::AtLeast(0.5)),
    }
    .print("store");

    // Nothing changed in the account.
    let before = first_written(&bench.database, rows as i64).await;
    let lease = bench.scan(&tenant, &account).await;
    let store = store_with(&bench.database, &[]).await;
    let mut again = Duration::ZERO;
    for batch in batches(rows) {
        again += put(&store, &lease, batch).await;
        notices.take();
    }
    again += look_is_complete(&store, &lease).await;
    store.close().await;
    bench.finish(&lease).await;
    bench.store.close().await;
    all_are_gone(&bench.database).await;
    let after = written(&bench.database).await;
    note!(
        "ingest: looking again wrote {} rows that say what was seen",
        after.seen - before.seen
    );
    Line {
        metric: "ingest rescan",
        peer: "first ingest, s",
        ours: again.as_secs_f64(),
        peer_value: first.as_secs_f64(),
        target: Some(Target::AtMost(0.3)),
    }
    .print("store");
    let moved = if after.versions == before.versions {
        0
    } else {
        1
    };
    Line {
        metric: "ingest rescan rows written",
        peer: "none",
        ours: (after.writes - before.writes).max(moved) as f64,
        peer_value: 0.0,
        target: Some(Target::AtMost(0.0)),
    }
    .print("store");
}

fn batches(rows: usize) -> impl Iterator<Item = Vec<Resource>> {
    (0..rows)
        .step_by(BATCH)
        .map(move |from| resources(from, (from + BATCH).min(rows)))
}

/// One fenced batch, from opening it to its commit.
async fn put(store: &dyn TenantStore, lease: &Lease, batch: Vec<Resource>) -> Duration {
    let started = Instant::now();
    let mut ingest = store.ingest(lease).await.unwrap();
    ingest.put_resources(batch).await.unwrap();
    ingest.commit().await.unwrap();
    started.elapsed()
}

/// The end of a look: what it did not see is gone from then on.
async fn look_is_complete(store: &dyn TenantStore, lease: &Lease) -> Duration {
    let started = Instant::now();
    let mut ingest = store.ingest(lease).await.unwrap();
    ingest.put_coverage(complete()).await.unwrap();
    ingest.commit().await.unwrap();
    started.elapsed()
}

const TABLE: &str = "create schema peer;
    create table peer.resource (
        organization_id uuid not null,
        account_id uuid not null,
        kind text collate \"C\" not null,
        region text collate \"C\" not null,
        native_id text collate \"C\" not null,
        name text,
        tags jsonb not null,
        attributes jsonb not null,
        last_scan_id uuid not null,
        first_seen_at timestamptz not null default clock_timestamp(),
        last_seen_at timestamptz not null default clock_timestamp(),
        primary key (organization_id, account_id, kind, region, native_id)
    );";

/// The same batch as one would write it by hand: no lease, no policy, no foreign key.
async fn upsert(connection: &mut PgConnection, ids: [Uuid; 3], batch: Vec<Resource>) -> Duration {
    let started = Instant::now();
    fn column<'a, T>(batch: &'a [Resource], of: impl Fn(&'a Resource) -> T) -> Vec<T> {
        batch.iter().map(of).collect()
    }
    let mut transaction = connection.begin().await.unwrap();
    let [organization, account, scan] = ids;
    sqlx::query(
        "insert into peer.resource (
            organization_id, account_id, last_scan_id,
            kind, region, native_id, name, tags, attributes
         )
         select $1, $2, $3, r.*
         from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[]) r
         on conflict (organization_id, account_id, kind, region, native_id) do update set
            last_scan_id = excluded.last_scan_id, name = excluded.name, tags = excluded.tags,
            attributes = excluded.attributes, last_seen_at = clock_timestamp()",
    )
    .bind(organization)
    .bind(account)
    .bind(scan)
    .bind(column(&batch, |r| r.reference.kind.as_str()))
    .bind(column(&batch, |r| r.reference.region.as_str()))
    .bind(column(&batch, |r| r.reference.native_id.as_str()))
    .bind(column(&batch, |r| r.name.as_deref()))
    .bind(column(&batch, |r| Json(&r.tags)))
    .bind(column(&batch, |r| Json(&r.attributes)))
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    started.elapsed()
}

/// What was ever written to the store's resources.
struct Written {
    /// Rows inserted, updated and deleted, as the server counts.
    writes: i64,
    /// The same of what says what scans saw: one row for 4,096 resources.
    seen: i64,
    /// Of where each row lies and which transaction wrote it.
    versions: i64,
}

async fn written(database: &Database) -> Written {
    let mut admin = database.admin().await;
    let row = sqlx::query(
        "select s.writes, s.seen, (
            select bit_xor(hashtextextended(ctid::text || xmin::text || native_id, 0))
            from trueno.resource
         ) as versions
         from (
            select coalesce(sum(w.writes) filter (where w.relname = 'resource'), 0)::bigint as writes,
                coalesce(sum(w.writes) filter (where w.relname <> 'resource'), 0)::bigint as seen
            from (
                select relname, n_tup_ins + n_tup_upd + n_tup_del as writes
                from pg_stat_user_tables
                where schemaname = 'trueno' and relname in ('resource', 'sighting', 'inventory')
            ) w
         ) s",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    Written {
        writes: row.get("writes"),
        seen: row.get("seen"),
        versions: row.get("versions"),
    }
}

/// What the first look wrote. A connection counts what it did when it ends, a moment after it was
/// closed: waited for until as many rows are counted as there are.
async fn first_written(database: &Database, rows: i64) -> Written {
    for _ in 0..MOMENTS {
        let written = written(database).await;
        if written.writes == rows {
            return written;
        }
        tokio::time::sleep(MOMENT).await;
    }
    panic!("the first look's rows were counted");
}

/// Waits until the server has ended every connection of a store.
async fn all_are_gone(database: &Database) {
    let there = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'trueno'";
    for _ in 0..MOMENTS {
        if database.number(there).await == 0 {
            return;
        }
        tokio::time::sleep(MOMENT).await;
    }
    panic!("the server ends what was closed");
}

const MOMENT: Duration = Duration::from_millis(20);
const MOMENTS: u32 = 1_500;
