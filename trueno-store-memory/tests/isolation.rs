//! What concurrent units of work see of each other: nothing, until one commits.

#![allow(clippy::unwrap_used, reason = "test code: a helper fails by panicking")]

mod common;

use std::sync::Arc;

use common::Memory;
use trueno_core::error::{ErrorKind, RetryAdvice};
use trueno_core::model::{AccountStatus, EventDraft};
use trueno_core::port::{CancelOutcome, Enqueued, PageRequest, ScanFilter};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_testkit::fixtures::{Requested, World};
use trueno_testkit::suite::refused;

async fn world() -> World {
    World::new(Memory::new().await).await
}

fn event() -> EventDraft {
    EventDraft::new("test.changed", "test", "it")
}

/// The first of two units of work that change the same row wins; the other is told at its commit
/// that nothing of it was applied, not even what did not clash.
#[tokio::test]
async fn the_second_unit_of_work_on_a_row_is_a_conflict_and_leaves_nothing() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.pending_account(&tenant).await;
    let (mut first, mut second) = (
        w.begin_accounts(&tenant).await,
        w.begin_accounts(&tenant).await,
    );
    first
        .apply_account(account.id, 1, AccountEvent::Verified)
        .await
        .unwrap();
    second
        .apply_account(account.id, 1, AccountEvent::Paused)
        .await
        .unwrap();
    let innocent = second.insert_account(w.new_account()).await.unwrap();
    first.commit(event()).await.unwrap();
    let staged = w.staged().await.len();

    let error = refused(
        second.commit(event()).await,
        ErrorKind::Conflict,
        "the row changed",
    );
    assert_eq!(error.retry(), RetryAdvice::Backoff);
    assert_eq!(error.operation(), Some("unit_of_work.commit"));
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.account(account.id).await.unwrap().status,
        AccountStatus::Active
    );
    refused(
        view.account(innocent.id).await,
        ErrorKind::NotFound,
        "P2: none of it",
    );
    assert_eq!(w.staged().await.len(), staged, "P2: nor its event");
}

/// Units of work that change different rows do not disturb each other.
#[tokio::test]
async fn units_of_work_on_different_rows_both_commit() {
    let w = world().await;
    let tenant = w.organization().await;
    let (one, two) = (
        w.pending_account(&tenant).await,
        w.pending_account(&tenant).await,
    );
    let (mut first, mut second) = (
        w.begin_accounts(&tenant).await,
        w.begin_accounts(&tenant).await,
    );
    first
        .apply_account(one.id, 1, AccountEvent::Verified)
        .await
        .unwrap();
    second
        .apply_account(two.id, 1, AccountEvent::Paused)
        .await
        .unwrap();
    second.commit(event()).await.unwrap();
    first.commit(event()).await.unwrap();
    let mut view = w.view(&tenant).await;
    assert_eq!(
        view.account(one.id).await.unwrap().status,
        AccountStatus::Active
    );
    assert_eq!(
        view.account(two.id).await.unwrap().status,
        AccountStatus::Paused
    );
}

/// Of two units of work that add the same id, the second is told so at its commit.
#[tokio::test]
async fn an_id_that_was_taken_meanwhile_already_exists() {
    let w = world().await;
    let tenant = w.organization().await;
    let new = w.new_account();
    let (mut first, mut second) = (
        w.begin_accounts(&tenant).await,
        w.begin_accounts(&tenant).await,
    );
    first.insert_account(new.clone()).await.unwrap();
    second.insert_account(new).await.unwrap();
    first.commit(event()).await.unwrap();
    refused(
        second.commit(event()).await,
        ErrorKind::AlreadyExists,
        "the id was taken",
    );
}

/// A dedupe key has one live job, also where two units of work ask for it at once; and who was
/// told of a live job is not left with one that ended meanwhile.
#[tokio::test]
async fn a_race_for_a_dedupe_key_has_one_winner() {
    let w = world().await;
    let tenant = w.organization().await;
    let keyed = || w.job().with_dedupe_key("nightly").unwrap();
    let (mut first, mut second) = (w.begin_scan(&tenant).await, w.begin_scan(&tenant).await);
    let winner = keyed();
    let id = winner.id;
    first.enqueue(vec![winner]).await.unwrap();
    second.enqueue(vec![keyed()]).await.unwrap();
    first.commit(event()).await.unwrap();
    refused(
        second.commit(event()).await,
        ErrorKind::Conflict,
        "the key was taken",
    );

    let mut third = w.begin_scan(&tenant).await;
    assert_eq!(
        third.enqueue(vec![keyed()]).await.unwrap(),
        [Enqueued::Duplicate(id)]
    );
    assert_eq!(
        w.queue.cancel(&tenant.scan, id).await.unwrap(),
        CancelOutcome::Cancelled
    );
    let late = third.commit(event()).await;
    refused(
        late,
        ErrorKind::Conflict,
        "the job that it counted on has ended",
    );
}

/// A view and a unit of work keep to their moment, whatever commits after it; a unit of work sees
/// its own changes on top.
#[tokio::test]
async fn views_and_units_of_work_keep_to_their_moment() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.pending_account(&tenant).await;
    let (mut view, mut unit) = (w.view(&tenant).await, w.begin_accounts(&tenant).await);
    let mine = unit.insert_account(w.new_account()).await.unwrap();
    w.apply(&tenant, &account, AccountEvent::Verified).await;
    let other = w.pending_account(&tenant).await;

    assert_eq!(view.account(account.id).await.unwrap(), account);
    let listed = view.accounts(&PageRequest::largest()).await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&account));
    assert_eq!(unit.account(account.id).await.unwrap(), account);
    let listed = unit.accounts(&PageRequest::largest()).await.unwrap().items;
    assert_eq!(listed, [account.clone(), mine.clone()]);
    refused(
        unit.account(other.id).await,
        ErrorKind::NotFound,
        "it came later",
    );
    drop(unit);
    let listed = w
        .view(&tenant)
        .await
        .accounts(&PageRequest::largest())
        .await
        .unwrap()
        .items;
    let ids: Vec<_> = listed.iter().map(|account| account.id).collect();
    assert_eq!(
        ids,
        [account.id, other.id],
        "a dropped unit of work leaves nothing"
    );
}

/// A job that is claimed while a unit of work cancels it is no longer the job that it saw.
#[tokio::test]
async fn cancelling_a_job_that_was_claimed_meanwhile_is_a_conflict() {
    let w = world().await;
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let mut unit = w.begin_scan(&tenant).await;
    assert_eq!(
        unit.cancel_job(job).await.unwrap(),
        CancelOutcome::Cancelled
    );
    w.claim_one().await;
    refused(
        unit.commit(event()).await,
        ErrorKind::Conflict,
        "it runs now",
    );
    let mut unit = w.begin_scan(&tenant).await;
    assert_eq!(
        unit.cancel_job(job).await.unwrap(),
        CancelOutcome::Requested
    );
    unit.commit(event()).await.unwrap();
    assert!(w.read_job(&tenant, job).await.cancel_requested);
}

/// Many writers and readers at once: no update is lost, and no reader sees half of a unit of work.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost_and_no_reader_sees_half() {
    const WRITERS: u64 = 6;
    const ROUNDS: u64 = 15;
    let w = Arc::new(world().await);
    let tenant = Arc::new(w.organization().await);
    let account = w.account(&tenant).await;
    let writers = (0..WRITERS).map(|_| {
        let (w, tenant, id) = (w.clone(), tenant.clone(), account.id);
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                // Pauses or resumes the account, and requests a scan with its job: all or nothing.
                while !toggle_and_request(&w, &tenant, id).await {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let reader = {
        let (w, tenant, id) = (w.clone(), tenant.clone(), account.id);
        tokio::spawn(async move {
            let mut last = 0;
            while last < WRITERS * ROUNDS {
                let mut view = w.view(&tenant).await;
                let version = view.account(id).await.unwrap().version;
                let page = PageRequest::largest();
                let scans = view
                    .scans(&ScanFilter::default(), &page)
                    .await
                    .unwrap()
                    .items;
                assert_eq!(
                    scans.len() as u64,
                    version - 2,
                    "P2: each change has its scan"
                );
                for scan in scans {
                    assert_eq!(
                        view.job(scan.job).await.unwrap().id,
                        scan.job,
                        "P2: and its job"
                    );
                }
                assert!(version - 2 >= last, "what was seen stays");
                last = version - 2;
                tokio::task::yield_now().await;
            }
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    reader.await.unwrap();
    let version = w
        .view(&tenant)
        .await
        .account(account.id)
        .await
        .unwrap()
        .version;
    assert_eq!(version, 2 + WRITERS * ROUNDS, "no update was lost");
    assert_eq!(w.queue.stats().await.unwrap().waiting, WRITERS * ROUNDS);
}

async fn toggle_and_request(
    w: &World,
    tenant: &trueno_testkit::fixtures::Tenant,
    id: trueno_core::id::CloudAccountId,
) -> bool {
    let mut unit = w.begin_accounts(tenant).await;
    let account = unit.account(id).await.unwrap();
    let step = match account.status {
        AccountStatus::Paused => AccountEvent::Resumed,
        _ => AccountEvent::Paused,
    };
    unit.apply_account(id, account.version, step).await.unwrap();
    tokio::task::yield_now().await;
    let job = w.job();
    let requested = Requested {
        scan: w.id(),
        job: job.id,
    };
    unit.insert_scan(w.new_scan(&account, requested))
        .await
        .unwrap();
    unit.enqueue(vec![job]).await.unwrap();
    match unit.commit(event()).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(error.certainly_not_applied());
            false
        }
    }
}
