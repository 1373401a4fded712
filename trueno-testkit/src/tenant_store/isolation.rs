//! P1 over what the store reads: one case per method.

use trueno_core::port::{FindingFilter, JobFilter, PageRequest, ResourceFilter, ScanFilter};

use super::World;
use super::twins::{alike, foreign, twins};
use crate::fixtures::finding_id;

/// P1: `account`.
pub async fn isolation_account(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.account(f.account).await,
        f.missing.account(w.id()).await,
    );
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let read = w
            .view(&twin.tenant)
            .await
            .account(twin.run.account.id)
            .await
            .unwrap();
        assert_eq!(
            (read.organization, read.name.as_str()),
            (twin.tenant.id, name)
        );
    }
}

/// P1: `accounts`.
pub async fn isolation_accounts(w: World) {
    let mut f = foreign(&w).await;
    assert_eq!(
        f.view
            .accounts(&PageRequest::largest())
            .await
            .unwrap()
            .items,
        []
    );
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let listed = view.accounts(&PageRequest::largest()).await.unwrap().items;
        assert_eq!(
            listed,
            std::slice::from_ref(&twin.run.account),
            "P1: its own alone"
        );
    }
}

/// P1: `scan`.
pub async fn isolation_scan(w: World) {
    let mut f = foreign(&w).await;
    alike(f.view.scan(f.scan).await, f.missing.scan(w.id()).await);
}

/// P1: `scans`, also by another organization's account.
pub async fn isolation_scans(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        ScanFilter::default(),
        ScanFilter::default().with_account(f.account),
    ] {
        assert_eq!(
            f.view.scans(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
}

/// P1: `coverage`.
pub async fn isolation_coverage(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.coverage(f.scan).await,
        f.missing.coverage(w.id()).await,
    );
}

/// P1: `resources`, also by another organization's account or scan.
pub async fn isolation_resources(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        ResourceFilter::default(),
        ResourceFilter::default().with_account(f.account),
        ResourceFilter::default().with_scan(f.scan),
    ] {
        assert_eq!(
            f.view.resources(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let mut view = w.view(&twin.tenant).await;
        let filter = ResourceFilter::default().with_account(twin.run.account.id);
        let listed = view.resources(&filter, &page).await.unwrap().items;
        assert_eq!(listed.len(), 1);
        assert_eq!(
            listed[0].resource.name.as_deref(),
            Some(name),
            "P1: its own alone"
        );
    }
}

/// P1: `findings`, also by another organization's account or scan.
pub async fn isolation_findings(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        FindingFilter::default(),
        FindingFilter::default().with_account(f.account),
        FindingFilter::default().with_scan(f.scan).standing(),
    ] {
        assert_eq!(
            f.view.findings(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
}

/// P1: `finding`.
pub async fn isolation_finding(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.finding(finding_id(f.account, "vol-1")).await,
        f.missing.finding(finding_id(w.id(), "vol-1")).await,
    );
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let mut view = w.view(&twin.tenant).await;
        let id = finding_id(twin.run.account.id, "vol-1");
        let read = view.finding(id).await.unwrap();
        assert_eq!(read.draft.name.as_deref(), Some(name), "P1: its own");
    }
}

/// P1: `job`.
pub async fn isolation_job(w: World) {
    let mut f = foreign(&w).await;
    alike(f.view.job(f.job).await, f.missing.job(w.id()).await);
}

/// P1: `jobs`.
pub async fn isolation_jobs(w: World) {
    let mut f = foreign(&w).await;
    let every = JobFilter::default();
    let seen = f.view.jobs(&every, &PageRequest::largest()).await.unwrap();
    assert!(
        seen.items.iter().all(|job| job.id != f.job),
        "P1: not of another's"
    );
}

/// P1: `memberships` tells a user of the user's own organizations alone.
pub async fn isolation_memberships(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let found = w.store.memberships(one.owner).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(
        found
            .iter()
            .all(|m| m.organization == one.id && m.user == one.owner)
    );
    assert!(
        found.iter().all(|m| m.organization != two.id),
        "P1: not of another's"
    );
}
