//! What looks make of findings over several scans, and what their history says of it.

use std::time::Duration;

use jiff::civil::{Date, date};
use serde_json::json;
use trueno_core::access::Action;
use trueno_core::model::{
    Actor, ChangeOfFinding, Finding, FindingChange, FindingDraft, FindingStatus, ResourceRef, Role,
    Severity,
};
use trueno_core::money::{Money, PriceSource, Saving};
use trueno_core::state::finding::FindingStep;

use super::World;
use crate::fixtures::{RunningScan, Tenant, finding, finding_id, saving};
use crate::suite::near;

/// A row of history about a change of status, without its moment.
pub(super) fn status(
    of: &Finding,
    actor: Actor,
    from: impl Into<Option<FindingStatus>>,
    to: FindingStatus,
) -> FindingChange {
    FindingChange {
        finding: of.id,
        version: of.version,
        occurred_at: of.last_seen_at,
        actor,
        what: ChangeOfFinding::Status {
            from: from.into(),
            to,
        },
    }
}

/// Compares histories but for their moments, which are the store's.
#[track_caller]
pub(super) fn same_history(found: &[FindingChange], wanted: &[FindingChange]) {
    let rows = |changes: &[FindingChange]| -> Vec<_> {
        changes
            .iter()
            .map(|c| (c.finding, c.version, c.actor, c.what.clone()))
            .collect()
    };
    assert_eq!(rows(found), rows(wanted), "the history");
    assert!(
        found.is_sorted_by_key(|change| change.occurred_at),
        "oldest first: {found:?}"
    );
}

fn processor(run: &RunningScan) -> Actor {
    Actor::Processor { job: run.job }
}

async fn read(w: &World, tenant: &Tenant, run: &RunningScan) -> Finding {
    w.read_finding(tenant, finding_id(run.account.id, "vol-1"))
        .await
}

/// A finding is new when one scan found it and open when another did; scans that find it again
/// change what they saw and when, and add to its history only where its status changes.
pub async fn a_finding_is_new_then_open(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let before = w.now().await;
    let first_run = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let first = read(&w, &tenant, &first_run).await;
    assert_eq!((first.status, first.version), (FindingStatus::New, 1));
    assert_eq!(first.assignee, None, "nobody is assigned by a look");
    let mut wanted = vec![status(
        &first,
        processor(&first_run),
        None,
        FindingStatus::New,
    )];
    let history = w.history(&tenant, first.id).await;
    same_history(&history, &wanted);
    near(
        history[0].occurred_at,
        before,
        w.now().await,
        "when it was found",
    );

    let second_run = w.running_scan_of(&tenant, account.clone()).await;
    let mut draft = finding("vol-1");
    draft.severity = Severity::High;
    draft.monthly_saving = saving(1);
    draft.tags.insert("Team".to_owned(), "data".to_owned());
    w.ingest(&second_run.lease, async |ingest| {
        ingest.put_findings(vec![draft.clone()]).await
    })
    .await
    .unwrap();
    w.complete(&second_run).await;
    let second = read(&w, &tenant, &second_run).await;
    assert_eq!(second.draft, draft, "what the latest look said");
    assert_eq!(
        (second.status, second.version),
        (FindingStatus::Open, first.version + 1)
    );
    assert_eq!(
        (second.first_scan, second.last_scan),
        (first_run.scan, second_run.scan)
    );
    assert_eq!(second.first_seen_at, first.first_seen_at);
    wanted.push(status(
        &second,
        processor(&second_run),
        FindingStatus::New,
        FindingStatus::Open,
    ));
    same_history(&w.history(&tenant, first.id).await, &wanted);

    let third_run = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let third = read(&w, &tenant, &third_run).await;
    assert_eq!(
        (third.status, third.version, third.last_scan),
        (FindingStatus::Open, second.version + 1, third_run.scan),
        "what it says changed, its status did not"
    );
    assert!(third.last_seen_at >= second.last_seen_at);
    same_history(&w.history(&tenant, first.id).await, &wanted);
}

fn priced(source: &str, as_of: Date) -> Saving {
    Saving::Known {
        amount: Money::usd_micros(1),
        origin: PriceSource {
            source: source.to_owned(),
            as_of,
        },
    }
}

/// Whoever read a finding may act on it after a look that found it as it was: its version counts
/// changes, of whatever it says, and not looks.
pub async fn a_look_that_says_the_same_is_no_change(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let look = async |draft: &FindingDraft| {
        let run = w.running_scan_of(&tenant, account.clone()).await;
        w.put_findings(&run, vec![draft.clone()]).await;
        w.complete(&run).await;
        (read(&w, &tenant, &run).await, run.scan)
    };
    let mut draft = finding("vol-1");
    let (open, _) = look(&draft).await;
    assert_eq!(open.status, FindingStatus::Open);

    w.advance(Duration::from_secs(3_600)).await;
    let (seen, scan) = look(&draft).await;
    assert_eq!((seen.version, seen.last_scan), (open.version, scan));
    assert!(seen.last_seen_at >= open.last_seen_at);
    // Every part but the key: a new one does not compile until it is changed below.
    let FindingDraft {
        key: _,
        check: _,
        check_version: _,
        parameters_hash: _,
        resource:
            ResourceRef {
                kind: _,
                region: _,
                native_id: _,
            },
        name: _,
        tags: _,
        severity: _,
        evidence: _,
        monthly_saving: _,
        conflict_group: _,
    } = &draft;
    let changed: [fn(&mut FindingDraft); 17] = [
        |draft| draft.check = "volume.other".to_owned(),
        |draft| draft.check_version += 1,
        |draft| draft.parameters_hash = "0".repeat(draft.parameters_hash.len()),
        |draft| draft.resource.kind = "ec2.snapshot".parse().unwrap(),
        |draft| draft.resource.region = "eu-north-1".parse().unwrap(),
        |draft| draft.resource.native_id = "vol-2".to_owned(),
        |draft| draft.name = Some("another name".to_owned()),
        |draft| drop(draft.tags.insert("Team".to_owned(), "data".to_owned())),
        |draft| draft.severity = Severity::High,
        |draft| drop(draft.evidence.insert("state".to_owned(), json!("in-use"))),
        |draft| drop(draft.evidence.insert("size".to_owned(), json!(1))),
        |draft| drop(draft.evidence.insert("size".to_owned(), json!(1.0))),
        |draft| draft.monthly_saving = saving(1),
        |draft| draft.monthly_saving = priced("https://example.com/", date(2026, 11, 1)),
        |draft| draft.monthly_saving = priced("https://example.com/", date(2026, 11, 2)),
        |draft| draft.monthly_saving = Saving::Unknown,
        |draft| draft.conflict_group = Some("another".to_owned()),
    ];
    let mut before = seen;
    for change in changed {
        let was = draft.clone();
        change(&mut draft);
        assert_ne!(was, draft, "the look says something else");
        let (after, _) = look(&draft).await;
        assert_eq!(after.draft, draft);
        assert_eq!(after.version, before.version + 1, "{was:?}, {draft:?}");
        let (same, _) = look(&draft).await;
        assert_eq!(same.version, after.version, "{draft:?}");
        before = after;
    }

    let analyst = w.member(&tenant, Role::Analyst).await;
    let scope = w.scope(&tenant, analyst, Action::WorkFindings).await;
    let taken = w.step(&scope, &before, FindingStep::Acknowledge).await;
    assert_eq!(taken.unwrap().version, before.version + 1);
    let same = w.history(&tenant, before.id).await.len();
    assert_eq!(same, 3, "found, found again, acknowledged");
}

/// P8: what a complete look no longer finds is resolved, and reopened when it is found again:
/// nobody takes it for new. What is resolved already is passed over.
pub async fn what_is_gone_is_resolved_and_reopened(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let first_run = w.scan_of(&tenant, &account, &["vol-1", "vol-2"], &[]).await;
    let new = read(&w, &tenant, &first_run).await;
    let second_run = w.scan_of(&tenant, &account, &["vol-2"], &["vol-1"]).await;
    let resolved = read(&w, &tenant, &second_run).await;
    assert_eq!(
        (resolved.status, resolved.version),
        (FindingStatus::Resolved, new.version + 1)
    );
    assert_eq!(
        (resolved.last_scan, resolved.last_seen_at, &resolved.draft),
        (new.last_scan, new.last_seen_at, &new.draft),
        "who found it last stays on record"
    );
    w.scan_of(&tenant, &account, &["vol-2"], &["vol-1"]).await;
    assert_eq!(
        read(&w, &tenant, &first_run).await,
        resolved,
        "what is resolved already is passed over"
    );

    let fourth_run = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let reopened = read(&w, &tenant, &fourth_run).await;
    assert_eq!(reopened.status, FindingStatus::Reopened);
    assert_eq!(
        (reopened.first_scan, reopened.first_seen_at),
        (new.first_scan, new.first_seen_at),
        "it is not new"
    );
    let fifth_run = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let found = read(&w, &tenant, &fifth_run).await;
    assert_eq!(found.status, FindingStatus::Reopened, "until somebody acts");
    let wanted = [
        status(&new, processor(&first_run), None, FindingStatus::New),
        status(
            &resolved,
            processor(&second_run),
            FindingStatus::New,
            FindingStatus::Resolved,
        ),
        status(
            &reopened,
            processor(&fourth_run),
            FindingStatus::Resolved,
            FindingStatus::Reopened,
        ),
    ];
    same_history(&w.history(&tenant, new.id).await, &wanted);
}

/// What members decided stays when a scan finds it again, until it is gone.
pub async fn what_members_decided_stays(w: World) {
    let tenant = w.organization().await;
    for (step, decided) in [
        (FindingStep::Acknowledge, FindingStatus::Acknowledged),
        (FindingStep::Start, FindingStatus::InProgress),
    ] {
        let account = w.account(&tenant).await;
        let run = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
        let new = read(&w, &tenant, &run).await;
        let stepped = w.step(&tenant.findings, &new, step).await.unwrap();
        assert_eq!(stepped.status, decided);
        w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
        let found = read(&w, &tenant, &run).await;
        assert_eq!((found.status, found.version), (decided, stepped.version));
        let rows = w.history(&tenant, new.id).await.len();
        assert_eq!(rows, 2, "found anew, and what the member decided");
        let last = w.scan_of(&tenant, &account, &[], &["vol-1"]).await;
        let gone = read(&w, &tenant, &run).await;
        assert_eq!(gone.status, FindingStatus::Resolved);
        let history = w.history(&tenant, new.id).await;
        let wanted = status(&gone, processor(&last), decided, FindingStatus::Resolved);
        same_history(&history[2..], &[wanted]);
    }
}

/// A second attempt of a scan is no other scan: what it finds again keeps its status, though the
/// attempt before it found it too; what was resolved since is reopened all the same.
pub async fn a_second_attempt_is_no_other_scan(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    w.scan_of(&tenant, &account, &["vol-2"], &[]).await;
    let mut run = w.running_scan_of(&tenant, account.clone()).await;
    w.find(&run, &["vol-1", "vol-2"]).await;
    run.lease = w.take_over().await;
    w.start(&run.lease, 4).await;
    w.find(&run, &["vol-1", "vol-2"]).await;
    for (native_id, wanted, rows) in [
        ("vol-1", FindingStatus::New, 1),
        ("vol-2", FindingStatus::Open, 2),
    ] {
        let id = finding_id(account.id, native_id);
        let found = w.read_finding(&tenant, id).await;
        assert_eq!(found.status, wanted, "{native_id}: it took one step");
        let history = w.history(&tenant, id).await;
        assert_eq!(history.len(), rows, "{native_id}: {history:?}");
    }
    w.resolve(&run, &["vol-1"]).await;
    w.find(&run, &["vol-1"]).await;
    w.complete(&run).await;
    let found = read(&w, &tenant, &run).await;
    assert_eq!(
        found.status,
        FindingStatus::Reopened,
        "it was resolved since"
    );
    assert_eq!(w.history(&tenant, found.id).await.len(), 3);
}

/// P2: a batch that is given up leaves neither a status nor a row of history.
pub async fn a_dropped_batch_leaves_no_history(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let first = w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let before = read(&w, &tenant, &first).await;
    let run = w.running_scan_of(&tenant, account.clone()).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    ingest
        .resolve_findings(vec![finding("vol-1").key])
        .await
        .unwrap();
    drop(ingest);
    assert_eq!(read(&w, &tenant, &run).await, before, "P2: as it was");
    assert_eq!(w.history(&tenant, before.id).await.len(), 1);
    w.find(&run, &["vol-1"]).await;
    assert_eq!(read(&w, &tenant, &run).await.status, FindingStatus::Open);
}
