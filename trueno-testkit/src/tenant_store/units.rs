//! Units of work: all or nothing (P2), with one event, opened by scopes that write.

use serde_json::json;
use trueno_core::error::ErrorKind;
use trueno_core::id::{CloudAccountId, JobId, ScanId};
use trueno_core::model::{Actor, EventDraft, JobStatus, ScanStatus};
use trueno_core::port::{PageRequest, UnitOfWork};
use trueno_core::state::cloud_account::AccountEvent;

use super::World;
use crate::fixtures::{Requested, SCAN_KIND, Tenant};
use crate::suite::{near, refused};

/// What one unit of work of [`write_everything`] wrote.
struct Written {
    account: CloudAccountId,
    scan: ScanId,
    job: JobId,
}

/// Adds an account, a scan of it and the scan's job.
async fn write_everything(w: &World, unit: &mut dyn UnitOfWork) -> Written {
    let account = unit.insert_account(w.new_account()).await.unwrap();
    let job = w.job_of_kind(SCAN_KIND);
    let requested = Requested {
        scan: w.id(),
        job: job.id,
    };
    unit.insert_scan(w.new_scan(&account, requested))
        .await
        .unwrap();
    unit.enqueue(vec![job]).await.unwrap();
    Written {
        account: account.id,
        scan: requested.scan,
        job: requested.job,
    }
}

async fn assert_nothing_of(w: &World, tenant: &Tenant, written: &Written, when: &str) {
    let mut view = w.view(tenant).await;
    refused(
        view.account(written.account).await,
        ErrorKind::NotFound,
        when,
    );
    refused(view.scan(written.scan).await, ErrorKind::NotFound, when);
    refused(view.job(written.job).await, ErrorKind::NotFound, when);
    assert_eq!(
        w.actions_of(tenant).await,
        ["organization.created"],
        "P2: {when}: no event"
    );
    assert_eq!(w.claimable().await, [], "P2: {when}: no job to claim");
}

/// P2: a commit makes change, job and event visible together; before it, only the unit of work
/// itself sees them.
pub async fn change_job_and_event_commit_together(w: World) {
    let tenant = w.organization().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let written = write_everything(&w, &mut *unit).await;
    assert_nothing_of(&w, &tenant, &written, "before the commit").await;
    assert_eq!(
        unit.account(written.account).await.unwrap().id,
        written.account,
        "its own"
    );
    assert_eq!(
        unit.scan(written.scan).await.unwrap().status,
        ScanStatus::Queued
    );
    assert_eq!(
        unit.job(written.job).await.unwrap().status,
        JobStatus::Queued
    );
    assert_eq!(
        unit.accounts(&PageRequest::largest())
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let event = EventDraft::new("scan.requested", "scan", written.scan);
    let id = unit.commit(event).await.unwrap();
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.account(written.account).await.unwrap().id,
        written.account
    );
    assert_eq!(view.scan(written.scan).await.unwrap().job, written.job);
    assert_eq!(
        view.job(written.job).await.unwrap().status,
        JobStatus::Queued
    );
    let staged = w.staged_of(&tenant).await;
    assert_eq!(
        staged.last().unwrap().id,
        id,
        "P2: the answer names the staged event"
    );
    assert_eq!(
        w.actions_of(&tenant).await,
        ["organization.created", "scan.requested"]
    );
    assert_eq!(
        w.claimable().await,
        [written.job],
        "P2: the job can be claimed"
    );
}

/// P2: after a rollback nothing was ever there.
pub async fn a_rollback_leaves_nothing(w: World) {
    let tenant = w.organization().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let written = write_everything(&w, &mut *unit).await;
    unit.rollback().await.unwrap();
    assert_nothing_of(&w, &tenant, &written, "after a rollback").await;
}

/// P2: dropping a unit of work rolls it back, and leaves no lock behind.
pub async fn a_drop_leaves_nothing(w: World) {
    let tenant = w.organization().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let written = write_everything(&w, &mut *unit).await;
    drop(unit);
    assert_nothing_of(&w, &tenant, &written, "after a drop").await;

    let account = w.pending_account(&tenant).await;
    let mut unit = w.begin_accounts(&tenant).await;
    unit.apply_account(account.id, account.version, AccountEvent::Paused)
        .await
        .unwrap();
    drop(unit);
    let active = w.apply(&tenant, &account, AccountEvent::Verified).await;
    assert_eq!(
        active.version,
        account.version + 1,
        "the row was neither changed nor kept locked"
    );
}

/// A scope to read opens no unit of work.
pub async fn a_scope_to_read_changes_nothing(w: World) {
    let tenant = w.organization().await;
    refused(
        w.store.begin(&tenant.read).await,
        ErrorKind::Denied,
        "a scope to read",
    );
    for scope in [&tenant.scan, &tenant.accounts, &tenant.secrets] {
        w.store
            .begin(scope)
            .await
            .unwrap()
            .rollback()
            .await
            .unwrap();
    }
}

/// P3: a lease opens no unit of work: it writes through `ingest` and `finish`, which are fenced.
pub async fn a_lease_opens_no_unit_of_work(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let answer = w.store.begin(run.lease.scope()).await;
    refused(answer, ErrorKind::Denied, "P3: the scope of a lease");
}

/// P2: after an error of any method the unit of work is spent: nothing of it can be committed.
pub async fn after_an_error_it_is_spent(w: World) {
    let tenant = w.organization().await;
    let taken = w.account(&tenant).await;
    w.forget_staged().await;
    for (step, kind) in [
        ("an id in use", ErrorKind::AlreadyExists),
        ("an old version", ErrorKind::Conflict),
        ("a step that is not allowed", ErrorKind::InvalidTransition),
        ("a read of nothing", ErrorKind::NotFound),
    ] {
        let mut unit = w.begin_accounts(&tenant).await;
        let added = unit.insert_account(w.new_account()).await.unwrap();
        let answer = match kind {
            ErrorKind::AlreadyExists => {
                let mut twin = w.new_account();
                twin.id = taken.id;
                unit.insert_account(twin).await
            }
            ErrorKind::Conflict => {
                unit.apply_account(taken.id, taken.version - 1, AccountEvent::Paused)
                    .await
            }
            ErrorKind::InvalidTransition => {
                unit.apply_account(taken.id, taken.version, AccountEvent::Resumed)
                    .await
            }
            _ => unit.account(w.id()).await,
        };
        refused(answer, kind, step);
        let later = unit.insert_account(w.new_account()).await;
        assert!(later.is_err(), "{step}: a later call fails");
        let event = EventDraft::new("cloud_account.connected", "cloud_account", added.id);
        assert!(
            unit.commit(event).await.is_err(),
            "P2: {step}: so does the commit"
        );
        let answer = w.view(&tenant).await.account(added.id).await;
        refused(answer, ErrorKind::NotFound, "P2: nothing of it was applied");
        assert_eq!(w.staged().await, [], "P2: {step}: nor staged");
    }
}

/// An event's actor, organization and time come from scope and store (P10); the rest is as drafted.
pub async fn an_event_is_as_drafted_by_whom_and_when(w: World) {
    let tenant = w.organization().await;
    w.forget_staged().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let account = unit.insert_account(w.new_account()).await.unwrap();
    let draft = EventDraft::new("cloud_account.connected", "cloud_account", account.id)
        .with_target("region", "eu-west-1")
        .with_detail("note", "\u{1f30d} \"quoted\"")
        .with_detail("counts", json!({ "regions": 3, "none": null }));
    let before = w.now().await;
    let id = unit.commit(draft.clone()).await.unwrap();
    let staged = w.staged_of(&tenant).await;
    assert_eq!(staged.len(), 1);
    let event = &staged[0];
    assert_eq!((event.id, event.organization), (id, tenant.id));
    assert_eq!(
        event.actor,
        Actor::Member { user: tenant.owner },
        "who did it cannot be forged"
    );
    assert_eq!(
        (event.action.as_str(), &event.targets),
        (draft.action, &draft.targets)
    );
    assert_eq!(event.details, draft.details);
    near(event.occurred_at, before, w.now().await, "when it happened");
}

/// P2: a scan is committed with the job that runs it, or not at all: without one, or with one that a
/// live job of its key stands for, nothing would ever end it.
pub async fn a_scan_commits_with_its_job_or_not_at_all(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let keyed = || w.job().with_dedupe_key("nightly").unwrap();
    let live = w.enqueue(&tenant, keyed()).await;
    w.forget_staged().await;
    for job in [None, Some(w.job()), Some(keyed())] {
        let requested = Requested {
            scan: w.id(),
            job: w.id(),
        };
        let mut unit = w.begin_scan(&tenant).await;
        unit.insert_scan(w.new_scan(&account, requested))
            .await
            .unwrap();
        if let Some(mut job) = job {
            // Another job's id, or the right one that is a duplicate.
            if job.dedupe.is_some() {
                job.id = requested.job;
            }
            unit.enqueue(vec![job]).await.unwrap();
        }
        let event = EventDraft::new("scan.requested", "scan", requested.scan);
        let answer = unit.commit(event).await;
        refused(answer, ErrorKind::InvalidInput, "P2: a scan without a job");
        refused(
            w.view(&tenant).await.scan(requested.scan).await,
            ErrorKind::NotFound,
            "P2: the scan",
        );
    }
    assert_eq!(w.actions_of(&tenant).await, [] as [&str; 0], "P2: no event");
    assert_eq!(w.claimable().await, [live], "P2: no job");
    w.request_scan(&tenant, &account).await;
}
