//! Views: consistent, and silent about what is not there.

use trueno_core::error::ErrorKind;
use trueno_core::model::{AccountStatus, CoverageStatus};
use trueno_core::port::{FindingFilter, PageRequest, ResourceFilter, ScanFilter};
use trueno_core::state::cloud_account::AccountEvent;

use super::World;
use crate::fixtures::{coverage, finding, resource, task};
use crate::suite::refused;

/// A view answers as of the moment it was opened, whatever is committed meanwhile; and it keeps
/// nobody from committing.
pub async fn a_view_answers_as_of_its_opening(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let waiting = w.enqueue(&tenant, w.job()).await;
    let mut view = w.view(&tenant).await;

    let added = w.account(&tenant).await;
    w.apply(&tenant, &run.account, AccountEvent::Paused).await;
    w.queue.cancel(&tenant.scan, waiting).await.unwrap();
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", "eu-west-1", "vol-1")])
        .await
        .unwrap();
    let read = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
    ingest.put_coverage(vec![read]).await.unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    ingest.commit().await.unwrap();

    let page = PageRequest::largest();
    let status = view.account(run.account.id).await.unwrap().status;
    assert_eq!(status, AccountStatus::Active, "a change since is not seen");
    assert_eq!(
        view.accounts(&page).await.unwrap().items,
        std::slice::from_ref(&run.account)
    );
    assert_eq!(
        view.resources(&ResourceFilter::default(), &page)
            .await
            .unwrap()
            .items,
        []
    );
    assert_eq!(
        view.findings(&FindingFilter::default(), &page)
            .await
            .unwrap()
            .items,
        []
    );
    assert_eq!(view.coverage(run.scan).await.unwrap(), []);
    assert_eq!(view.job(waiting).await.unwrap().finished_at, None);
    refused(
        view.account(added.id).await,
        ErrorKind::NotFound,
        "an account added since",
    );
    assert_eq!(
        view.scans(&ScanFilter::default(), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let mut later = w.view(&tenant).await;
    assert_eq!(
        later.account(added.id).await.unwrap(),
        added,
        "a later view sees it all"
    );
    let status = later.account(run.account.id).await.unwrap().status;
    assert_eq!(status, AccountStatus::Paused);
    assert_eq!(
        later
            .resources(&ResourceFilter::default(), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        later
            .findings(&FindingFilter::default(), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(later.coverage(run.scan).await.unwrap().len(), 1);
    assert!(later.job(waiting).await.unwrap().finished_at.is_some());
}

/// What is not there is not found, and lists of it are empty.
pub async fn what_is_not_there_is_not_found(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let missing = "what is not there";
    let view = async || w.view(&tenant).await;
    refused(
        view().await.account(w.id()).await,
        ErrorKind::NotFound,
        missing,
    );
    refused(
        view().await.scan(w.id()).await,
        ErrorKind::NotFound,
        missing,
    );
    refused(
        view().await.coverage(w.id()).await,
        ErrorKind::NotFound,
        missing,
    );
    refused(view().await.job(w.id()).await, ErrorKind::NotFound, missing);
    refused(
        view().await.finding(account.id, "no/such/key").await,
        ErrorKind::NotFound,
        missing,
    );
    refused(
        view().await.finding(w.id(), "no/such/key").await,
        ErrorKind::NotFound,
        missing,
    );
    let page = PageRequest::largest();
    let scans = ScanFilter::default().with_account(w.id());
    assert_eq!(view().await.scans(&scans, &page).await.unwrap().items, []);
    let resources = ResourceFilter::default().with_account(w.id());
    assert_eq!(
        view()
            .await
            .resources(&resources, &page)
            .await
            .unwrap()
            .items,
        []
    );
    let findings = FindingFilter::default().with_scan(w.id());
    assert_eq!(
        view().await.findings(&findings, &page).await.unwrap().items,
        []
    );
}

/// A view goes on after it answered that something is not there.
pub async fn a_view_goes_on_after_not_found(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let mut view = w.view(&tenant).await;
    refused(
        view.account(w.id()).await,
        ErrorKind::NotFound,
        "what is not there",
    );
    assert_eq!(view.account(account.id).await.unwrap(), account);
}

/// A lease's scope reads its organization while the lease is held.
pub async fn the_holder_of_a_lease_reads(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut view = w.store.read(run.lease.scope()).await.unwrap();
    assert_eq!(view.scan(run.scan).await.unwrap().job, run.job);
    assert_eq!(view.account(run.account.id).await.unwrap(), run.account);
}
