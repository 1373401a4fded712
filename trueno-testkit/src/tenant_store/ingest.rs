//! Ingest batches: what a processor writes of what it reads.

use trueno_core::error::ErrorKind;
use trueno_core::model::{Coverage, CoverageStatus, FindingStatus, ScanProgress, ScanStatus};
use trueno_core::port::{
    FindingFilter, Ingest, JobOutcome, PageRequest, ResourceFilter, Settlement,
};

use super::World;
use super::views::resources_of;
use crate::fixtures::{Requested, Tenant, coverage, finding, finding_id, resource, task};
use crate::suite::{near, refused};

/// Everything that a batch can write.
async fn write_everything(ingest: &mut dyn Ingest) {
    let region = "eu-west-1";
    let resources = vec![
        resource("ec2.volume", region, "vol-2"),
        resource("ec2.volume", region, "vol-1"),
    ];
    ingest.put_resources(resources).await.unwrap();
    ingest
        .put_coverage(vec![
            coverage(task("ec2.volume", region), CoverageStatus::Complete),
            coverage(task("ec2.image", region), CoverageStatus::Denied),
            Coverage {
                checkpoint: Some("page 7 \u{1f30d}".to_owned()),
                ..Coverage::begin(task("ec2.address", region))
            },
        ])
        .await
        .unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    let progress = ScanProgress {
        tasks: 4,
        tasks_done: 2,
        resources: 2,
    };
    ingest.set_progress(progress).await.unwrap();
}

/// Checks that nothing of [`write_everything`] is there.
async fn assert_nothing_written(w: &World, tenant: &Tenant, scan: trueno_core::id::ScanId) {
    let mut view = w.view(tenant).await;
    let page = PageRequest::largest();
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
    assert_eq!(view.coverage(scan).await.unwrap(), []);
    assert_eq!(view.scan(scan).await.unwrap().progress.tasks_done, 0);
}

/// A batch is there as a whole once it is committed, and reads back as it was written (P9: an
/// amount keeps the source and date of its price).
pub async fn a_batch_is_applied_as_a_whole(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let before = w.now().await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    write_everything(&mut *ingest).await;
    ingest.commit().await.unwrap();
    let after = w.now().await;

    let (mut view, page) = (w.view(&tenant).await, PageRequest::largest());
    let region = "eu-west-1";
    let wanted = [
        resource("ec2.volume", region, "vol-1"),
        resource("ec2.volume", region, "vol-2"),
    ];
    let found = view
        .resources(&ResourceFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(resources_of(&found.items), wanted);

    let covered = view.coverage(run.scan).await.unwrap();
    assert!(
        covered.is_sorted_by(|a, b| a.task < b.task),
        "sorted by task: {covered:?}"
    );
    assert_eq!(covered.len(), 3);
    assert_eq!(
        covered[0].checkpoint.as_deref(),
        Some("page 7 \u{1f30d}"),
        "where to go on"
    );
    let denied = coverage(task("ec2.image", region), CoverageStatus::Denied);
    assert_eq!(covered[1], denied, "P8: what could not be read, and why");
    assert_eq!(
        covered[2],
        coverage(task("ec2.volume", region), CoverageStatus::Complete)
    );

    let wanted = finding("vol-1");
    let id = finding_id(run.account.id, "vol-1");
    let found = view.finding(id).await.unwrap();
    assert_eq!(found.id, id);
    assert_eq!(
        found.draft, wanted,
        "P9: the saving with the source and date of its price"
    );
    assert_eq!(
        (found.account, found.status),
        (run.account.id, FindingStatus::New)
    );
    assert_eq!((found.first_scan, found.last_scan), (run.scan, run.scan));
    near(
        found.first_seen_at,
        before,
        after,
        "when it was found first",
    );
    near(found.last_seen_at, before, after, "when it was found last");
    let progress = ScanProgress {
        tasks: 4,
        tasks_done: 2,
        resources: 2,
    };
    assert_eq!(view.scan(run.scan).await.unwrap().progress, progress);
}

/// P2: before the commit nobody else sees anything of a batch.
pub async fn nothing_is_visible_before_the_commit(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    write_everything(&mut *ingest).await;
    assert_nothing_written(&w, &tenant, run.scan).await;
    ingest.commit().await.unwrap();
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.coverage(run.scan).await.unwrap().len(),
        3,
        "then everybody does"
    );
}

/// P2: a batch that is dropped leaves nothing, not even a lock.
pub async fn a_dropped_batch_leaves_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    write_everything(&mut *ingest).await;
    drop(ingest);
    assert_nothing_written(&w, &tenant, run.scan).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    write_everything(&mut *ingest).await;
    ingest.commit().await.unwrap();
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.coverage(run.scan).await.unwrap().len(),
        3,
        "the next batch goes through"
    );
}

/// Saying again that a scan runs, in a second attempt, keeps the time at which it first began.
pub async fn a_second_attempt_keeps_the_first_start(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let Requested { scan, .. } = w.request_scan(&tenant, &account).await;
    let lease = w.claim_one().await;
    let before = w.now().await;
    let first = w.start(&lease, 4).await;
    assert_eq!((first.id, first.status), (scan, ScanStatus::Running));
    near(
        first.started_at.unwrap(),
        before,
        w.now().await,
        "when the scan began",
    );
    assert_eq!(first.progress.tasks, 4);
    assert!(first.version > 1, "the row changed");
    assert_eq!(
        w.read_scan(&tenant, scan).await,
        first,
        "what was answered is what is read"
    );

    let lease = w.take_over().await;
    let second = w.start(&lease, 6).await;
    assert_eq!(second.status, ScanStatus::Running);
    assert_eq!(second.started_at, first.started_at, "it began once");
    assert_eq!(second.progress.tasks, 6);
}

/// A lease whose job runs no scan has nothing to write to: every method answers so, and a batch of
/// nothing still commits.
pub async fn a_lease_without_a_scan_writes_nothing(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let open = async || w.store.ingest(&lease).await.unwrap();
    let what = "a job that runs no scan";
    let volume = resource("ec2.volume", "eu-west-1", "vol-1");
    let covered = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
    let draft = finding("vol-1");
    refused(open().await.start_scan(1).await, ErrorKind::NotFound, what);
    refused(
        open().await.put_resources(vec![volume]).await,
        ErrorKind::NotFound,
        what,
    );
    refused(
        open().await.put_coverage(vec![covered]).await,
        ErrorKind::NotFound,
        what,
    );
    let keys = vec![draft.key.clone()];
    refused(
        open().await.put_findings(vec![draft]).await,
        ErrorKind::NotFound,
        what,
    );
    refused(
        open().await.resolve_findings(keys).await,
        ErrorKind::NotFound,
        what,
    );
    let progress = ScanProgress::default();
    refused(
        open().await.set_progress(progress).await,
        ErrorKind::NotFound,
        what,
    );
    open().await.commit().await.unwrap();
}

/// Once its job ended, a scan is written to no more.
pub async fn a_settled_job_writes_no_more(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let mut open = w.store.ingest(&run.lease).await.unwrap();
    write_everything(&mut *open).await;
    drop(open);
    let settlement = Settlement {
        lease: run.lease.reference(),
        outcome: JobOutcome::Returned,
    };
    w.queue.settle(vec![settlement]).await.unwrap();
    let answer = w.store.ingest(&run.lease).await;
    refused(
        answer,
        ErrorKind::StaleLease,
        "P3: a lease that was given back",
    );
    assert_nothing_written(&w, &tenant, run.scan).await;
}

/// A scan that was not said to run has no progress yet.
pub async fn only_a_running_scan_has_progress(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    let lease = w.claim_one().await;
    let progress = ScanProgress {
        tasks: 4,
        tasks_done: 1,
        resources: 2,
    };
    let mut ingest = w.store.ingest(&lease).await.unwrap();
    let answer = ingest.set_progress(progress).await;
    refused(
        answer,
        ErrorKind::InvalidTransition,
        "progress of a scan that waits",
    );
    drop(ingest);
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!(
        (scan.status, scan.progress),
        (ScanStatus::Queued, ScanProgress::default())
    );

    w.start(&lease, 4).await;
    let mut ingest = w.store.ingest(&lease).await.unwrap();
    ingest.set_progress(progress).await.unwrap();
    ingest.commit().await.unwrap();
    assert_eq!(
        w.read_scan(&tenant, requested.scan).await.progress,
        progress
    );
}
