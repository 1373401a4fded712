//! Cancel-safety: dropping any future at any point leaves no transaction, lock or context behind.

use std::time::Duration;

use trueno_core::model::{EventDraft, ExceptionStatus, FindingStatus, JobStatus, ScanStatus};
use trueno_core::port::{FinishOutcome, Finished, JobOutcome, PageRequest};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;

use super::World;
use super::exceptions::{Asked, read};
use crate::fixtures::{Tenant, resource};
use crate::suite::dropped_after;

/// How many polls a future is given before it is dropped: from none to more than one needs.
const POLLS: std::ops::Range<u32> = 0..16;

/// What `probes` agree on. A request that was sent before the drop may still be on its way, and
/// take effect between two probes: so they are asked again for a while before they disagree.
async fn agreed(probes: impl AsyncFn() -> [bool; 3]) -> bool {
    for _ in 0..100 {
        let [first, second, third] = probes().await;
        if first == second && second == third {
            return first;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("P2: change, job and event are there together or not at all");
}

/// Checks that both organizations can still be read and written, and each sees itself only: what a
/// connection left in a transaction, or with another's context, would break.
async fn assert_healthy(w: &World, one: &Tenant, two: &Tenant) {
    for tenant in [one, two] {
        let added = w.account(tenant).await;
        let mut view = w.view(tenant).await;
        assert_eq!(
            view.account(added.id).await.unwrap(),
            added,
            "a commit is seen"
        );
        let page = PageRequest::largest();
        for account in view.accounts(&page).await.unwrap().items {
            assert_eq!(
                account.organization, tenant.id,
                "P1: a context was left behind"
            );
        }
    }
}

/// P1, P2: opening a view or a unit of work and giving up half way leaves nothing behind.
pub async fn a_dropped_opening_leaves_nothing(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    for polls in POLLS {
        drop(dropped_after(polls, w.store.begin(&one.accounts)).await);
        drop(dropped_after(polls, w.store.read(&two.read)).await);
    }
    assert_healthy(&w, &one, &two).await;
}

/// P2: a write given up half way, and its unit of work with it, changes nothing.
pub async fn a_dropped_write_leaves_nothing(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let account = w.pending_account(&one).await;
    w.forget_staged().await;
    for polls in POLLS {
        let mut unit = w.begin_accounts(&one).await;
        let step = unit.apply_account(account.id, account.version, AccountEvent::Paused);
        drop(dropped_after(polls, step).await);
        drop(unit);
    }
    assert_eq!(
        w.view(&one).await.account(account.id).await.unwrap(),
        account,
        "P2: as it was"
    );
    assert_eq!(w.staged().await, [], "P2: no event");
    assert_healthy(&w, &one, &two).await;
}

/// P2: a commit that was given up half way was applied or not: change and event agree.
pub async fn a_dropped_commit_is_applied_or_not(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    for polls in POLLS {
        w.forget_staged().await;
        let mut unit = w.begin_accounts(&one).await;
        let added = unit.insert_account(w.new_account()).await.unwrap();
        let job = w.job();
        let id = job.id;
        unit.enqueue(vec![job]).await.unwrap();
        let event = EventDraft::new("cloud_account.connected", "cloud_account", added.id);
        let answer = dropped_after(polls, unit.commit(event)).await;
        let there = agreed(async || {
            let account = w.view(&one).await.account(added.id).await.is_ok();
            let job = w.view(&one).await.job(id).await.is_ok();
            let event = w
                .actions_of(&one)
                .await
                .contains(&"cloud_account.connected".to_owned());
            [account, job, event]
        });
        let there = there.await;
        if let Some(answer) = answer {
            assert_eq!(answer.is_ok(), there, "an answer that came is true");
        }
    }
    assert_healthy(&w, &one, &two).await;
}

/// P3: an ingest batch given up half way, at its opening or at a write, leaves nothing, and the
/// lease can go on.
pub async fn a_dropped_batch_leaves_the_lease_free(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let run = w.running_scan(&one).await;
    for polls in POLLS {
        drop(dropped_after(polls, w.store.ingest(&run.lease)).await);
        let mut ingest = w.store.ingest(&run.lease).await.unwrap();
        let volume = resource("ec2.volume", "eu-west-1", "vol-1");
        drop(dropped_after(polls, ingest.put_resources(vec![volume])).await);
        drop(ingest);
    }
    let mut view = w.view(&one).await;
    let found = view
        .resources(&Default::default(), &PageRequest::largest())
        .await
        .unwrap();
    assert_eq!(found.items, [], "P2: nothing of it was applied");
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
        coverage_complete: true,
    });
    let event = EventDraft::new("scan.finished", "scan", run.scan);
    let finished = w.store.finish(&run.lease, outcome, event).await.unwrap();
    assert_eq!(
        finished,
        Finished::Applied {
            job: JobStatus::Succeeded,
            next: Vec::new()
        }
    );
    assert_healthy(&w, &one, &two).await;
}

/// P2: a finish given up half way was applied or not: job, scan and event agree, and finishing
/// again settles it.
pub async fn a_dropped_finish_is_applied_or_not(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let account = w.account(&one).await;
    for polls in POLLS {
        let run = w.running_scan_of(&one, account.clone()).await;
        w.forget_staged().await;
        let outcome = || {
            FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
                coverage_complete: true,
            })
        };
        let event = || EventDraft::new("scan.finished", "scan", run.scan);
        drop(dropped_after(polls, w.store.finish(&run.lease, outcome(), event())).await);
        let again = w
            .store
            .finish(&run.lease, outcome(), event())
            .await
            .unwrap();
        let applied = Finished::Applied {
            job: JobStatus::Succeeded,
            next: Vec::new(),
        };
        assert!(
            again == applied || again == Finished::AlreadySettled,
            "{polls} polls: {again:?}"
        );
        let scan = w.read_scan(&one, run.scan).await;
        assert_eq!(scan.status, ScanStatus::Succeeded);
        assert_eq!(
            w.actions_of(&one).await,
            ["scan.finished"],
            "P2: one end, one event"
        );
    }
    assert_healthy(&w, &one, &two).await;
}

/// P2: a lapse given up half way was applied or not: exception, finding and event agree, and lapsing
/// again settles it.
pub async fn a_dropped_lapse_is_applied_or_not(w: World) {
    let (one, two) = (Asked::new(&w).await, w.organization().await);
    let tenant = &one.team.tenant;
    for polls in POLLS {
        let approved = one.approved(&w).await;
        w.forget_staged().await;
        let lapse = w.store.lapse_exceptions(approved.expires_at, 10);
        let answer = dropped_after(polls, lapse).await;
        let there = agreed(async || {
            let mut view = w.view(tenant).await;
            let exception = view.exception(approved.id).await.unwrap();
            let finding = view.finding(approved.finding).await.unwrap();
            let page = PageRequest::largest();
            let events = view.audit_events(&page).await.unwrap().items;
            let id = approved.id.to_string();
            [
                exception.status == ExceptionStatus::Lapsed,
                finding.status == FindingStatus::Reopened,
                events
                    .iter()
                    .any(|e| e.action == "exception.lapsed" && e.targets[0].id == id),
            ]
        });
        let there = there.await;
        if let Some(answer) = answer {
            assert_eq!(answer.unwrap(), 1, "an answer that came is true");
            assert!(there, "an answer that came is true");
        }
        // What was sent before the drop may still be on its way, and is passed over meanwhile.
        for _ in 0..100 {
            let late = approved.expires_at;
            w.store.lapse_exceptions(late, 10).await.unwrap();
            if read(&w, tenant, &approved).await.status == ExceptionStatus::Lapsed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let lapsed = read(&w, tenant, &approved).await;
        assert_eq!(lapsed.status, ExceptionStatus::Lapsed, "{polls} polls");
        assert_eq!(
            w.actions_of(tenant).await,
            ["exception.lapsed"],
            "P2: one end, one event"
        );
    }
    assert_healthy(&w, tenant, &two).await;
}
