//! Lists: keyset pages in a stable order, each row once.

use std::collections::BTreeSet;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{FindingStatus, ResourceRef};
use trueno_core::port::tenant_store::FindingUpsert;
use trueno_core::port::{
    Cursor, FindingFilter, Page, PageRequest, ReadView, ResourceFilter, ScanFilter,
};

use super::World;
use crate::fixtures::{RunningScan, Tenant, finding, region, resource, resource_kind};

/// Reads a list to its end in pages of `limit`: full pages, then one that is the last.
async fn every_page<T>(
    limit: usize,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let request = PageRequest::first(limit).unwrap().after(cursor.take());
        let found = page(request).await.unwrap();
        assert!(found.items.len() <= limit, "a page keeps to its limit");
        let len = found.items.len();
        items.extend(found.items);
        match found.next {
            Some(next) => {
                assert_eq!(len, limit, "only the last page may be short");
                // What a client sends back is text.
                cursor = Some(next.to_string().parse().unwrap());
            }
            None => return items,
        }
    }
}

/// Resource names that sort differently by bytes than by a language's rules.
const NATIVE_IDS: [&str; 6] = ["Vol-2", "vol 2", "vol-1", "vol-10", "vol_1", "vol\u{e9}"];

async fn put(w: &World, run: &RunningScan, upserts: Vec<FindingUpsert>) {
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    for kind in ["ec2.volume", "ec2.image"] {
        for in_region in ["us-east-1", "eu-west-1"] {
            let ids = NATIVE_IDS.iter();
            let resources = ids.map(|id| resource(kind, in_region, id)).collect();
            ingest.put_resources(resources).await.unwrap();
        }
    }
    ingest.put_findings(upserts).await.unwrap();
    ingest.commit().await.unwrap();
}

/// Accounts come by id, each once, whatever the size of the pages.
pub async fn accounts_come_in_pages(w: World) {
    let tenant = w.organization().await;
    w.account(&w.organization().await).await;
    let mut wanted = Vec::new();
    for _ in 0..6 {
        wanted.push(w.pending_account(&tenant).await.id);
    }
    wanted.sort_unstable();
    for limit in [1, 2, 3, 4, 6, 1_000] {
        let mut view = w.view(&tenant).await;
        let found = every_page(limit, async |page| view.accounts(&page).await).await;
        let found: Vec<_> = found.iter().map(|account| account.id).collect();
        assert_eq!(found, wanted, "in pages of {limit}");
    }
}

/// Scans come newest first, and of one account where that is asked for.
pub async fn scans_come_newest_first(w: World) {
    let tenant = w.organization().await;
    let (one, two) = (w.account(&tenant).await, w.account(&tenant).await);
    let (mut all, mut ones) = (Vec::new(), Vec::new());
    for account in [&one, &two, &one, &one, &two] {
        let scan = w.request_scan(&tenant, account).await.scan;
        all.insert(0, scan);
        if account.id == one.id {
            ones.insert(0, scan);
        }
    }
    let of_one = ScanFilter::default().with_account(one.id);
    for (filter, wanted) in [(ScanFilter::default(), all), (of_one, ones)] {
        for limit in [1, 2, 1_000] {
            let mut view = w.view(&tenant).await;
            let found = every_page(limit, async |page| view.scans(&filter, &page).await).await;
            let found: Vec<_> = found.iter().map(|scan| scan.id).collect();
            assert_eq!(found, wanted, "in pages of {limit}");
        }
    }
}

/// Resources come by account, kind, region and native id, byte by byte, through every filter.
pub async fn resources_come_byte_by_byte(w: World) {
    let tenant = w.organization().await;
    let one = w.running_scan(&tenant).await;
    put(&w, &one, Vec::new()).await;
    let two = w.running_scan(&tenant).await;
    put(&w, &two, Vec::new()).await;

    let mut view = w.view(&tenant).await;
    let all = ResourceFilter::default();
    let found = every_page(7, async |page| view.resources(&all, &page).await).await;
    let found: Vec<ResourceRef> = found.into_iter().map(|found| found.reference).collect();
    let (first, second) = found.split_at(24);
    assert_eq!(
        first, second,
        "account by account, the same resources in the same order"
    );
    assert!(
        first.is_sorted(),
        "by kind, region, native id, byte by byte: {first:?}"
    );
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 24, "each once");

    let of_one = ResourceFilter::default().with_account(one.account.id);
    for (filter, count) in [
        (of_one.clone(), 24),
        (of_one.clone().with_kind(resource_kind("ec2.volume")), 12),
        (of_one.clone().with_region(region("eu-west-1")), 12),
        (of_one.clone().with_scan(one.scan), 24),
        (of_one.with_scan(two.scan), 0),
        (ResourceFilter::default().with_scan(two.scan), 24),
        (
            ResourceFilter::default()
                .with_kind(resource_kind("ec2.image"))
                .with_region(region("us-east-1")),
            12,
        ),
        (
            ResourceFilter::default().with_kind(resource_kind("ec2.snapshot")),
            0,
        ),
    ] {
        for limit in [5, 12, 1_000] {
            let mut view = w.view(&tenant).await;
            let found = every_page(limit, async |page| view.resources(&filter, &page).await).await;
            assert_eq!(found.len(), count, "{filter:?} in pages of {limit}");
            let fits = found.iter().all(|found| {
                let at = &found.reference;
                filter.kind.as_ref().is_none_or(|kind| *kind == at.kind)
                    && filter
                        .region
                        .as_ref()
                        .is_none_or(|region| *region == at.region)
            });
            assert!(fits, "{filter:?}: {found:?}");
        }
    }
}

/// Findings come by account and key, byte by byte, through every filter.
pub async fn findings_come_byte_by_byte(w: World) {
    let tenant = w.organization().await;
    let statuses = [
        FindingStatus::New,
        FindingStatus::Resolved,
        FindingStatus::Open,
        FindingStatus::Suppressed,
        FindingStatus::Reopened,
        FindingStatus::Acknowledged,
    ];
    let upserts = || {
        let pairs = NATIVE_IDS.iter().zip(statuses);
        pairs
            .map(|(id, status)| FindingUpsert {
                status,
                ..finding(id)
            })
            .collect()
    };
    let one = w.running_scan(&tenant).await;
    put(&w, &one, upserts()).await;
    let two = w.running_scan(&tenant).await;
    put(&w, &two, upserts()).await;

    for (filter, count) in [
        (FindingFilter::default(), 12),
        (FindingFilter::default().with_account(two.account.id), 6),
        (FindingFilter::default().with_scan(one.scan), 6),
        (
            FindingFilter::default()
                .with_account(one.account.id)
                .with_scan(two.scan),
            0,
        ),
        (
            FindingFilter::default()
                .with_account(one.account.id)
                .standing(),
            4,
        ),
    ] {
        for limit in [1, 4, 6, 1_000] {
            let mut view = w.view(&tenant).await;
            let found = every_page(limit, async |page| view.findings(&filter, &page).await).await;
            assert_eq!(found.len(), count, "{filter:?} in pages of {limit}");
            let keys: Vec<_> = found
                .iter()
                .map(|f| (f.account, f.draft.key.as_bytes()))
                .collect();
            assert!(
                keys.is_sorted(),
                "by account and key, byte by byte: {keys:?}"
            );
            assert_eq!(
                keys.iter().collect::<BTreeSet<_>>().len(),
                count,
                "each once"
            );
            let resolved = found.iter().any(|f| {
                matches!(
                    f.status,
                    FindingStatus::Resolved | FindingStatus::Suppressed
                )
            });
            assert!(!(filter.standing && resolved), "only those that stand");
        }
    }
}

/// P1: a cursor of another list, of another organization, or of nobody's, gives nothing of anybody
/// else's: it is refused, or leads to an empty page.
pub async fn a_foreign_cursor_gives_nothing(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    for tenant in [&one, &two] {
        for _ in 0..2 {
            let run = w.running_scan(tenant).await;
            put(&w, &run, vec![finding("vol-1"), finding("vol-2")]).await;
        }
    }
    let mine = cursors(&mut *w.view(&one).await).await;
    let theirs = cursors(&mut *w.view(&two).await).await;
    let nonsense: Vec<Cursor> = ["0", "\u{1f30d}", "AAAA", "' OR true --", "00000000"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    for (list, their_cursor) in theirs.iter().enumerate() {
        let other_lists = mine.iter().enumerate().filter(|(other, _)| *other != list);
        for (_, cursor) in other_lists {
            let found = page_of(&w, &one, list, cursor).await;
            assert!(
                found.is_empty(),
                "list {list}: a cursor of another list gave {found:?}"
            );
        }
        for cursor in &nonsense {
            let found = page_of(&w, &one, list, cursor).await;
            assert!(
                found.is_empty(),
                "list {list}: nobody's cursor {cursor} gave {found:?}"
            );
        }
        let own: BTreeSet<_> = whole_list(&w, &one, list).await.into_iter().collect();
        for item in page_of(&w, &one, list, their_cursor).await {
            assert!(
                own.contains(&item),
                "P1: list {list}: another organization's {item}"
            );
        }
    }
}

/// A cursor of each list: accounts, scans, resources, findings.
async fn cursors(view: &mut dyn ReadView) -> Vec<Cursor> {
    let page = PageRequest::first(1).unwrap();
    vec![
        view.accounts(&page).await.unwrap().next.unwrap(),
        view.scans(&ScanFilter::default(), &page)
            .await
            .unwrap()
            .next
            .unwrap(),
        view.resources(&ResourceFilter::default(), &page)
            .await
            .unwrap()
            .next
            .unwrap(),
        view.findings(&FindingFilter::default(), &page)
            .await
            .unwrap()
            .next
            .unwrap(),
    ]
}

/// What list number `list` gives after `cursor`, as text; nothing where the cursor is refused.
async fn page_of(w: &World, tenant: &Tenant, list: usize, cursor: &Cursor) -> Vec<String> {
    let page = PageRequest::largest().after(Some(cursor.clone()));
    match items(w, tenant, list, &page).await {
        Ok(items) => items,
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::InvalidInput,
                "a foreign cursor: {error:?}"
            );
            Vec::new()
        }
    }
}

async fn whole_list(w: &World, tenant: &Tenant, list: usize) -> Vec<String> {
    items(w, tenant, list, &PageRequest::largest())
        .await
        .unwrap()
}

async fn items(w: &World, tenant: &Tenant, list: usize, page: &PageRequest) -> Result<Vec<String>> {
    fn texts<T: std::fmt::Debug>(page: Page<T>) -> Vec<String> {
        page.items.iter().map(|item| format!("{item:?}")).collect()
    }
    let mut view = w.view(tenant).await;
    Ok(match list {
        0 => texts(view.accounts(page).await?),
        1 => texts(view.scans(&ScanFilter::default(), page).await?),
        2 => texts(view.resources(&ResourceFilter::default(), page).await?),
        _ => texts(view.findings(&FindingFilter::default(), page).await?),
    })
}
