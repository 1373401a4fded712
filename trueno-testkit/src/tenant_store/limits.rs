//! Limits: what is too large, or cannot be stored, is refused with the field's name; nothing of it
//! is written, and the store goes on.

use serde_json::{Map, Value, json};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::limits::{
    CHECKPOINT_BYTES, JSON_BYTES, JSON_DEPTH, KEY_CHARACTERS, NAME_CHARACTERS, NATIVE_ID_BYTES,
    TAG_KEY_CHARACTERS, TAG_VALUE_CHARACTERS, TAGS,
};
use trueno_core::model::{
    Coverage, CoverageStatus, EventDraft, FindingDraft, NewOrganization, Resource,
};
use trueno_core::port::{
    FindingFilter, FinishOutcome, Ingest, JobOutcome, PageRequest, ResourceFilter,
};
use trueno_core::state::scan::ScanEvent;

use super::World;
use super::views::resources_of;
use crate::fixtures::{RunningScan, Tenant, coverage, finding, finding_id, resource, task};
use crate::suite::refused;

/// Ten megabytes of text.
fn huge() -> String {
    "x".repeat(10_000_000)
}

/// A list in a list, and so on, `depth` times.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

fn object(key: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), value)])
}

type Case<T> = (&'static str, fn(&mut T));

fn resources() -> Vec<Case<Resource>> {
    vec![
        ("native_id", |r| r.reference.native_id.clear()),
        ("native_id", |r| r.reference.native_id = "vol\0".into()),
        ("native_id", |r| r.reference.native_id = "vol\n1".into()),
        ("native_id", |r| {
            r.reference.native_id = "v".repeat(NATIVE_ID_BYTES + 1);
        }),
        ("native_id", |r| {
            r.reference.native_id = "\u{e9}".repeat(NATIVE_ID_BYTES / 2 + 1);
        }),
        ("name", |r| r.name = Some("n".repeat(NAME_CHARACTERS + 1))),
        ("name", |r| r.name = Some("a\0b".into())),
        ("tags", |r| {
            r.tags = (0..=TAGS).map(|n| (n.to_string(), "".into())).collect();
        }),
        ("tags", |r| {
            r.tags = [("k".repeat(TAG_KEY_CHARACTERS + 1), "".into())].into();
        }),
        ("tags", |r| {
            r.tags = [("k".into(), "v".repeat(TAG_VALUE_CHARACTERS + 1))].into();
        }),
        ("tags", |r| r.tags = [("k".into(), huge())].into()),
        ("tags", |r| r.tags = [("\0".into(), "".into())].into()),
        ("tags", |r| r.tags = [("k".into(), "\0".into())].into()),
        ("attributes", |r| r.attributes = json!({ "a": huge() })),
        ("attributes", |r| r.attributes = json!({ huge(): 1 })),
        ("attributes", |r| {
            r.attributes = json!(vec![1; JSON_BYTES]);
        }),
        ("attributes", |r| r.attributes = nested(JSON_DEPTH + 1)),
        ("attributes", |r| r.attributes = json!({ "a": ["\0"] })),
        ("attributes", |r| r.attributes = json!({ "\0": 1 })),
    ]
}

fn findings() -> Vec<Case<FindingDraft>> {
    vec![
        ("key", |f| f.key.clear()),
        ("key", |f| f.key = "k".repeat(KEY_CHARACTERS + 1)),
        ("key", |f| f.key.push('\0')),
        ("check", |f| f.check = "c".repeat(201)),
        ("parameters_hash", |f| f.parameters_hash = "0".repeat(129)),
        ("native_id", |f| f.resource.native_id.push('\0')),
        ("name", |f| f.name = Some(huge())),
        ("tags", |f| f.tags = [("k".into(), "\0".into())].into()),
        ("evidence", |f| f.evidence = object("a", json!(huge()))),
        ("evidence", |f| f.evidence = object("a", json!("\0"))),
        ("evidence", |f| f.evidence = object("a", nested(JSON_DEPTH))),
        ("conflict_group", |f| f.conflict_group = Some(String::new())),
        ("conflict_group", |f| {
            f.conflict_group = Some("g".repeat(KEY_CHARACTERS + 1));
        }),
    ]
}

fn coverages() -> Vec<Case<Coverage>> {
    vec![
        ("service", |c| c.task.service.clear()),
        ("service", |c| c.task.service = "s".repeat(81)),
        ("error_code", |c| c.error_code = Some("\0".into())),
        ("error_code", |c| c.error_code = Some(huge())),
        ("checkpoint", |c| c.checkpoint = Some("page\0".into())),
        ("checkpoint", |c| {
            c.checkpoint = Some("p".repeat(CHECKPOINT_BYTES + 1));
        }),
    ]
}

fn events() -> Vec<Case<EventDraft>> {
    vec![
        ("targets", |e| e.targets.clear()),
        ("targets", |e| e.targets = vec![e.targets[0].clone(); 1_001]),
        ("kind", |e| e.targets[0].kind = "k".repeat(65)),
        ("id", |e| e.targets[0].id = "\0".into()),
        ("id", |e| e.targets[0].id = "i".repeat(KEY_CHARACTERS + 1)),
        ("details", |e| e.details = object("a", json!(huge()))),
        ("details", |e| e.details = object("a\0", json!(1))),
        ("details", |e| e.details = object("a", nested(JSON_DEPTH))),
    ]
}

#[track_caller]
fn names<T>(field: &str, answer: Result<T>) {
    let error = refused(answer, ErrorKind::InvalidInput, field);
    let message = error.to_string();
    assert!(message.contains(field), "names {field}: {message}");
    assert!(message.len() < 1_000, "says no more than it has to");
    assert!(!message.contains('\0'), "can be shown: {message:?}");
}

/// What is there of a scan's writes: resources, findings, coverage.
async fn written(w: &World, tenant: &Tenant, run: &RunningScan) -> (usize, usize, usize) {
    let (mut view, page) = (w.view(tenant).await, PageRequest::largest());
    let resources = view.resources(&ResourceFilter::default(), &page).await;
    let findings = view.findings(&FindingFilter::default(), &page).await;
    let coverage = view.coverage(run.scan).await;
    (
        resources.unwrap().items.len(),
        findings.unwrap().items.len(),
        coverage.unwrap().len(),
    )
}

/// Tries each of `cases` in a batch between two sound rows: it is refused, and so is what was
/// written before and with it; the next batch is applied.
async fn refuse_each<T: Clone>(
    w: &World,
    sound: &T,
    cases: Vec<Case<T>>,
    put: impl AsyncFn(&mut dyn Ingest, Vec<T>) -> Result<()>,
) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    for (field, spoil) in cases {
        let mut spoilt = sound.clone();
        spoil(&mut spoilt);
        let mut ingest = w.store.ingest(&run.lease).await.unwrap();
        let before = resource("ec2.image", "eu-west-1", "ami-1");
        ingest.put_resources(vec![before]).await.unwrap();
        let rows = vec![sound.clone(), spoilt, sound.clone()];
        names(field, put(&mut *ingest, rows).await);
        drop(ingest);
        let there = written(w, &tenant, &run).await;
        assert_eq!(there, (0, 0, 0), "{field}: nothing of it is written");
    }
    w.ingest(&run.lease, async |ingest| {
        put(ingest, vec![sound.clone()]).await
    })
    .await
    .unwrap();
    let (resources, findings, coverage) = written(w, &tenant, &run).await;
    assert_eq!(resources + findings + coverage, 1, "the store goes on");
}

/// Resources: ids, names, tags and attributes.
pub async fn a_resource_beyond_a_limit_is_refused(w: World) {
    let sound = resource("ec2.volume", "eu-west-1", "vol-1");
    refuse_each(&w, &sound, resources(), async |ingest, rows| {
        ingest.put_resources(rows).await
    })
    .await;
}

/// Findings: keys, checks, resources, tags, evidence and groups.
pub async fn a_finding_beyond_a_limit_is_refused(w: World) {
    refuse_each(&w, &finding("vol-1"), findings(), async |ingest, rows| {
        ingest.put_findings(rows).await
    })
    .await;
}

/// Coverage: services, error codes and checkpoints.
pub async fn coverage_beyond_a_limit_is_refused(w: World) {
    let sound = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Denied);
    refuse_each(&w, &sound, coverages(), async |ingest, rows| {
        ingest.put_coverage(rows).await
    })
    .await;
}

/// Audit events: targets and details, wherever one is staged. The change that it was to record is
/// not applied either (P2).
pub async fn an_event_beyond_a_limit_is_refused(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.forget_staged().await;
    let sound = EventDraft::new("test.changed", "test", "it");
    for (field, spoil) in events() {
        let mut spoilt = sound.clone();
        spoil(&mut spoilt);
        let mut unit = w.begin_accounts(&tenant).await;
        let account = unit.insert_account(w.new_account()).await.unwrap();
        names(field, unit.commit(spoilt.clone()).await);
        let answer = w.view(&tenant).await.account(account.id).await;
        refused(answer, ErrorKind::NotFound, "P2: the change");

        let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
            coverage_complete: true,
        });
        let answer = w.store.finish(&run.lease, outcome, spoilt.clone()).await;
        names(field, answer);
        let scan = w.read_scan(&tenant, run.scan).await;
        assert_eq!(scan.finished_at, None, "P2: the end");

        let owner = w.id();
        let new = NewOrganization::new(w.id(), "Too much to say", owner).unwrap();
        names(field, w.store.create_organization(new, spoilt).await);
        let found = w.store.memberships(owner).await.unwrap();
        assert_eq!(found, [], "P2: the organization");
        assert_eq!(w.staged().await, [], "P2: {field}: no event");
    }
    w.complete(&run).await;
}

/// What is as large as it may be is stored, and reads back as it was.
pub async fn what_is_within_the_limits_is_kept(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let wide = "\u{1f30d}";
    let mut volume = resource("ec2.volume", "eu-west-1", "vol-1");
    volume.reference.native_id = "v".repeat(NATIVE_ID_BYTES);
    volume.name = Some(wide.repeat(NAME_CHARACTERS));
    volume.tags = (0..TAGS)
        .map(|n| {
            let key = format!("{n:0>3}{}", wide.repeat(TAG_KEY_CHARACTERS - 3));
            (key, wide.repeat(TAG_VALUE_CHARACTERS))
        })
        .collect();
    volume.attributes = json!([nested(JSON_DEPTH - 1), "x".repeat(JSON_BYTES - 1_024), wide]);
    let mut draft = finding("vol-1");
    draft.key = wide.repeat(KEY_CHARACTERS);
    draft.resource = volume.reference.clone();
    draft.name = volume.name.clone();
    draft.tags = volume.tags.clone();
    draft.evidence = object("text", json!("x".repeat(JSON_BYTES - 1_024)));
    draft.conflict_group = Some("g".repeat(KEY_CHARACTERS));
    let mut read = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Reading);
    read.checkpoint = Some("\u{e9}\n".repeat(CHECKPOINT_BYTES / 3));
    w.ingest(&run.lease, async |ingest| {
        ingest.put_resources(vec![volume.clone()]).await?;
        ingest.put_findings(vec![draft.clone()]).await?;
        ingest.put_coverage(vec![read.clone()]).await
    })
    .await
    .unwrap();
    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    let found = view.resources(&ResourceFilter::default(), &page).await;
    assert!(
        resources_of(&found.unwrap().items) == [volume],
        "a resource"
    );
    let found = view.findings(&FindingFilter::default(), &page).await;
    assert!(found.unwrap().items[0].draft == draft, "a finding");
    assert!(view.coverage(run.scan).await.unwrap() == [read], "coverage");
    let id = trueno_core::id::FindingId::of(run.account.id, &draft.key);
    assert!(view.finding(id).await.unwrap().draft == draft, "by its id");
    let found = view.recommendations(None, &page).await.unwrap().items;
    assert_eq!(found.len(), 1);
    let missing = finding_id(run.account.id, "vol-1");
    refused(view.finding(missing).await, ErrorKind::NotFound, "another");
    let first = PageRequest::first(1).unwrap();
    w.find(&run, &["vol-0", "vol-2"]).await;
    let mut view = w.view(&tenant).await;
    let mut seen = 0;
    let mut cursor = None;
    loop {
        let page = first.clone().after(cursor);
        let found = view.findings(&FindingFilter::default(), &page).await;
        let found = found.unwrap();
        seen += found.items.len();
        match found.next {
            // What a client sends back is text, with a limit of its own.
            Some(next) => cursor = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, 3, "a cursor holds what a list is ordered by");
}
