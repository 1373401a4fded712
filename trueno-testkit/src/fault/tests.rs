use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{EventDraft, TaskKey};
use trueno_core::port::{
    CloudScanner, JobQueue, PageError, QueueStats, Recovered, ScanPage, ScanPlan, ScanTarget,
    ScanTask, TenantStore,
};

use super::*;
use crate::clock::ManualClock;
use crate::fixtures::task;
use crate::mock::{
    MockCloudScanner, MockJobQueue, MockScanSession, MockTenantStore, MockUnitOfWork,
};
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::clock::Clock as _;
use trueno_core::id::{IdSource, OrganizationId, UserId};
use trueno_core::model::{AccessMethod, AccountStatus, CloudAccount, Membership, Provider, Role};

/// A queue that counts how often it was reached.
fn counting() -> (Arc<AtomicU64>, MockJobQueue) {
    let reached = Arc::new(AtomicU64::new(0));
    let mut queue = MockJobQueue::new();
    let counter = Arc::clone(&reached);
    queue.expect_recover_expired().returning(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Recovered::default())
    });
    (reached, queue)
}

#[tokio::test]
async fn a_fault_before_a_call_keeps_it_from_the_adapter_and_one_after_loses_its_answer() {
    let (reached, real) = counting();
    let plan = FaultPlan::new();
    let queue = FaultyQueue::new(Arc::new(real), plan.clone());
    plan.fail(
        "job_queue.recover_expired",
        1,
        Fault::Before(ErrorKind::Unavailable),
    );
    plan.fail(
        "job_queue.recover_expired",
        2,
        Fault::After(ErrorKind::Timeout),
    );

    let before = queue.recover_expired(1).await.unwrap_err();
    assert_eq!(
        (before.kind(), reached.load(Ordering::Relaxed)),
        (ErrorKind::Unavailable, 0)
    );
    assert!(before.certainly_not_applied());
    let after = queue.recover_expired(1).await.unwrap_err();
    assert_eq!(
        (after.kind(), reached.load(Ordering::Relaxed)),
        (ErrorKind::Timeout, 1)
    );
    assert!(!after.certainly_not_applied());
    assert_eq!(after.operation(), Some("job_queue.recover_expired"));
    queue.recover_expired(1).await.unwrap();
    plan.fail_next(
        "job_queue.recover_expired",
        Fault::Before(ErrorKind::Unavailable),
    );
    queue.recover_expired(1).await.unwrap_err();
    assert_eq!(plan.calls("job_queue.recover_expired"), 4);
}

#[tokio::test]
async fn a_delayed_call_goes_through_later() {
    let (reached, real) = counting();
    let plan = FaultPlan::new();
    let queue = FaultyQueue::new(Arc::new(real), plan.clone());
    let wait = Duration::from_millis(50);
    plan.fail_next("job_queue.recover_expired", Fault::Delay(wait));
    let cut = tokio::time::timeout(wait / 10, queue.recover_expired(1)).await;
    assert!(
        cut.is_err() && reached.load(Ordering::Relaxed) == 0,
        "not yet"
    );
    plan.fail_next("job_queue.recover_expired", Fault::Delay(wait));
    queue.recover_expired(1).await.unwrap();
    assert_eq!(reached.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_seed_repeats_its_faults() {
    async fn run(seed: u64, rate: f64) -> Vec<bool> {
        let mut real = MockJobQueue::new();
        real.expect_stats().returning(|| Ok(QueueStats::default()));
        let plan = FaultPlan::seeded(seed, rate, ErrorKind::Unavailable);
        let queue = FaultyQueue::new(Arc::new(real), plan);
        let mut answers = Vec::new();
        for _ in 0..200 {
            answers.push(queue.stats().await.is_ok());
        }
        answers
    }
    let first = run(7, 0.3).await;
    assert_eq!(first, run(7, 0.3).await);
    assert_ne!(first, run(8, 0.3).await);
    let failed = first.iter().filter(|ok| !**ok).count();
    assert!((30..90).contains(&failed), "about 30 %: {failed} of 200");
    assert!(run(7, 0.0).await.iter().all(|ok| *ok) && !run(7, 1.0).await.iter().any(|ok| *ok));
}

async fn scope() -> OrgScope {
    let (ids, now) = (IdSource::seeded(1), ManualClock::default().now());
    let (organization, user): (OrganizationId, UserId) = (ids.next(now), ids.next(now));
    let mut store = MockTenantStore::new();
    store.expect_memberships().returning(move |user| {
        Ok(vec![Membership {
            organization,
            user,
            role: Role::Owner,
        }])
    });
    let identity = Identity::authenticated(user);
    authorize(&store, &identity, organization, Action::Scan)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_store_opens_goes_wrong_as_planned_too() {
    let scope = scope().await;
    let mut real = MockTenantStore::new();
    real.expect_begin().returning(|_| {
        let mut unit = MockUnitOfWork::new();
        unit.expect_cancel_job()
            .returning(|_| Err(Error::not_found("job")));
        unit.expect_commit()
            .returning(|_| Ok(IdSource::seeded(2).next(jiff::Timestamp::MIN)));
        Ok(Box::new(unit))
    });
    let plan = FaultPlan::new();
    let store = FaultyStore::new(Arc::new(real), plan.clone());
    plan.fail("tenant_store.begin", 1, Fault::Before(ErrorKind::Exhausted));
    let refused = store.begin(&scope).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Exhausted);

    plan.fail(
        "unit_of_work.commit",
        1,
        Fault::After(ErrorKind::Unavailable),
    );
    let event = || EventDraft::new("test.done", "test", 1);
    let lost = store
        .begin(&scope)
        .await
        .unwrap()
        .commit(event())
        .await
        .unwrap_err();
    assert!(
        !lost.certainly_not_applied(),
        "the answer was lost, the commit was not"
    );
    let mut unit = store.begin(&scope).await.unwrap();
    let job = IdSource::seeded(3).next(jiff::Timestamp::MIN);
    assert_eq!(
        unit.cancel_job(job).await.unwrap_err().kind(),
        ErrorKind::NotFound,
        "its own"
    );
    unit.commit(event()).await.unwrap();
    assert_eq!(plan.calls("tenant_store.begin"), 3);
}

fn target() -> ScanTarget {
    let (ids, now) = (IdSource::seeded(1), ManualClock::default().now());
    ScanTarget::new(CloudAccount {
        id: ids.next(now),
        organization: ids.next(now),
        provider: Provider::Aws,
        number: "123456789012".parse().unwrap(),
        name: "Production".to_owned(),
        access: Some(AccessMethod::Ambient),
        regions: Vec::new(),
        status: AccountStatus::Active,
        created_at: now,
        version: 1,
    })
}

#[tokio::test]
async fn a_page_goes_wrong_and_ends_its_task() {
    let mut real = MockCloudScanner::new();
    real.expect_open().returning(|_, _| {
        let mut session = MockScanSession::new();
        session.expect_scan().returning(|_, _| {
            let page = |checkpoint: Option<&str>| ScanPage {
                resources: Vec::new(),
                requests: 2,
                checkpoint: checkpoint.map(str::to_owned),
            };
            let pages: [Result<ScanPage, PageError>; 3] =
                [Ok(page(Some("1"))), Ok(page(Some("2"))), Ok(page(None))];
            Ok(futures::stream::iter(pages).boxed())
        });
        Ok(Box::new(session))
    });
    let plan = FaultPlan::new();
    let scanner = FaultyScanner::new(Arc::new(real), plan.clone());
    let session = scanner.open(&target(), &ScanPlan::default()).await.unwrap();
    let key: TaskKey = task("ec2.volume", "eu-west-1");
    let task = ScanTask {
        key,
        operations: Vec::new(),
    };

    let whole: Vec<_> = session.scan(&task, None).await.unwrap().collect().await;
    assert_eq!(
        (
            whole.len(),
            whole.iter().filter(|page| page.is_ok()).count()
        ),
        (3, 3)
    );
    // The stream's end is asked for as well: four calls so far.
    plan.fail("scan_stream.next", 6, Fault::After(ErrorKind::Throttled));
    let cut: Vec<_> = session.scan(&task, None).await.unwrap().collect().await;
    assert_eq!(cut.len(), 2, "nothing follows the error");
    let error = cut[1].as_ref().unwrap_err();
    assert_eq!(
        (error.error.kind(), error.requests),
        (ErrorKind::Throttled, 2)
    );
    plan.fail_next("scan_session.scan", Fault::Before(ErrorKind::Unavailable));
    assert!(session.scan(&task, None).await.is_err());
}
