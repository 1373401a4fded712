//! Wrong use that a database might let pass: refused here, with a message that says what is wrong.

mod common;

use std::time::Duration;

use common::Memory;
use trueno_core::error::ErrorKind;
use trueno_core::model::{CoverageStatus, EventDraft, JobStatus, ScanProgress, ScanStatus};
use trueno_core::port::{
    Cursor, FindingFilter, FinishOutcome, Finished, JobOutcome, PageRequest, ResourceFilter,
    ScanFilter, Settlement,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;
use trueno_testkit::fixtures::{Requested, World, coverage, finding, resource, task};
use trueno_testkit::harness::StoreHarness;
use trueno_testkit::suite::refused;

async fn world() -> World {
    World::new(Memory::new().await).await
}

fn event() -> EventDraft {
    EventDraft::new("test.changed", "test", "it")
}

const COMPLETE: ScanEvent = ScanEvent::Completed {
    coverage_complete: true,
};

/// After any error a unit of work is spent: nothing more is done with it, and nothing is committed.
#[tokio::test]
async fn a_spent_unit_of_work_refuses_everything_but_a_rollback() {
    let w = world().await;
    let tenant = w.organization().await;
    w.forget_staged().await;
    let mut unit = w.begin_accounts(&tenant).await;
    let account = unit.insert_account(w.new_account()).await.unwrap();
    refused(
        unit.account(w.id()).await,
        ErrorKind::NotFound,
        "a failed read counts too",
    );
    let answer = unit.account(account.id).await;
    let error = refused(answer, ErrorKind::InvalidInput, "spent");
    assert!(error.to_string().contains("spent"), "{error}");
    let answer = unit
        .apply_account(account.id, 1, AccountEvent::Verified)
        .await;
    refused(answer, ErrorKind::InvalidInput, "spent");
    refused(unit.commit(event()).await, ErrorKind::InvalidInput, "spent");
    assert_eq!(w.staged().await, [], "P2: nothing was committed");
    refused(
        w.view(&tenant).await.account(account.id).await,
        ErrorKind::NotFound,
        "P2",
    );

    let mut unit = w.begin_accounts(&tenant).await;
    refused(unit.job(w.id()).await, ErrorKind::NotFound, "no job");
    unit.rollback().await.unwrap();
}

/// A scan without its job would wait for ever.
#[tokio::test]
async fn a_scan_needs_its_job_in_the_same_unit_of_work() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let elsewhere = w.enqueue(&tenant, w.job()).await;
    for job in [w.id(), elsewhere] {
        let mut unit = w.begin_scan(&tenant).await;
        let requested = Requested { scan: w.id(), job };
        unit.insert_scan(w.new_scan(&account, requested))
            .await
            .unwrap();
        let error = refused(
            unit.commit(event()).await,
            ErrorKind::InvalidInput,
            "no job",
        );
        assert!(
            error
                .to_string()
                .contains("enqueued in the same unit of work"),
            "{error}"
        );
    }
    let mut unit = w.begin_scan(&tenant).await;
    let requested = Requested {
        scan: w.id(),
        job: w.id(),
    };
    unit.insert_scan(w.new_scan(&account, requested))
        .await
        .unwrap();
    let twin = Requested {
        scan: w.id(),
        ..requested
    };
    let answer = unit.insert_scan(w.new_scan(&account, twin)).await;
    refused(answer, ErrorKind::AlreadyExists, "a job runs one scan");
}

/// An event that names no action or no target says nothing.
#[tokio::test]
async fn an_event_needs_an_action_and_a_target() {
    let w = world().await;
    let tenant = w.organization().await;
    let mut untargeted = event();
    untargeted.targets.clear();
    for draft in [untargeted, EventDraft::new("", "test", "it")] {
        let mut unit = w.begin_accounts(&tenant).await;
        let account = unit.insert_account(w.new_account()).await.unwrap();
        refused(
            unit.commit(draft).await,
            ErrorKind::InvalidInput,
            "an empty event",
        );
        refused(
            w.view(&tenant).await.account(account.id).await,
            ErrorKind::NotFound,
            "P2",
        );
    }
}

/// A cursor is good for the list that gave it out, and no other.
#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let w = world().await;
    let tenant = w.organization().await;
    for _ in 0..2 {
        w.pending_account(&tenant).await;
    }
    let mut view = w.view(&tenant).await;
    let one = PageRequest::first(1).unwrap();
    let next = view.accounts(&one).await.unwrap().next;
    let other = one.clone().after(next);
    assert_eq!(view.accounts(&other).await.unwrap().items.len(), 1);
    let mut pages = vec![other];
    for text in [
        "scans.",
        "scans.AAAA",
        "scans.!",
        "nonsense",
        "findings.bnVsbA",
        "resources.e30",
    ] {
        pages.push(one.clone().after(Some(Cursor::from_key(text.to_owned()))));
    }
    for page in &pages {
        let scans = view.scans(&ScanFilter::default(), page).await;
        refused(scans, ErrorKind::InvalidInput, "not a cursor of scans");
        let resources = view.resources(&ResourceFilter::default(), page).await;
        refused(
            resources,
            ErrorKind::InvalidInput,
            "not a cursor of resources",
        );
        let findings = view.findings(&FindingFilter::default(), page).await;
        refused(
            findings,
            ErrorKind::InvalidInput,
            "not a cursor of findings",
        );
    }
}

/// A cursor under another filter of the same list lets no other row in.
#[tokio::test]
async fn a_cursor_under_another_filter_keeps_to_the_filter() {
    let w = world().await;
    let tenant = w.organization().await;
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let run = w.running_scan(&tenant).await;
        let mut batch = w.store.ingest(&run.lease).await.unwrap();
        let volumes = ["vol-1", "vol-2"].map(|id| resource("ec2.volume", "eu-west-1", id));
        batch.put_resources(volumes.to_vec()).await.unwrap();
        batch
            .put_findings(vec![finding("vol-1"), finding("vol-2")])
            .await
            .unwrap();
        batch.commit().await.unwrap();
        accounts.push(run.account.id);
    }
    let (one, second) = (PageRequest::first(1).unwrap(), accounts[1]);
    let mut view = w.view(&tenant).await;
    let next = view
        .resources(&ResourceFilter::default(), &one)
        .await
        .unwrap()
        .next;
    let filter = ResourceFilter::default().with_account(second);
    let rest = view
        .resources(&filter, &PageRequest::largest().after(next))
        .await
        .unwrap()
        .items;
    assert_eq!(
        rest.len(),
        2,
        "the second account's, and not the rest of the first's"
    );
    let next = view
        .findings(&FindingFilter::default(), &one)
        .await
        .unwrap()
        .next;
    let filter = FindingFilter::default().with_account(second);
    let rest = view
        .findings(&filter, &PageRequest::largest().after(next))
        .await
        .unwrap()
        .items;
    assert!(
        rest.len() == 2 && rest.iter().all(|row| row.account == second),
        "{rest:?}"
    );
}

/// A lease whose job runs no scan has nothing to write to.
#[tokio::test]
async fn a_lease_without_a_scan_ingests_nothing() {
    let w = world().await;
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let mut batch = w.store.ingest(&lease).await.unwrap();
    let kind = ErrorKind::NotFound;
    refused(batch.start_scan(1).await, kind, "start");
    refused(batch.put_resources(Vec::new()).await, kind, "resources");
    refused(batch.put_coverage(Vec::new()).await, kind, "coverage");
    refused(batch.put_findings(Vec::new()).await, kind, "findings");
    refused(batch.resolve_findings(Vec::new()).await, kind, "resolve");
    refused(
        batch.set_progress(ScanProgress::default()).await,
        kind,
        "progress",
    );
    batch.commit().await.unwrap();
}

/// Progress of what has not begun is refused where it is said, and the batch is spent.
#[tokio::test]
async fn progress_before_the_start_spends_the_batch() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    let lease = w.claim_one().await;
    let mut batch = w.store.ingest(&lease).await.unwrap();
    batch
        .put_resources(vec![resource("ec2.volume", "eu-west-1", "vol-1")])
        .await
        .unwrap();
    let answer = batch.set_progress(ScanProgress::default()).await;
    refused(answer, ErrorKind::InvalidTransition, "it has not begun");
    refused(batch.start_scan(1).await, ErrorKind::InvalidInput, "spent");
    refused(batch.commit().await, ErrorKind::InvalidInput, "spent");
    let mut view = w.view(&tenant).await;
    let seen = view
        .resources(&ResourceFilter::default(), &PageRequest::largest())
        .await
        .unwrap();
    assert_eq!(seen.items, [], "P2: none of the batch was applied");
    assert_eq!(
        view.scan(requested.scan).await.unwrap().status,
        ScanStatus::Queued
    );
}

/// Batches of one lease that are open side by side add up.
#[tokio::test]
async fn batches_of_one_lease_add_up() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let regions = ["eu-west-1", "us-east-1"];
    let mut batches = Vec::new();
    for region in regions {
        let mut batch = w.store.ingest(&run.lease).await.unwrap();
        let task = task("ec2.volume", region);
        batch
            .put_coverage(vec![coverage(task, CoverageStatus::Complete)])
            .await
            .unwrap();
        batch
            .put_resources(vec![resource("ec2.volume", region, "vol-1")])
            .await
            .unwrap();
        let done = ScanProgress {
            tasks: 4,
            tasks_done: 1,
            resources: 1,
        };
        batch.set_progress(done).await.unwrap();
        batches.push(batch);
    }
    for batch in batches {
        batch.commit().await.unwrap();
    }
    let mut view = w.view(&tenant).await;
    let covered = view.coverage(run.scan).await.unwrap();
    let covered: Vec<_> = covered.iter().map(|row| row.task.region.as_str()).collect();
    assert_eq!(covered, regions);
    let filter = ResourceFilter::default().with_account(run.account.id);
    assert_eq!(
        view.resources(&filter, &PageRequest::largest())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

/// A success says how its scan ends, and says nothing of a scan that is not there.
#[tokio::test]
async fn a_finish_and_its_scan_belong_together() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let silent = FinishOutcome::new(JobOutcome::Succeeded);
    let answer = w.store.finish(&run.lease, silent.clone(), event()).await;
    refused(answer, ErrorKind::InvalidInput, "how does the scan end?");
    assert_eq!(
        w.job_status(&tenant, run.job).await,
        JobStatus::Running,
        "P2"
    );
    let complete = silent.clone().with_scan(COMPLETE);
    let finished = w
        .store
        .finish(&run.lease, complete.clone(), event())
        .await
        .unwrap();
    assert_eq!(
        finished,
        Finished::Applied {
            job: JobStatus::Succeeded,
            next: vec![]
        }
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Succeeded
    );

    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let answer = w.store.finish(&lease, complete, event()).await;
    refused(answer, ErrorKind::InvalidInput, "which scan?");
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Running, "P2");
    w.store.finish(&lease, silent, event()).await.unwrap();
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Succeeded);
}

/// The success of a job that runs a scan, told to the queue, would leave its scan behind: the
/// batch is refused before anything of it is settled.
#[tokio::test]
async fn settling_a_scans_success_in_the_queue_is_refused() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let plain = w.enqueue(&tenant, w.job()).await;
    let batch = [w.claim_one().await.reference(), run.lease.reference()].map(|lease| Settlement {
        lease,
        outcome: JobOutcome::Succeeded,
    });
    let error = refused(
        w.queue.settle(batch.to_vec()).await,
        ErrorKind::InvalidInput,
        "runs a scan",
    );
    assert!(error.to_string().contains("TenantStore::finish"), "{error}");
    for job in [plain, run.job] {
        assert_eq!(w.job_status(&tenant, job).await, JobStatus::Running);
    }
}

/// A clock that steps back gives no lost lease back (P3).
#[tokio::test]
async fn a_clock_that_steps_back_revives_nothing() {
    let memory = Memory::new().await;
    let clock = memory.clock.clone();
    let w = World::new(memory).await;
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    w.lose_leases().await;
    refused(
        w.store.read(lease.scope()).await.map(drop),
        ErrorKind::StaleLease,
        "it ran out",
    );
    clock.set(jiff::Timestamp::UNIX_EPOCH);
    refused(
        w.store.read(lease.scope()).await.map(drop),
        ErrorKind::StaleLease,
        "P3: for good",
    );
    refused(
        w.store.ingest(&lease).await.map(drop),
        ErrorKind::StaleLease,
        "P3: for good",
    );
}

/// A shorter heartbeat does not cut short what the session has.
#[tokio::test]
async fn a_heartbeat_never_shortens_a_lease() {
    let memory = Memory::new().await;
    let start = memory.now().await;
    let w = World::new(memory).await;
    let session = w.id();
    w.queue
        .claim(&w.claim_request_of(session, 1))
        .await
        .unwrap();
    let beat = w
        .queue
        .heartbeat(session, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(beat.expires_at, start + Duration::from_secs(30));
}

/// A scope that another store gave opens nothing here.
#[tokio::test]
async fn a_scope_of_another_store_opens_nothing() {
    let (here, there) = (world().await, world().await);
    // The same seed makes the same ids in both, so this organization needs ids of its own.
    here.organization().await;
    let tenant = there.organization_of(there.id(), there.id()).await;
    let foreign = there.organization().await;
    assert_ne!(tenant.id, foreign.id);
    let answer = here.store.read(&foreign.read).await.map(drop);
    refused(answer, ErrorKind::NotFound, "P1: a foreign organization");
    let answer = here.store.begin(&foreign.scan).await.map(drop);
    refused(answer, ErrorKind::NotFound, "P1: a foreign organization");
    let answer = here.queue.enqueue(&foreign.scan, vec![here.job()]).await;
    refused(answer, ErrorKind::NotFound, "P1: a foreign organization");
}

/// The moment at which a lease runs out is no longer the holder's, and is the recovery's already:
/// there is none in which a job is neither held nor taken back.
#[tokio::test]
async fn a_lease_ends_for_everybody_at_the_same_moment() {
    let w = world().await;
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    w.advance(Duration::from_secs(30) - Duration::from_nanos(1))
        .await;
    assert_eq!(
        w.queue.recover_expired(10).await.unwrap().requeued,
        0,
        "still held"
    );
    w.store
        .ingest(&lease)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    w.advance(Duration::from_nanos(1)).await;
    refused(
        w.store.ingest(&lease).await.map(drop),
        ErrorKind::StaleLease,
        "P3: it ran out",
    );
    assert_eq!(
        w.queue.recover_expired(10).await.unwrap().requeued,
        1,
        "and is taken back"
    );
}
