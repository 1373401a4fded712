//! Filters of findings and resources, alone and together: each row that passes them all, once, and
//! a count that agrees.

use trueno_core::model::{Finding, FindingDraft, FindingStatus, ResourceRecord, Severity};
use trueno_core::port::tenant_store::TagFilter;
use trueno_core::port::{Count, FindingFilter, PageRequest, Presence, ResourceFilter};
use trueno_core::state::finding::{FindingStep, stands};

use super::World;
use super::paging::every_page;
use crate::fixtures::{
    RunningScan, Tenant, coverage, finding, region, resource, resource_kind, task,
};

fn tag(key: &str, value: Option<&str>) -> TagFilter {
    TagFilter {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

/// Tags that are asked for: there, there with another value, empty, and text that has a meaning in
/// some languages.
fn tags() -> Vec<TagFilter> {
    vec![
        tag("Owner", None),
        tag("owner", None),
        tag("Owner", Some("platform \u{1f30d}")),
        tag("Owner", Some("platform")),
        tag("empty", Some("")),
        tag("empty", Some(" ")),
        tag("", None),
        tag("Team", Some("data")),
        tag("' OR true --", None),
        tag("Team", Some("' OR '1'='1")),
        tag("%", None),
        tag("a.b[0]", Some("{\"c\": null}")),
    ]
}

/// Every pair of `alone`, and each of it by itself.
fn alone_and_in_pairs<F: Clone>(alone: &[fn(F) -> F], none: F) -> Vec<F> {
    let mut filters = vec![none.clone()];
    for (nth, one) in alone.iter().enumerate() {
        filters.push(one(none.clone()));
        filters.extend(alone[nth + 1..].iter().map(|two| two(one(none.clone()))));
    }
    filters
}

fn has(tags: &std::collections::BTreeMap<String, String>, wanted: &TagFilter) -> bool {
    let value = tags.get(&wanted.key);
    value.is_some_and(|value| wanted.value.as_ref().is_none_or(|wanted| wanted == value))
}

fn finding_passes(filter: &FindingFilter, finding: &Finding) -> bool {
    let draft = &finding.draft;
    filter.account.is_none_or(|is| is == finding.account)
        && filter.scan.is_none_or(|is| is == finding.last_scan)
        && (!filter.standing || stands(finding.status))
        && (filter.region.as_ref()).is_none_or(|is| *is == draft.resource.region)
        && filter.check.as_ref().is_none_or(|is| *is == draft.check)
        && filter.severity.is_none_or(|is| is == draft.severity)
        && filter.status.is_none_or(|is| is == finding.status)
        && (filter.tag.as_ref()).is_none_or(|is| has(&draft.tags, is))
}

fn resource_passes(filter: &ResourceFilter, record: &ResourceRecord) -> bool {
    let (resource, at) = (&record.resource, &record.resource.reference);
    filter.account.is_none_or(|is| is == record.account)
        && filter.scan.is_none_or(|is| is == record.last_scan)
        && filter.kind.as_ref().is_none_or(|is| *is == at.kind)
        && filter.region.as_ref().is_none_or(|is| *is == at.region)
        && (filter.tag.as_ref()).is_none_or(|is| has(&resource.tags, is))
        && (filter.presence == Presence::Gone) == record.gone_at.is_some()
}

/// Checks what a filter gives against what it should, in pages and counted.
async fn assert_findings(w: &World, tenant: &Tenant, all: &[Finding], filter: &FindingFilter) {
    let passes = |finding: &&Finding| finding_passes(filter, finding);
    let wanted: Vec<Finding> = all.iter().filter(passes).cloned().collect();
    let mut view = w.view(tenant).await;
    for limit in [2, 1_000] {
        let found = every_page(limit, async |page| view.findings(filter, &page).await).await;
        assert_eq!(found, wanted, "{filter:?} in pages of {limit}");
    }
    let count = view.count_findings(filter).await.unwrap();
    assert_eq!(count, Count::Exactly(wanted.len() as u64), "{filter:?}");
}

async fn assert_resources(
    w: &World,
    tenant: &Tenant,
    all: &[ResourceRecord],
    filter: &ResourceFilter,
) -> usize {
    let passes = |record: &&ResourceRecord| resource_passes(filter, record);
    let wanted: Vec<ResourceRecord> = all.iter().filter(passes).cloned().collect();
    let mut view = w.view(tenant).await;
    for limit in [3, 1_000] {
        let found = every_page(limit, async |page| view.resources(filter, &page).await).await;
        assert_eq!(found, wanted, "{filter:?} in pages of {limit}");
    }
    wanted.len()
}

/// Findings that differ in all that filters ask for.
fn drafts() -> Vec<FindingDraft> {
    let mut drafts = Vec::new();
    for (nth, severity) in Severity::ALL.iter().cycle().take(8).enumerate() {
        let mut draft = finding(&format!("vol-{nth}"));
        draft.severity = *severity;
        let at = ["eu-west-1", "us-east-1", "eu-west-10"][nth % 3];
        draft.resource.region = region(at);
        draft.check = ["ec2.volume.unattached", "ec2.volume.gp2"][nth % 2].to_owned();
        let team = ["data", "Data", "' OR '1'='1"][nth % 3];
        match nth % 4 {
            0 => draft.tags.clear(),
            1 => drop(draft.tags.insert("Team".to_owned(), team.to_owned())),
            2 => drop(draft.tags.insert("Owner".to_owned(), team.to_owned())),
            _ => {}
        }
        drafts.push(draft);
    }
    drafts
}

/// Two accounts' findings of every status but suppressed, and the accounts' scans, three in all.
async fn findings(w: &World, tenant: &Tenant) -> (Vec<Finding>, [RunningScan; 3]) {
    let account = w.account(tenant).await;
    let first = w.running_scan_of(tenant, account.clone()).await;
    w.put_findings(&first, drafts()).await;
    w.complete(&first).await;
    let second = w.running_scan_of(tenant, account).await;
    let again = drafts().into_iter().step_by(2).collect();
    w.put_findings(&second, again).await;
    w.resolve(&second, &["vol-3", "vol-4"]).await;
    w.complete(&second).await;
    let third = w.running_scan(tenant).await;
    w.put_findings(&third, drafts()).await;
    w.resolve(&third, &["vol-1"]).await;
    w.put_findings(&third, drafts().drain(..2).collect()).await;
    let all = every(w, tenant).await;
    for (nth, step) in [(2, FindingStep::Acknowledge), (5, FindingStep::Start)] {
        w.step(&tenant.findings, &all[nth], step).await.unwrap();
    }
    (every(w, tenant).await, [first, second, third])
}

async fn every(w: &World, tenant: &Tenant) -> Vec<Finding> {
    let mut view = w.view(tenant).await;
    let page = PageRequest::largest();
    let found = view.findings(&FindingFilter::default(), &page).await;
    found.unwrap().items
}

/// Findings pass the filters that are set, all of them, whatever the size of the pages, and are
/// counted alike.
pub async fn findings_pass_every_filter(w: World) {
    let tenant = w.organization().await;
    let (all, [first, second, third]) = findings(&w, &tenant).await;
    assert_eq!(all.len(), 16);
    let alone: [fn(FindingFilter) -> FindingFilter; 12] = [
        |f| f.standing(),
        |f| f.with_region(region("eu-west-1")),
        |f| f.with_region(region("eu-central-1")),
        |f| f.with_check("ec2.volume.gp2"),
        |f| f.with_check("ec2.volume"),
        |f| f.with_severity(Severity::High),
        |f| f.with_severity(Severity::Informational),
        |f| f.with_status(FindingStatus::Resolved),
        |f| f.with_status(FindingStatus::New),
        |f| f.with_tag(tag("Owner", None)),
        |f| f.with_tag(tag("Team", Some("data"))),
        |f| f.with_tag(tag("empty", Some(""))),
    ];
    for filter in alone_and_in_pairs(&alone, FindingFilter::default()) {
        assert_findings(&w, &tenant, &all, &filter).await;
        let of_one = filter.clone().with_account(first.account.id);
        assert_findings(&w, &tenant, &all, &of_one).await;
    }
    for scan in [first.scan, second.scan, third.scan, w.id()] {
        let of_scan = FindingFilter::default().with_scan(scan);
        assert_findings(&w, &tenant, &all, &of_scan).await;
        let both = of_scan.with_account(third.account.id).standing();
        assert_findings(&w, &tenant, &all, &both).await;
    }
    for status in FindingStatus::ALL {
        let filter = FindingFilter::default().with_status(*status);
        assert_findings(&w, &tenant, &all, &filter).await;
    }
    for finding in &all {
        let (draft, tag) = (&finding.draft, tag("Owner", None));
        let everything = FindingFilter::default()
            .with_account(finding.account)
            .with_scan(finding.last_scan)
            .standing()
            .with_region(draft.resource.region.clone())
            .with_check(&*draft.check)
            .with_severity(draft.severity)
            .with_status(finding.status)
            .with_tag(tag);
        assert_findings(&w, &tenant, &all, &everything).await;
    }
}

/// A tag is asked for by its key, or by key and value, byte by byte; what is put again is found by
/// its tags of now and no longer by those of before.
pub async fn findings_are_found_by_their_present_tags(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    for round in 0..3 {
        let mut drafts = drafts();
        drafts.rotate_left(round);
        let turned: Vec<_> = drafts.into_iter().map(|draft| draft.tags).collect();
        let mut drafts = self::drafts();
        for (draft, tags) in drafts.iter_mut().zip(turned) {
            draft.tags = tags;
        }
        w.put_findings(&run, drafts).await;
        let all = every(&w, &tenant).await;
        for tag in tags() {
            let filter = FindingFilter::default().with_tag(tag);
            assert_findings(&w, &tenant, &all, &filter).await;
        }
    }
}

/// Resources pass the filters that are set, all of them, also those that are gone.
pub async fn resources_pass_every_filter(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let mut scans = Vec::new();
    let complete = trueno_core::model::CoverageStatus::Complete;
    for round in 0..2 {
        for account in [account.clone(), w.account(&tenant).await] {
            let run = w.running_scan_of(&tenant, account).await;
            let mut seen = Vec::new();
            for (nth, kind) in ["ec2.volume", "ec2.image", "ec2.vol"]
                .into_iter()
                .enumerate()
            {
                for at in ["eu-west-1", "us-east-1"] {
                    let ids = (0..3).filter(|id| (id + nth) % 3 != round);
                    seen.extend(ids.map(|id| resource(kind, at, &format!("id-{id}"))));
                }
            }
            for (nth, resource) in seen.iter_mut().enumerate() {
                match nth % 3 {
                    0 => resource.tags.clear(),
                    1 => drop(resource.tags.insert("Team".into(), "data".into())),
                    _ => {}
                }
            }
            let read = coverage(task("ec2.volume", "eu-west-1"), complete);
            w.ingest(&run.lease, async |ingest| {
                ingest.put_resources(seen).await?;
                ingest.put_coverage(vec![read]).await
            })
            .await
            .unwrap();
            w.complete(&run).await;
            scans.push(run.scan);
        }
    }
    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    let mut all = Vec::new();
    for filter in [ResourceFilter::default(), ResourceFilter::default().gone()] {
        all.extend(view.resources(&filter, &page).await.unwrap().items);
    }
    all.sort_by(|a, b| (a.account, &a.resource.reference).cmp(&(b.account, &b.resource.reference)));
    let alone: [fn(ResourceFilter) -> ResourceFilter; 8] = [
        |f| f.with_kind(resource_kind("ec2.volume")),
        |f| f.with_kind(resource_kind("ec2.vol")),
        |f| f.with_kind(resource_kind("ec2.snapshot")),
        |f| f.with_region(region("eu-west-1")),
        |f| f.with_region(region("us-east-1")),
        |f| f.with_tag(tag("Owner", Some("platform \u{1f30d}"))),
        |f| f.with_tag(tag("Team", None)),
        |f| f.gone(),
    ];
    let mut gone = 0;
    for filter in alone_and_in_pairs(&alone, ResourceFilter::default()) {
        let found = assert_resources(&w, &tenant, &all, &filter).await;
        gone += usize::from(filter.presence == Presence::Gone) * found;
        let of_one = filter.clone().with_account(account.id);
        assert_resources(&w, &tenant, &all, &of_one).await;
        let of_scan = of_one.with_scan(scans[0]);
        assert_resources(&w, &tenant, &all, &of_scan).await;
    }
    assert!(gone > 0, "something was gone to be found");
    for scan in scans {
        let filter = ResourceFilter::default().with_scan(scan);
        assert_resources(&w, &tenant, &all, &filter).await;
    }
    for tag in tags() {
        let filter = ResourceFilter::default().with_tag(tag);
        assert_resources(&w, &tenant, &all, &filter).await;
        assert_resources(&w, &tenant, &all, &filter.gone()).await;
    }
}

/// A resource that is put again is found by its tags of now, and no longer by those of before.
pub async fn resources_are_found_by_their_present_tags(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut volume = resource("ec2.volume", "eu-west-1", "vol-1");
    for (key, value) in [
        ("Team", "data"),
        ("Team", "Data"),
        ("team", "data"),
        ("' OR true --", ""),
        ("", "no key"),
        ("a.b[0]", "{\"c\": null}"),
    ] {
        volume.tags = [(key.to_owned(), value.to_owned())].into();
        w.ingest(&run.lease, async |ingest| {
            ingest.put_resources(vec![volume.clone()]).await
        })
        .await
        .unwrap();
        let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
        let all = view.resources(&ResourceFilter::default(), &page).await;
        let all = all.unwrap().items;
        let own = [tag(key, None), tag(key, Some(value)), tag(key, Some("x"))];
        for tag in tags().into_iter().chain(own) {
            let filter = ResourceFilter::default().with_tag(tag);
            assert_resources(&w, &tenant, &all, &filter).await;
        }
    }
}
