//! P3: a worker that lost its lease changes nothing any more, and sees nothing either.

use trueno_core::error::ErrorKind;
use trueno_core::model::{EventDraft, JobStatus, ScanProgress, ScanStatus};
use trueno_core::port::{
    FinishOutcome, Finished, JobOutcome, Lease, PageRequest, ResourceFilter, ScanFilter,
};
use trueno_core::state::scan::ScanEvent;

use super::World;
use crate::fixtures::{RunningScan, Tenant, resource};
use crate::suite::refused;

fn success() -> FinishOutcome {
    FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
        coverage_complete: true,
    })
}

fn event(run: &RunningScan) -> EventDraft {
    EventDraft::new("scan.finished", "scan", run.scan)
}

async fn assert_untouched(w: &World, tenant: &Tenant, run: &RunningScan) {
    let mut view = w.view(tenant).await;
    let scan = view.scan(run.scan).await.unwrap();
    assert_eq!(
        (scan.status, scan.finished_at),
        (ScanStatus::Running, None),
        "P3: the scan"
    );
    assert_eq!(scan.progress.tasks_done, 0, "P3: its progress");
    let page = PageRequest::largest();
    let found = view
        .resources(&ResourceFilter::default(), &page)
        .await
        .unwrap()
        .items;
    assert_eq!(found, [], "P3: its resources");
    assert!(
        !w.actions_of(tenant)
            .await
            .contains(&"scan.finished".to_owned()),
        "P3: no event"
    );
    assert_eq!(
        w.job_status(tenant, run.job).await,
        JobStatus::Running,
        "P3: the job"
    );
}

/// Checks that `lease` opens nothing and ends nothing, and that trying changed nothing.
async fn assert_worthless(w: &World, tenant: &Tenant, run: &RunningScan, lease: &Lease) {
    let what = "P3: a lease that is no longer held";
    refused(w.store.ingest(lease).await, ErrorKind::StaleLease, what);
    refused(
        w.store.read(lease.scope()).await,
        ErrorKind::StaleLease,
        what,
    );
    let next = vec![w.job()];
    let outcome = success().with_next(next);
    refused(
        w.store.finish(lease, outcome, event(run)).await,
        ErrorKind::StaleLease,
        what,
    );
    assert_untouched(w, tenant, run).await;
}

/// P3, P10: a lease whose time ran out is worth nothing from that moment on, though nobody has
/// recovered its job yet.
pub async fn a_lease_that_ran_out_is_worth_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.lose_leases().await;
    assert_worthless(&w, &tenant, &run, &run.lease).await;
}

/// P3: a lease that another worker's replaced is worth nothing, and the other's goes on.
pub async fn a_lease_that_was_taken_over_is_worth_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let holder = w.take_over().await;
    assert_worthless(&w, &tenant, &run, &run.lease).await;
    assert_eq!(w.claimable().await, [], "P2: nothing was enqueued");
    let finished = w
        .store
        .finish(&holder, success(), event(&run))
        .await
        .unwrap();
    assert_eq!(
        finished,
        Finished::Applied {
            job: JobStatus::Succeeded,
            next: Vec::new()
        }
    );
    let late = w.store.finish(&run.lease, success(), event(&run)).await;
    refused(
        late,
        ErrorKind::StaleLease,
        "P3: also once the job has ended",
    );
}

/// P3: a batch whose lease runs out between its opening and its commit changes nothing.
pub async fn a_lease_lost_before_the_commit_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", "eu-west-1", "vol-1")])
        .await
        .unwrap();
    let progress = ScanProgress {
        tasks: 4,
        tasks_done: 4,
        resources: 1,
    };
    ingest.set_progress(progress).await.unwrap();
    w.lose_leases().await;
    refused(
        ingest.commit().await,
        ErrorKind::StaleLease,
        "P3: lost before the commit",
    );
    assert_untouched(&w, &tenant, &run).await;
}

/// P3: nor does one whose job was recovered meanwhile and is held by another worker.
pub async fn a_lease_taken_over_before_the_commit_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", "eu-west-1", "vol-1")])
        .await
        .unwrap();
    w.lose_leases().await;
    // A store may keep the job to itself while the batch is open, so what the recovery finds
    // before the commit is its own affair.
    w.queue.recover_expired(10).await.unwrap();
    let mut leases = w.claim(10).await;
    refused(
        ingest.commit().await,
        ErrorKind::StaleLease,
        "P3: taken over before the commit",
    );
    if leases.is_empty() {
        w.queue.recover_expired(10).await.unwrap();
        leases = w.claim(10).await;
    }
    assert_eq!(leases.len(), 1, "the job is handed out again");
    assert_untouched(&w, &tenant, &run).await;
}

/// P3: a lease that has finished its job is worth nothing more.
pub async fn a_finished_lease_opens_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let finished = w
        .store
        .finish(&run.lease, success(), event(&run))
        .await
        .unwrap();
    assert!(matches!(finished, Finished::Applied { .. }));
    let what = "P3: a lease that has finished";
    refused(
        w.store.ingest(&run.lease).await,
        ErrorKind::StaleLease,
        what,
    );
    refused(
        w.store.read(run.lease.scope()).await,
        ErrorKind::StaleLease,
        what,
    );
}

/// A lease that is held opens the same doors, as often as it likes.
pub async fn a_held_lease_opens_its_doors(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    for nth in 1..=3 {
        let mut ingest = w.store.ingest(&run.lease).await.unwrap();
        let progress = ScanProgress {
            tasks: 4,
            tasks_done: nth,
            resources: 0,
        };
        ingest.set_progress(progress).await.unwrap();
        ingest.commit().await.unwrap();
        let mut view = w.store.read(run.lease.scope()).await.unwrap();
        let page = PageRequest::largest();
        let scans = view
            .scans(&ScanFilter::default(), &page)
            .await
            .unwrap()
            .items;
        assert_eq!(scans.len(), 1);
        assert_eq!(scans[0].progress.tasks_done, nth);
    }
}
