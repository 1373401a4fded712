//! What is kept of what scans saw, and how long.

use std::time::Duration;

use trueno_core::model::{CoverageStatus, EventDraft};
use trueno_core::port::{FinishOutcome, JobOutcome, ResourceFilter};
use trueno_core::state::scan::ScanEvent;

use crate::{Account, account, assert_consistent, ids, volumes};

async fn sightings(account: &Account) -> i64 {
    let sightings = "select count(*) from trueno.sighting";
    account.database.number(sightings).await
}

/// A complete look speaks for all that a scan saw: what it noted on the way is dropped.
#[tokio::test]
async fn a_complete_look_leaves_no_sightings() {
    let account = account().await;
    account.look(volumes(0..10), CoverageStatus::Reading).await;
    assert_eq!(sightings(&account).await, 1, "4,096 resources in a row");
    account
        .look(volumes(10..20), CoverageStatus::Complete)
        .await;
    assert_eq!(sightings(&account).await, 0);
    let seen = ResourceFilter::default().with_scan(account.run.scan);
    assert_eq!(account.list(seen).await.len(), 20);
    assert_consistent(&account.database).await;
}

/// How a scan ends that read some of the volumes, and not all.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It ended, with a look that did not.
    Throttled,
    Failed,
    Cancelled,
    /// Its workers vanished too often.
    CrashLooped,
}

async fn end(account: &Account, end: End) {
    let (world, run) = (&account.world, &account.run);
    let outcome = match end {
        End::Throttled => {
            account.look(Vec::new(), CoverageStatus::Throttled).await;
            FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
                coverage_complete: false,
            })
        }
        End::Failed => FinishOutcome::new(JobOutcome::Failed {
            error: "the provider was gone".to_owned(),
            retryable: false,
            retry_after: Duration::ZERO,
        }),
        End::Cancelled => {
            let mut unit = world.begin_scan(&account.tenant).await;
            unit.cancel_job(run.job).await.unwrap();
            let event = EventDraft::new("job.cancelled", "job", run.job);
            unit.commit(event).await.unwrap();
            FinishOutcome::new(JobOutcome::Cancelled)
        }
        End::CrashLooped => {
            for _ in 0..4 {
                world.take_over().await;
            }
            world.lose_leases().await;
            let recovered = world.queue.recover_expired(10).await.unwrap();
            assert_eq!(recovered.dead, 1);
            return;
        }
    };
    let event = EventDraft::new("scan.ended", "scan", run.scan);
    world
        .store
        .finish(&run.lease, outcome, event)
        .await
        .unwrap();
}

/// P8: what an incomplete look saw it saw, however its scan ended, and no row is written for it; what
/// it did not see is as it was. The next complete look takes its place.
#[tokio::test]
async fn an_incomplete_look_stays_true_until_the_next_one() {
    for how in [
        End::Throttled,
        End::Failed,
        End::Cancelled,
        End::CrashLooped,
    ] {
        let mut account = account().await;
        account.look(volumes(0..10), CoverageStatus::Complete).await;
        let first = account.run.scan;
        account.world.complete(&account.run).await;

        account.next_scan().await;
        account.look(volumes(0..4), CoverageStatus::Reading).await;
        end(&account, how).await;
        assert_eq!(sightings(&account).await, 1, "{how:?}");
        let gone = account.list(ResourceFilter::default().gone()).await;
        assert_eq!(ids(&gone), [""; 0], "{how:?}");
        for (scan, seen) in [(account.run.scan, 0..4), (first, 4..10)] {
            let found = account
                .list(ResourceFilter::default().with_scan(scan))
                .await;
            let wanted: Vec<_> = volumes(seen)
                .into_iter()
                .map(|volume| volume.reference.native_id)
                .collect();
            assert_eq!(ids(&found), wanted, "{how:?}");
        }
        let written = format!(
            "select count(*) from trueno.resource where last_scan_id <> '{first}' or gone_at is not null"
        );
        assert_eq!(account.database.number(&written).await, 0, "{how:?}");

        // One that gets as far takes over what it sees: nothing of the first is left to say.
        account.next_scan().await;
        account.look(volumes(0..4), CoverageStatus::Denied).await;
        assert_eq!(sightings(&account).await, 1, "{how:?}: of the later one");
        account.world.complete(&account.run).await;
        account.next_scan().await;
        account.look(volumes(1..10), CoverageStatus::Complete).await;
        assert_eq!(sightings(&account).await, 0, "{how:?}");
        let gone = account.list(ResourceFilter::default().gone()).await;
        assert_eq!(ids(&gone), ["vol-000000"], "{how:?}");
        assert_consistent(&account.database).await;
    }
}

/// Across the bounds of what one row notes, a complete look leaves behind exactly what it missed.
#[tokio::test]
async fn a_large_look_leaves_behind_what_it_missed() {
    let mut account = account().await;
    account
        .look(volumes(0..9_000), CoverageStatus::Complete)
        .await;
    account.next_scan().await;
    account
        .look(volumes(1..4_095), CoverageStatus::Reading)
        .await;
    account
        .look(volumes(4_097..8_999), CoverageStatus::Reading)
        .await;
    assert_eq!(sightings(&account).await, 3);
    account.look(Vec::new(), CoverageStatus::Complete).await;
    let gone = account.list(ResourceFilter::default().gone()).await;
    let missed = ["vol-000000", "vol-004095", "vol-004096", "vol-008999"];
    assert_eq!(ids(&gone), missed);
    let there = account.list(ResourceFilter::default()).await;
    assert_eq!(there.len(), 8_996);
    assert!(there.iter().all(|r| r.last_scan == account.run.scan));
    assert_consistent(&account.database).await;
}
