//! Which rows of resources are written.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{Executor as _, Row as _};
use trueno_core::model::CoverageStatus;
use trueno_core::port::{ResourceFilter, TenantStore as _};
use trueno_store_postgres::PostgresStore;

use crate::support::{Database, keys};
use crate::{Account, account, assert_consistent, ids, volume, volumes};

/// Where each row lies, who wrote it, and who locked it.
async fn versions(database: &Database) -> BTreeMap<String, [String; 3]> {
    let mut admin = database.admin().await;
    let rows = admin
        .fetch_all(
            "select native_id, ctid::text, xmin::text, xmax::text from trueno.resource
             order by native_id",
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)]))
        .collect()
}

/// The native ids whose rows differ.
fn written<'a>(
    before: &BTreeMap<String, [String; 3]>,
    after: &'a BTreeMap<String, [String; 3]>,
) -> Vec<&'a str> {
    after
        .iter()
        .filter(|(id, version)| before.get(*id) != Some(version))
        .map(|(id, _)| id.as_str())
        .collect()
}

/// Connections of stores.
async fn another_look(account: &mut Account) {
    account.next_scan().await;
    account
        .look(volumes(0..1_500), CoverageStatus::Complete)
        .await;
}

#[tokio::test]
async fn what_is_as_it_was_is_neither_written_nor_locked() {
    let mut account = account().await;
    account
        .look(volumes(0..1_500), CoverageStatus::Complete)
        .await;
    let before = versions(&account.database).await;
    assert_eq!(before.len(), 1_500);
    for _ in 0..2 {
        another_look(&mut account).await;
        let after = versions(&account.database).await;
        assert_eq!(written(&before, &after), [""; 0]);
    }
    let seen = ResourceFilter::default().with_scan(account.run.scan);
    assert_eq!(account.list(seen).await.len(), 1_500, "it was seen, though");
    assert_consistent(&account.database).await;
}

/// The server's own counters say so too. A connection tells at the latest when it ends.
#[tokio::test]
async fn the_server_counts_no_write_of_what_is_as_it_was() {
    let account = account().await;
    let (database, lease) = (&account.database, &account.run.lease);
    let others = database.connections().await;
    for _ in 0..3 {
        let store = PostgresStore::connect(database.config(), &keys())
            .await
            .unwrap();
        let mut ingest = store.ingest(lease).await.unwrap();
        ingest.put_resources(volumes(0..300)).await.unwrap();
        ingest.commit().await.unwrap();
        store.close().await;
    }
    database.connections_end(others).await;
    let writes = "select (n_tup_ins + n_tup_upd + n_tup_del)::bigint
        from pg_stat_user_tables where relid = 'trueno.resource'::regclass";
    assert_eq!(database.number(writes).await, 300);
}

#[tokio::test]
async fn only_what_is_new_changed_or_back_is_written() {
    let mut account = account().await;
    account.look(volumes(0..20), CoverageStatus::Complete).await;
    account.next_scan().await;
    let without_the_first = volumes(1..20);
    account
        .look(without_the_first, CoverageStatus::Complete)
        .await;
    let before = versions(&account.database).await;

    account.next_scan().await;
    let mut seen = volumes(0..21);
    seen[3].attributes = json!({ "size_gib": 101 });
    seen[4].tags.clear();
    seen[5].name = None;
    seen[6].name = Some(String::new());
    account.look(seen.clone(), CoverageStatus::Complete).await;
    let after = versions(&account.database).await;
    let wanted = [0, 3, 4, 5, 6, 20].map(|id| format!("vol-{id:06}"));
    assert_eq!(written(&before, &after), wanted);
    let found = account.list(ResourceFilter::default()).await;
    let found: Vec<_> = found.into_iter().map(|record| record.resource).collect();
    assert_eq!(found, seen);
    assert_consistent(&account.database).await;
}

/// What the store has is asked of many at a time, and written in statements of some megabytes: each
/// resource keeps what was known of it.
#[tokio::test]
async fn what_is_known_of_large_resources_stays_theirs() {
    let mut account = account().await;
    let mut seen = volumes(0..60);
    for (nth, volume) in seen.iter_mut().enumerate() {
        volume.attributes = json!({ "nth": nth, "padding": "x".repeat(200 * 1_024) });
    }
    let without_some = seen[1..59].to_vec();
    account.look(without_some, CoverageStatus::Complete).await;
    let before = versions(&account.database).await;

    account.next_scan().await;
    seen[3].tags.clear();
    seen[40].name = None;
    seen[58].attributes = json!({ "nth": 58 });
    account.look(seen.clone(), CoverageStatus::Complete).await;
    let after = versions(&account.database).await;
    let wanted = [0, 3, 40, 58, 59].map(|id| format!("vol-{id:06}"));
    assert_eq!(written(&before, &after), wanted);
    let found = account.list(ResourceFilter::default()).await;
    let found: Vec<_> = found.into_iter().map(|record| record.resource).collect();
    assert!(found == seen, "each is as it was seen");
    assert_consistent(&account.database).await;
}

/// Rows that came from an older schema have no digest: the next look writes them, and no later one.
#[tokio::test]
async fn rows_of_older_programs_are_written_once_more() {
    let mut account = account().await;
    account.look(volumes(0..10), CoverageStatus::Complete).await;
    account
        .database
        .execute("update trueno.resource set digest = null")
        .await;
    let old = versions(&account.database).await;
    account.next_scan().await;
    account.look(volumes(0..10), CoverageStatus::Complete).await;
    let new = versions(&account.database).await;
    assert_eq!(written(&old, &new).len(), 10);
    account.next_scan().await;
    account.look(volumes(0..10), CoverageStatus::Complete).await;
    assert_eq!(
        written(&new, &versions(&account.database).await),
        [""; 0],
        "they have one now"
    );
}

/// A list takes as many inventories at a time as fill a page, and goes on where they did not.
#[tokio::test]
async fn a_list_walks_through_many_inventories() {
    let account = account().await;
    let mut all: Vec<_> = (0..120)
        .flat_map(|nth| {
            let region = format!("region-{:03}", nth / 3);
            let kind = ["ec2.address", "ec2.volume", "rds.instance"][nth % 3];
            (0..nth % 5).map(move |id| (kind, region.clone(), format!("id-{id}")))
        })
        .map(|(kind, region, id)| trueno_testkit::fixtures::resource(kind, &region, &id))
        .collect();
    let (last, rest) = all.split_last_mut().unwrap();
    last.tags.insert("Rare".to_owned(), "yes".to_owned());
    assert!(rest.len() > 200);
    account
        .world
        .ingest(&account.run.lease, async |ingest| {
            ingest.put_resources(all.clone()).await
        })
        .await
        .unwrap();
    all.sort_by(|a, b| a.reference.cmp(&b.reference));
    let mut view = account.world.view(&account.tenant).await;
    for limit in [1, 7, 64] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = trueno_core::port::PageRequest::first(limit).unwrap();
            let page = view
                .resources(&ResourceFilter::default(), &page.after(after))
                .await
                .unwrap();
            assert!(page.next.is_none() || page.items.len() == limit);
            found.extend(page.items.into_iter().map(|record| record.resource));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    let rare = trueno_core::port::tenant_store::TagFilter {
        key: "Rare".to_owned(),
        value: None,
    };
    let found = account.list(ResourceFilter::default().with_tag(rare)).await;
    assert_eq!(found.len(), 1, "however far it is");
    let of_kind = ResourceFilter::default().with_kind("rds.instance".parse().unwrap());
    let wanted = all
        .iter()
        .filter(|r| r.reference.kind.as_str() == "rds.instance");
    assert_eq!(account.list(of_kind).await.len(), wanted.count());
    assert_consistent(&account.database).await;
}

/// Tasks of one scan are written side by side, in whatever order they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_side_by_side_do_not_deadlock() {
    let account = std::sync::Arc::new(account().await);
    let tasks: Vec<_> = (0..8_usize)
        .map(|nth| {
            let account = account.clone();
            tokio::spawn(async move {
                for round in 0..5_usize {
                    let mut seen: Vec<_> = (0..40)
                        .map(|id| {
                            let region = format!("region-{}", (id + nth + round) % 4);
                            trueno_testkit::fixtures::resource(
                                "ec2.volume",
                                &region,
                                &format!("vol-{}", (id * 7 + nth) % 60),
                            )
                        })
                        .collect();
                    if nth % 2 == 0 {
                        seen.reverse();
                    }
                    let store = &account.world.store;
                    let mut ingest = store.ingest(&account.run.lease).await.unwrap();
                    ingest.put_resources(seen).await.unwrap();
                    ingest.commit().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_consistent(&account.database).await;
    let found = account.list(ResourceFilter::default()).await;
    assert!(found.len() > 60, "{:?}", ids(&found));
    assert_eq!(found[0].resource.reference.kind, volume("x").reference.kind);
}
