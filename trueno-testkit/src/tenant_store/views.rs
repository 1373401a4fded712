//! Views: consistent, and silent about what is not there.

use trueno_core::access::Action;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{AccountStatus, CoverageStatus, NewComment, Resource, ResourceRecord};
use trueno_core::port::tenant_store::TagFilter;
use trueno_core::port::{Count, FindingFilter, PageRequest, ResourceFilter, ScanFilter};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::twins::{everything, see, twins};
use crate::fixtures::{coverage, finding, finding_id, resource, task};
use crate::suite::refused;

/// What was seen, without what the store says of it.
pub(super) fn resources_of(records: &[ResourceRecord]) -> Vec<Resource> {
    records
        .iter()
        .map(|record| record.resource.clone())
        .collect()
}

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

/// Whatever a view shows is as of its opening: nothing of what members do meanwhile is seen, not even
/// that the organization is erased.
pub async fn a_view_shows_nothing_later_than_its_opening(w: World) {
    let (twin, _) = twins(&w).await;
    let tenant = &twin.tenant;
    let before = everything(&w, &twin).await;
    let (mut view, mut other) = (w.view(tenant).await, w.view(tenant).await);
    let finding = w.read_finding(tenant, twin.finding()).await;
    w.step(&tenant.findings, &finding, FindingStep::Start)
        .await
        .unwrap();
    let approve = ExceptionDecision::Approve;
    w.decide(&twin.decides, &twin.exception, approve)
        .await
        .unwrap();
    let comment = NewComment::new(w.id(), finding.id, "later").unwrap();
    w.change(&tenant.members, async |unit| {
        unit.add_comment(comment).await?;
        unit.remove_schedule(twin.schedule.id, 1).await?;
        unit.remove_member(twin.member, 1).await
    })
    .await
    .unwrap();
    let seen = see(&mut *view, &twin.run, finding.id).await;
    assert_eq!(seen, before, "as of its opening");
    let erases = w.scope(tenant, tenant.owner, Action::EraseOrganization);
    let erases = erases.await;
    w.change(&erases, async |unit| unit.erase_organization().await)
        .await
        .unwrap();
    let seen = see(&mut *other, &twin.run, finding.id).await;
    assert_eq!(seen, before, "as of its opening");
}

/// A filter may hold any text: what nothing stored can hold gives nothing, or is refused.
pub async fn a_filter_may_hold_any_text(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.find(&run, &["vol-1"]).await;
    let page = PageRequest::largest();
    for text in ["\0", "a\0b", "\u{feff}", "\\", "%", &"x".repeat(1_000_000)] {
        let tags = [None, Some("v"), Some(text)].map(|value| TagFilter {
            key: if value == Some("v") { "k" } else { text }.to_owned(),
            value: value.map(str::to_owned),
        });
        let mut filters = tags
            .clone()
            .map(|tag| FindingFilter::default().with_tag(tag))
            .to_vec();
        filters.push(FindingFilter::default().with_check(text));
        for filter in filters {
            let mut view = w.view(&tenant).await;
            let found = view
                .findings(&filter, &page)
                .await
                .map(|page| page.items.len());
            let mut view = w.view(&tenant).await;
            let count = view.count_findings(&filter).await;
            for answer in [
                found,
                count.map(|count| usize::from(count != Count::Exactly(0))),
            ] {
                nothing(answer, text);
            }
        }
        for tag in tags {
            let filter = ResourceFilter::default().with_tag(tag);
            let mut view = w.view(&tenant).await;
            let found = view.resources(&filter, &page).await;
            nothing(found.map(|page| page.items.len()), text);
        }
    }
}

#[track_caller]
fn nothing(answer: Result<usize>, text: &str) {
    let text: String = text.chars().take(20).collect();
    match answer {
        Ok(count) => assert_eq!(count, 0, "{text:?}"),
        refusal => drop(refused(refusal, ErrorKind::InvalidInput, &text)),
    }
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
        view().await.finding(finding_id(account.id, "vol-1")).await,
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
