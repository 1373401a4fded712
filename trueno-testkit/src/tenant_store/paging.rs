//! Lists: keyset pages in a stable order, each row once.

use std::collections::BTreeSet;

use trueno_core::error::Result;
use trueno_core::model::{FindingDraft, FindingStatus, ResourceRef};
use trueno_core::port::{Cursor, FindingFilter, Page, PageRequest, ResourceFilter, ScanFilter};

use super::World;
use crate::fixtures::{RunningScan, finding, region, resource, resource_kind};

/// Reads a list to its end in pages of `limit`: full pages, then one that is the last.
pub(super) async fn every_page<T>(
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

async fn put(w: &World, run: &RunningScan, drafts: Vec<FindingDraft>) {
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    for kind in ["ec2.volume", "ec2.image"] {
        for in_region in ["us-east-1", "eu-west-1"] {
            let ids = NATIVE_IDS.iter();
            let resources = ids.map(|id| resource(kind, in_region, id)).collect();
            ingest.put_resources(resources).await.unwrap();
        }
    }
    ingest.put_findings(drafts).await.unwrap();
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
    let found: Vec<ResourceRef> = found
        .into_iter()
        .map(|found| found.resource.reference)
        .collect();
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
                let at = &found.resource.reference;
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
    let drafts = || NATIVE_IDS.iter().map(|id| finding(id)).collect();
    let one = w.running_scan(&tenant).await;
    put(&w, &one, drafts()).await;
    w.resolve(&one, &NATIVE_IDS[1..=2]).await;
    let two = w.running_scan(&tenant).await;
    put(&w, &two, drafts()).await;

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
            let resolved = found.iter().any(|f| f.status == FindingStatus::Resolved);
            assert!(!(filter.standing && resolved), "only those that stand");
        }
    }
}
