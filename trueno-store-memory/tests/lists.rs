//! Lists of this store: what their cursors are good for, and what they are worked out from.

#![allow(clippy::unwrap_used, reason = "test code: a helper fails by panicking")]

mod common;

use common::Memory;
use trueno_core::error::ErrorKind;
use trueno_core::id::{CloudAccountId, FindingId};
use trueno_core::model::{CoverageStatus, FindingDraft, NewComment};
use trueno_core::money::Saving;
use trueno_core::port::{
    Count, Cursor, ExceptionFilter, FindingFilter, PageRequest, ReadView, ResourceFilter, TagFilter,
};
use trueno_core::state::finding::FindingStep;
use trueno_testkit::fixtures::{
    RunningScan, World, coverage, finding, finding_id, region, resource, saving, task,
};
use trueno_testkit::suite::refused;

async fn world() -> World {
    World::new(Memory::new().await).await
}

async fn put(w: &World, run: &RunningScan, drafts: Vec<FindingDraft>) {
    let written = w.ingest(&run.lease, async |batch| batch.put_findings(drafts).await);
    written.await.unwrap();
}

/// A cursor of one finding's history or comments is none of another's, nor of any other list.
#[tokio::test]
async fn a_cursor_is_good_for_one_list_of_one_finding() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.find(&run, &["vol-1", "vol-2"]).await;
    let ids = ["vol-1", "vol-2"].map(|name| finding_id(run.account.id, name));
    for id in ids {
        let found = w.read_finding(&tenant, id).await;
        let step = FindingStep::Acknowledge;
        w.step(&tenant.findings, &found, step).await.unwrap();
        w.change(&tenant.findings, async |unit| {
            for text in ["one", "two"] {
                let new = NewComment::new(w.id(), id, text).unwrap();
                unit.add_comment(new).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    let mut view = w.view(&tenant).await;
    let one = PageRequest::first(1).unwrap();
    let [mine, other] = ids;
    let history = view.finding_history(mine, &one).await.unwrap().next;
    let history = one.clone().after(history);
    let comments = view.comments(mine, &one).await.unwrap().next;
    let comments = one.clone().after(comments);
    let page = view.finding_history(mine, &history).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.next, None, "and no other finding's");
    let page = view.comments(mine, &comments).await.unwrap();
    assert_eq!(page.items[0].text, "two");
    assert_eq!(page.next, None, "and no other finding's");
    for foreign in [&history, &comments] {
        refuse_everywhere(view.as_mut(), other, foreign).await;
    }
}

/// Each list refuses the cursor, since it gave out no such one.
async fn refuse_everywhere(view: &mut dyn ReadView, id: FindingId, page: &PageRequest) {
    let kind = ErrorKind::InvalidInput;
    refused(view.finding_history(id, page).await, kind, "history");
    refused(view.comments(id, page).await, kind, "comments");
    refused(view.members(page).await, kind, "members");
    refused(view.schedules(page).await, kind, "schedules");
    refused(view.audit_events(page).await, kind, "audit");
    refused(view.recommendations(None, page).await, kind, "recommend");
    let filter = ExceptionFilter::default();
    refused(view.exceptions(&filter, page).await, kind, "exceptions");
    let filter = FindingFilter::default();
    refused(view.findings(&filter, page).await, kind, "findings");
}

/// Cursors that nobody gave out are refused, however well they begin.
#[tokio::test]
async fn a_cursor_that_nobody_gave_out_is_refused() {
    let w = world().await;
    let tenant = w.organization().await;
    let mut view = w.view(&tenant).await;
    for text in ["members.", "audit.!", "exceptions.e30", "schedules.bnVsbA"] {
        let cursor = Cursor::from_key(text.to_owned());
        let page = PageRequest::largest().after(Some(cursor));
        let kind = ErrorKind::InvalidInput;
        refused(view.members(&page).await, kind, text);
        refused(view.schedules(&page).await, kind, text);
        refused(view.audit_events(&page).await, kind, text);
        refused(view.recommendations(None, &page).await, kind, text);
        let filter = ExceptionFilter::default();
        refused(view.exceptions(&filter, &page).await, kind, text);
    }
}

/// No text that is stored holds a NUL: to ask for one is a mistake that is named.
#[tokio::test]
async fn a_filter_with_a_nul_is_refused() {
    let w = world().await;
    let tenant = w.organization().await;
    let mut view = w.view(&tenant).await;
    let page = PageRequest::largest();
    let tag = |key: &str, value: Option<&str>| TagFilter {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    };
    for tag in [tag("\0", None), tag("Owner", Some("a\0"))] {
        let filter = ResourceFilter::default().with_tag(tag.clone());
        let answer = view.resources(&filter, &page).await;
        let error = refused(answer, ErrorKind::InvalidInput, "resources");
        assert!(error.to_string().starts_with("tag: "), "{error}");
        let filter = FindingFilter::default().with_tag(tag);
        let answer = view.findings(&filter, &page).await;
        refused(answer, ErrorKind::InvalidInput, "findings");
        let answer = view.count_findings(&filter).await;
        refused(answer, ErrorKind::InvalidInput, "count");
    }
    let filter = FindingFilter::default().with_check("ec2\0");
    let error = refused(
        view.findings(&filter, &page).await,
        ErrorKind::InvalidInput,
        "findings",
    );
    assert!(error.to_string().starts_with("check: "), "{error}");
}

/// Counts are exact where the store could keep them, and end at the limit elsewhere.
#[tokio::test]
async fn counts_end_at_the_limit_where_nobody_keeps_them() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let names: Vec<String> = (0..1_001).map(|nth| format!("vol-{nth:04}")).collect();
    let drafts = names.iter().map(|name| finding(name));
    put(&w, &run, drafts.clone().take(999).collect()).await;
    let kept = FindingFilter::default().with_account(run.account.id);
    let loose = kept.clone().with_region(region("eu-west-1"));
    let mut view = w.view(&tenant).await;
    let nearly = Count::Exactly(999);
    assert_eq!(view.count_findings(&kept).await.unwrap(), nearly);
    assert_eq!(view.count_findings(&loose).await.unwrap(), nearly);
    for (more, exact) in [(1, 1_000), (1, 1_001)] {
        put(
            &w,
            &run,
            drafts.clone().skip(exact as usize - 1).take(more).collect(),
        )
        .await;
        let mut view = w.view(&tenant).await;
        let count = view.count_findings(&kept).await.unwrap();
        assert_eq!(count, Count::Exactly(exact));
        let count = view.count_findings(&loose).await.unwrap();
        assert_eq!(count, Count::AtLeast(1_000));
    }
}

/// A finding in a group, `""` for none, with a saving, `None` for unknown.
fn priced(name: &str, at: &str, group: &str, micros: Option<i64>) -> FindingDraft {
    let mut draft = finding(name);
    draft.resource.region = region(at);
    draft.conflict_group = (!group.is_empty()).then(|| group.to_owned());
    draft.monthly_saving = micros.map_or(Saving::Unknown, saving);
    draft
}

async fn all_by(
    view: &mut dyn ReadView,
    account: Option<CloudAccountId>,
    limit: usize,
) -> Vec<(CloudAccountId, String, u64)> {
    let mut all = Vec::new();
    let mut page = Some(PageRequest::first(limit).unwrap());
    while let Some(request) = page.take() {
        let found = view.recommendations(account, &request).await.unwrap();
        assert!(found.items.len() <= limit);
        all.extend(found.items.into_iter().map(|row| {
            let name = row.key.rsplit('/').next().unwrap().to_owned();
            (row.account, name, row.alternatives)
        }));
        page = found.next.map(|next| request.after(Some(next)));
    }
    all
}

/// The best of each group, in one order, whatever the size of its pages: the largest known saving,
/// a known one before an unknown one however small, and of equal ones the first by key. A group and
/// a finding's own key are never the same, even with the same text.
#[tokio::test]
async fn of_each_group_one_is_recommended() {
    let w = world().await;
    let tenant = w.organization().await;
    let twin = finding("h").key;
    let look = vec![
        priced("a", "eu-west-1", "g1", Some(5)),
        priced("b", "eu-west-1", "g1", Some(7)),
        priced("c", "eu-west-1", "g1", Some(7)),
        priced("d", "eu-west-1", "g2", None),
        priced("e", "eu-west-1", "g2", Some(-3)),
        priced("f", "eu-central-1", "g1", None),
        priced("g", "eu-central-1", "g1", None),
        priced("h", "eu-west-1", "", Some(1)),
        priced("i", "eu-west-1", &twin, Some(2)),
    ];
    let mut wanted = Vec::new();
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let run = w.running_scan(&tenant).await;
        put(&w, &run, look.clone()).await;
        let account = run.account.id;
        accounts.push(account);
        // By region, then by text: the findings' keys begin with "ec2", before every "g".
        let best = [("f", 1), ("i", 0), ("h", 0), ("b", 2), ("e", 1)];
        wanted.extend(best.map(|(name, others)| (account, name.to_owned(), others)));
    }
    let mut view = w.view(&tenant).await;
    for limit in [1, 2, 5, 7, 1_000] {
        assert_eq!(all_by(view.as_mut(), None, limit).await, wanted, "{limit}");
        let second = all_by(view.as_mut(), Some(accounts[1]), limit).await;
        assert_eq!(second, wanted[5..], "{limit}");
    }
    // A cursor of the whole list, for one account: no row of another.
    let one = PageRequest::first(1).unwrap();
    let next = view.recommendations(None, &one).await.unwrap().next;
    let rest = PageRequest::largest().after(next);
    let rest = view
        .recommendations(Some(accounts[1]), &rest)
        .await
        .unwrap();
    assert_eq!(rest.items.len(), 5);
    assert!(rest.items.iter().all(|row| row.account == accounts[1]));
}

/// What a batch says of a task and of its resources holds together, in whatever order it says so:
/// what the scan saw is there.
#[tokio::test]
async fn what_a_batch_saw_is_there_whatever_it_says_first() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let volume = |name: &str| resource("ec2.volume", "eu-west-1", name);
    let complete = || coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
    let run = w.running_scan_of(&tenant, account.clone()).await;
    w.ingest(&run.lease, async |batch| {
        let near = vec![volume("vol-1"), volume("vol-2")];
        batch.put_resources(near).await?;
        let elsewhere = ["ec2.volume-x", "ec2.volum"]
            .map(|kind| resource(kind, "eu-west-1", "vol-1"))
            .into_iter()
            .chain([resource("ec2.volume", "eu-west-2", "vol-1")]);
        batch.put_resources(elsewhere.collect()).await
    })
    .await
    .unwrap();
    w.complete(&run).await;
    let before = {
        let mut view = w.view(&tenant).await;
        let all = ResourceFilter::default();
        view.resources(&all, &PageRequest::largest()).await.unwrap()
    };
    w.advance(std::time::Duration::from_secs(60)).await;
    let run = w.running_scan_of(&tenant, account).await;
    w.ingest(&run.lease, async |batch| {
        batch.put_coverage(vec![complete()]).await?;
        batch.put_resources(vec![volume("vol-2")]).await
    })
    .await
    .unwrap();

    let mut view = w.view(&tenant).await;
    let page = PageRequest::largest();
    let gone = ResourceFilter::default().gone();
    let gone = view.resources(&gone, &page).await.unwrap().items;
    assert_eq!(gone.len(), 1, "its neighbours were not looked at: {gone:?}");
    assert_eq!(gone[0].resource, volume("vol-1"));
    assert_eq!(gone[0].last_seen_at, before.items[0].last_seen_at);
    assert!(gone[0].gone_at > Some(gone[0].last_seen_at));
    let there = view.resources(&ResourceFilter::default(), &page).await;
    let there = there.unwrap().items;
    assert_eq!(there.len(), 4);
    let seen: Vec<_> = there
        .iter()
        .filter(|row| row.last_scan == run.scan)
        .collect();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].first_seen_at, before.items[0].first_seen_at);
    assert!(seen[0].last_seen_at > seen[0].first_seen_at);
}

/// Rows that are too large are refused where they are handed over, and the batch with them: what
/// came before in it would be a look with a hole.
#[tokio::test]
async fn a_row_that_is_too_large_spends_its_batch() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut batch = w.store.ingest(&run.lease).await.unwrap();
    let small = resource("ec2.volume", "eu-west-1", "vol-1");
    let mut large = resource("ec2.volume", "eu-west-1", "vol-2");
    large.attributes = serde_json::json!("x".repeat(300_000));
    batch.put_resources(vec![small.clone()]).await.unwrap();
    let kind = ErrorKind::InvalidInput;
    let answer = batch.put_resources(vec![small, large]).await;
    let error = refused(answer, kind, "too large");
    assert!(error.to_string().contains("vol-2"), "{error}");
    let answer = batch.put_findings(vec![finding("vol-1")]).await;
    let error = refused(answer, kind, "spent");
    assert!(error.to_string().contains("spent"), "{error}");
    refused(batch.commit().await, kind, "spent");
    let mut view = w.view(&tenant).await;
    let page = PageRequest::largest();
    let seen = view.resources(&ResourceFilter::default(), &page).await;
    assert_eq!(seen.unwrap().items, [], "P2: none of the batch was applied");
}
