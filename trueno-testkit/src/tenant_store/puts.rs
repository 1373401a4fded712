//! What a batch puts: rows that are there once, as the last word has it.

use serde_json::json;
use trueno_core::model::{Coverage, CoverageStatus, FindingStatus, Severity};
use trueno_core::money::Saving;
use trueno_core::port::{FindingFilter, PageRequest, ResourceFilter};

use super::World;
use super::views::resources_of;
use crate::fixtures::{coverage, finding, finding_id, resource, task};

/// Putting the same again replaces it: resources, coverage and findings are there once.
pub async fn putting_again_replaces(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let at = "eu-west-1";
    let mut volume = resource("ec2.volume", at, "vol-1");
    let mut covered = coverage(task("ec2.volume", at), CoverageStatus::Throttled);
    let mut draft = finding("vol-1");
    for round in 1..=2_u64 {
        let mut ingest = w.store.ingest(&run.lease).await.unwrap();
        // Within one batch the last word counts too.
        for half in 1..=2_u64 {
            volume.attributes = json!({ "round": round, "half": half });
            volume
                .tags
                .insert("Round".to_owned(), format!("{round}.{half}"));
            volume.tags.remove("empty");
            covered.status = CoverageStatus::Complete;
            covered.error_code = None;
            covered.pages = round * 10 + half;
            draft.severity = if half == 1 {
                Severity::Low
            } else {
                Severity::High
            };
            draft.monthly_saving = Saving::Unknown;
            draft.conflict_group = None;
            ingest.put_resources(vec![volume.clone()]).await.unwrap();
            ingest.put_coverage(vec![covered.clone()]).await.unwrap();
            ingest.put_findings(vec![draft.clone()]).await.unwrap();
        }
        ingest.commit().await.unwrap();
        let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
        let found = view
            .resources(&ResourceFilter::default(), &page)
            .await
            .unwrap()
            .items;
        assert_eq!(
            resources_of(&found),
            std::slice::from_ref(&volume),
            "the resource is there once, as put last"
        );
        assert_eq!(
            view.coverage(run.scan).await.unwrap(),
            std::slice::from_ref(&covered)
        );
        let found = view
            .findings(&FindingFilter::default(), &page)
            .await
            .unwrap()
            .items;
        assert_eq!(found.len(), 1, "the finding is there once");
        assert_eq!(found[0].draft, draft, "P9: an unknown saving stays unknown");
    }
}

/// Within one call the last word counts as well, and what is there once changed once.
pub async fn within_one_call_the_last_word_counts(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let at = "eu-west-1";
    let (first, mut last) = (resource("ec2.volume", at, "vol-1"), finding("vol-1"));
    let mut second = first.clone();
    second.tags.clear();
    second.name = None;
    last.severity = Severity::Low;
    let key = task("ec2.volume", at);
    let covered = coverage(key.clone(), CoverageStatus::Denied);
    w.ingest(&run.lease, async |ingest| {
        let other = resource("ec2.volume", at, "vol-2");
        ingest
            .put_resources(vec![first, other, second.clone()])
            .await?;
        let begun = Coverage::begin(key);
        ingest.put_coverage(vec![begun, covered.clone()]).await?;
        let drafts = vec![finding("vol-1"), finding("vol-2"), last.clone()];
        ingest.put_findings(drafts).await?;
        let twice = vec![finding("vol-2").key; 2];
        ingest.resolve_findings(twice).await
    })
    .await
    .unwrap();
    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    let found = view.resources(&ResourceFilter::default(), &page).await;
    let found = resources_of(&found.unwrap().items);
    assert_eq!(found, [second, resource("ec2.volume", at, "vol-2")]);
    assert_eq!(view.coverage(run.scan).await.unwrap(), [covered]);
    for (native_id, status, rows) in [
        ("vol-1", FindingStatus::New, 1),
        ("vol-2", FindingStatus::Resolved, 2),
    ] {
        let id = finding_id(run.account.id, native_id);
        let found = view.finding(id).await.unwrap();
        assert_eq!(found.status, status, "{native_id}");
        let history = w.history(&tenant, id).await;
        assert_eq!(history.len(), rows, "{native_id}: {history:?}");
        if native_id == "vol-1" {
            assert_eq!(found.draft, last);
        }
    }
}

/// A later scan takes over what it sees again, and leaves the rest to the earlier one; a finding
/// keeps its first scan and time.
pub async fn a_later_scan_takes_over_what_it_sees(w: World) {
    let tenant = w.organization().await;
    let first = w.running_scan(&tenant).await;
    let at = "eu-west-1";
    let mut ingest = w.store.ingest(&first.lease).await.unwrap();
    let both = vec![
        resource("ec2.volume", at, "vol-1"),
        resource("ec2.volume", at, "vol-2"),
    ];
    ingest.put_resources(both).await.unwrap();
    ingest
        .put_findings(vec![finding("vol-1"), finding("vol-2")])
        .await
        .unwrap();
    ingest.commit().await.unwrap();
    let account = first.account.clone();
    let id = finding_id(account.id, "vol-1");
    let before = w.read_finding(&tenant, id).await;

    let second = w.running_scan_of(&tenant, account.clone()).await;
    let mut ingest = w.store.ingest(&second.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", at, "vol-1")])
        .await
        .unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    ingest.commit().await.unwrap();

    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    for (scan, native_id) in [(second.scan, "vol-1"), (first.scan, "vol-2")] {
        let resources = ResourceFilter::default().with_scan(scan);
        let found = view.resources(&resources, &page).await.unwrap().items;
        assert_eq!(
            resources_of(&found),
            [resource("ec2.volume", at, native_id)],
            "last seen by {scan}"
        );
        let findings = FindingFilter::default().with_scan(scan);
        let found = view.findings(&findings, &page).await.unwrap().items;
        assert_eq!(found.len(), 1, "last found by {scan}");
        assert_eq!(found[0].draft.resource.native_id, native_id);
    }
    let after = view.finding(id).await.unwrap();
    assert_eq!(
        (after.status, after.last_scan),
        (FindingStatus::Open, second.scan)
    );
    assert_eq!(
        after.first_scan, first.scan,
        "the scan that found it first stays"
    );
    assert_eq!(
        after.first_seen_at, before.first_seen_at,
        "and so does its time"
    );
    assert!(after.last_seen_at >= before.last_seen_at);
    assert!(after.version > before.version, "the row changed");
}

/// P8: resolving marks findings of the scan's own account, and passes over keys that are not there.
pub async fn resolving_marks_findings_of_the_account(w: World) {
    let tenant = w.organization().await;
    let other = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&other.lease).await.unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    ingest.commit().await.unwrap();

    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_findings(vec![finding("vol-1"), finding("vol-2")])
        .await
        .unwrap();
    ingest.commit().await.unwrap();
    let key = finding("vol-1").key;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .resolve_findings(vec!["no/such/key".to_owned(), key.clone()])
        .await
        .unwrap();
    ingest.resolve_findings(Vec::new()).await.unwrap();
    ingest.commit().await.unwrap();

    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    let resolved = view
        .finding(finding_id(run.account.id, "vol-1"))
        .await
        .unwrap();
    assert_eq!(resolved.status, FindingStatus::Resolved);
    assert_eq!(
        resolved.draft,
        finding("vol-1"),
        "what was found stays on record"
    );
    let standing = FindingFilter::default()
        .with_account(run.account.id)
        .standing();
    let found = view.findings(&standing, &page).await.unwrap().items;
    assert_eq!(found.len(), 1, "what is resolved no longer stands");
    assert_eq!(found[0].draft.key, finding("vol-2").key);
    let same_key = view
        .finding(finding_id(other.account.id, "vol-1"))
        .await
        .unwrap();
    assert_eq!(
        same_key.status,
        FindingStatus::New,
        "another account's finding stays"
    );
}

/// A batch of more rows than a page, a statement or a packet likes is applied like any other.
pub async fn a_large_batch_is_applied(w: World) {
    const COUNT: usize = 2_500;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    let ids = || (0..COUNT).map(|nth| format!("vol-{nth:06}"));
    let resources = ids()
        .map(|id| resource("ec2.volume", "eu-west-1", &id))
        .collect();
    ingest.put_resources(resources).await.unwrap();
    ingest
        .put_findings(ids().map(|id| finding(&id)).collect())
        .await
        .unwrap();
    ingest
        .resolve_findings(ids().map(|id| finding(&id).key).collect())
        .await
        .unwrap();
    ingest.commit().await.unwrap();
    let mut view = w.view(&tenant).await;
    let (mut resources, mut findings, mut page) = (0, 0, PageRequest::largest());
    loop {
        let found = view
            .resources(&ResourceFilter::default(), &page)
            .await
            .unwrap();
        resources += found.items.len();
        if found.next.is_none() {
            break;
        }
        page = PageRequest::largest().after(found.next);
    }
    let mut page = PageRequest::largest();
    loop {
        let found = view
            .findings(&FindingFilter::default(), &page)
            .await
            .unwrap();
        findings += found.items.len();
        assert!(
            found
                .items
                .iter()
                .all(|found| found.status == FindingStatus::Resolved)
        );
        if found.next.is_none() {
            break;
        }
        page = PageRequest::largest().after(found.next);
    }
    assert_eq!((resources, findings), (COUNT, COUNT));
}

/// JSON reads back as it was put, whatever numbers, texts and containers it is made of.
pub async fn json_reads_back_as_it_was(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let odd = json!({
        "numbers": [0, -1, 1.0, 0.1, -2.5e-7, 1e15, 123_456_789.123, u64::MAX, i64::MIN, 1e300],
        "texts": ["", " ", "\u{1f30d}", "\u{e9}", "e\u{301}", "\"\\/\u{8}\u{c}\n\r\t", "null", "\u{ffff}"],
        "containers": [{}, [], [[]], { "": { "": null } }, [null, true, false]],
        "z": 1,
        "a": 2,
        "key with \"quotes\" and \u{1f30d}": { "b": 1, "a": 2, "aa": 3 },
    });
    let mut volume = resource("ec2.volume", "eu-west-1", "vol-1");
    let mut draft = finding("vol-1");
    for attributes in [odd.clone(), json!(null), json!([]), json!("text"), json!(7)] {
        volume.attributes = attributes;
        draft.evidence = odd.as_object().unwrap().clone();
        w.ingest(&run.lease, async |ingest| {
            ingest.put_resources(vec![volume.clone()]).await?;
            ingest.put_findings(vec![draft.clone()]).await
        })
        .await
        .unwrap();
        let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
        let found = view.resources(&ResourceFilter::default(), &page).await;
        let found = resources_of(&found.unwrap().items);
        assert_eq!(found, std::slice::from_ref(&volume));
        let id = finding_id(run.account.id, "vol-1");
        assert_eq!(view.finding(id).await.unwrap().draft, draft);
    }
}
