//! The scheduler over the store in memory: crashes, races, failures and shutdown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use trueno_core::clock::Clock as _;
use trueno_core::error::ErrorKind;
use trueno_core::id::{CloudAccountId, IdSource};
use trueno_core::model::{CronExpression, MissedTicks, NewSchedule, ScanKind, Schedule};
use trueno_core::port::tenant_store::FIRED;
use trueno_core::port::{JobQueue, TenantStore};
use trueno_core::runtime::{Scheduler, SchedulerConfig};
use trueno_core::state::schedule::jitter_offset;
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fault::{Fault, FaultPlan, FaultyStore};
use trueno_testkit::fixtures::{Tenant, World};
use trueno_testkit::harness::StoreHarness;

const MINUTE: Duration = Duration::from_secs(60);

struct Harness {
    clock: ManualClock,
    ids: IdSource,
    store: MemoryStore,
}

#[async_trait]
impl StoreHarness for Harness {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.store.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

struct Stage {
    w: World,
    tenant: Tenant,
    plan: FaultPlan,
    faulty: Arc<FaultyStore>,
}

impl Stage {
    async fn new(plan: FaultPlan) -> Self {
        Self::at(ManualClock::default(), plan).await
    }

    async fn at(clock: ManualClock, plan: FaultPlan) -> Self {
        let ids = IdSource::seeded(3);
        let store = MemoryStore::new(clock.shared(), ids.clone());
        let w = World::new(Harness { clock, ids, store }).await;
        let tenant = w.organization().await;
        let faulty = Arc::new(FaultyStore::new(w.store.clone(), plan.clone()));
        Self {
            w,
            tenant,
            plan,
            faulty,
        }
    }

    fn scheduler(&self, config: SchedulerConfig) -> Scheduler {
        Scheduler::new(self.faulty.clone(), config, IdSource::seeded(4)).unwrap()
    }

    /// A schedule of an account of its own, every minute.
    async fn schedule(&self, missed: MissedTicks, jitter: Duration) -> Schedule {
        let account = self.w.account(&self.tenant).await;
        self.schedule_of(account.id, missed, jitter).await
    }

    async fn schedule_of(
        &self,
        account: CloudAccountId,
        missed: MissedTicks,
        jitter: Duration,
    ) -> Schedule {
        let cron = CronExpression::new("* * * * *", "UTC").unwrap();
        let new = NewSchedule::new(self.w.id(), "Minutes", account, ScanKind::Inventory, cron)
            .and_then(|new| new.with_missed(missed).with_jitter(jitter))
            .unwrap();
        let made = self.w.change(&self.tenant.schedules, async |unit| {
            unit.insert_schedule(new).await
        });
        made.await.unwrap()
    }

    /// The ticks that fired, as their events tell, in order.
    async fn fired(&self) -> Vec<Timestamp> {
        let events = self.w.staged_of(&self.tenant).await;
        let fired = events.iter().filter(|event| event.action == FIRED);
        fired
            .map(|event| event.details["tick"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

/// Errors before a call and lost answers after it, at random, with several schedulers by turns: every
/// tick is enqueued, and none twice.
#[tokio::test(start_paused = true)]
async fn each_tick_is_enqueued_once_whatever_fails() {
    let seed = trueno_testkit::proof::seed();
    let stage = Stage::new(FaultPlan::seeded(seed, 0.2, ErrorKind::Unavailable)).await;
    let made = stage.schedule(MissedTicks::RunAll, Duration::ZERO).await;
    let first = made.next_run_at.unwrap();
    for nth in (1..60).step_by(7) {
        let lost = Fault::After(ErrorKind::Unavailable);
        stage.plan.fail("scheduling.fire", nth, lost);
    }
    let schedulers = [(); 3].map(|()| stage.scheduler(SchedulerConfig::default()));
    for nth in 0..200 {
        stage.w.advance(MINUTE / 2).await;
        // What failed before is left alone for a while.
        tokio::time::advance(Duration::from_secs(400)).await;
        let _: Result<_, _> = schedulers[nth % 3].tick().await;
    }
    let last = stage.w.now().await;
    loop {
        tokio::time::advance(Duration::from_secs(400)).await;
        if let Ok(report) = schedulers[0].tick().await
            && !report.more
            && report.failed == 0
        {
            break;
        }
    }
    let mut wanted = Vec::new();
    let mut tick = first;
    while tick <= last {
        wanted.push(tick);
        tick += MINUTE;
    }
    assert_eq!(stage.fired().await, wanted);
    assert!(
        stage.plan.calls("scheduling.fire") > wanted.len() as u64,
        "some failed"
    );
}

/// A schedule that fails is left alone for a while, and stops no other one.
#[tokio::test(start_paused = true)]
async fn a_schedule_that_fails_stops_no_other_one() {
    let stage = Stage::new(FaultPlan::new()).await;
    for _ in 0..3 {
        stage.schedule(MissedTicks::RunOnce, Duration::ZERO).await;
    }
    stage.w.advance(MINUTE).await;
    let scheduler = stage.scheduler(SchedulerConfig::default().with_concurrency(1));
    stage
        .plan
        .fail("scheduling.fire", 1, Fault::Before(ErrorKind::Unexpected));
    let report = scheduler.tick().await.unwrap();
    assert_eq!((report.enqueued, report.failed), (2, 1));
    let report = scheduler.tick().await.unwrap();
    assert_eq!((report.enqueued, report.failed), (0, 0), "it is left alone");
    assert_eq!(stage.plan.calls("scheduling.fire"), 3);
    tokio::time::advance(Duration::from_secs(1)).await;
    let report = scheduler.tick().await.unwrap();
    assert_eq!(
        (report.enqueued, report.failed),
        (1, 0),
        "it has its turn again"
    );
}

/// One look has a bound; the next one goes on.
#[tokio::test(start_paused = true)]
async fn a_look_is_bounded_and_says_that_there_is_more() {
    let stage = Stage::new(FaultPlan::new()).await;
    for _ in 0..130 {
        stage.schedule(MissedTicks::RunOnce, Duration::ZERO).await;
    }
    stage.w.advance(MINUTE).await;
    let scheduler = stage.scheduler(SchedulerConfig::default().with_most_per_tick(120));
    let report = scheduler.tick().await.unwrap();
    assert_eq!((report.enqueued, report.more), (120, true));
    let report = scheduler.tick().await.unwrap();
    assert_eq!((report.enqueued, report.more), (10, false));
}

/// At the end of the calendar: the last tick runs and parks the schedule, where everybody sees it.
#[tokio::test(start_paused = true)]
async fn a_schedule_without_a_next_tick_is_parked_and_says_why() {
    let late = ManualClock::new("4999-12-31T23:59:30Z".parse().unwrap());
    let stage = Stage::at(late, FaultPlan::new()).await;
    let made = stage.schedule(MissedTicks::RunOnce, Duration::ZERO).await;
    let last = made.next_run_at.unwrap();
    assert_eq!(last.to_string(), "5000-01-01T00:00:00Z");
    stage.w.advance(MINUTE).await;
    let scheduler = stage.scheduler(SchedulerConfig::default());
    let report = scheduler.tick().await.unwrap();
    assert_eq!((report.enqueued, report.failed, report.more), (1, 0, false));
    let events = stage.w.staged_of(&stage.tenant).await;
    let event = events.last().unwrap();
    assert_eq!((&*event.action, stage.fired().await), (FIRED, vec![last]));
    let reason = format!("cron: no tick after {last} could be worked out");
    assert_eq!(event.details["parked"], reason.as_str());
    let mut view = stage.w.view(&stage.tenant).await;
    let parked = view.schedule(made.id).await.unwrap();
    assert_eq!(parked.next_run_at, None);
    assert_eq!(scheduler.tick().await.unwrap(), Default::default());

    // Whoever tries again is told, and so is whoever makes another one.
    let active = trueno_core::model::ScheduleStatus::Active;
    let again = stage.w.change(&stage.tenant.schedules, async |unit| {
        unit.set_schedule_status(made.id, made.version, active)
            .await
    });
    let error = again.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().starts_with("cron: no tick after"),
        "{error}"
    );
}

/// Runs begin spread over the jitter, each at its own offset from the tick.
#[tokio::test(start_paused = true)]
async fn runs_are_spread_over_the_jitter() {
    let stage = Stage::new(FaultPlan::new()).await;
    let jitter = Duration::from_secs(600);
    let mut wanted = BTreeSet::new();
    for _ in 0..20 {
        let made = stage.schedule(MissedTicks::RunOnce, jitter).await;
        let tick = made.next_run_at.unwrap();
        wanted.insert(tick + jitter_offset(made.id, tick, jitter));
    }
    stage.w.advance(MINUTE).await;
    stage
        .scheduler(SchedulerConfig::default())
        .tick()
        .await
        .unwrap();
    let mut found = BTreeSet::new();
    let page = trueno_core::port::PageRequest::largest();
    let mut view = stage.w.view(&stage.tenant).await;
    for scan in view
        .scans(&trueno_core::port::ScanFilter::default(), &page)
        .await
        .unwrap()
        .items
    {
        found.insert(view.job(scan.job).await.unwrap().run_at);
    }
    assert_eq!(found, wanted);
    assert!(wanted.len() > 15, "they do not begin together");
}

/// The loop fires what becomes due, goes on after errors of the store, and ends when it is told to.
#[tokio::test(start_paused = true)]
async fn the_loop_goes_on_until_it_is_told_to_stop() {
    let stage = Stage::new(FaultPlan::new()).await;
    let made = stage.schedule(MissedTicks::RunOnce, Duration::ZERO).await;
    stage.plan.fail(
        "scheduling.due_schedules",
        1,
        Fault::Before(ErrorKind::Unavailable),
    );
    let scheduler = Arc::new(stage.scheduler(SchedulerConfig::default()));
    let shutdown = CancellationToken::new();
    let (running, stop) = (scheduler.clone(), shutdown.clone());
    let running = tokio::spawn(async move { running.run(stop).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.fired().await, [], "nothing is due");
    stage.w.advance(MINUTE).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.fired().await, [made.next_run_at.unwrap()]);
    shutdown.cancel();
    running.await.unwrap();
    let calls = stage.plan.calls("scheduling.due_schedules");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        stage.plan.calls("scheduling.due_schedules"),
        calls,
        "it looks no more"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let stage = Stage::new(FaultPlan::new()).await;
    for config in [
        SchedulerConfig::default().with_poll_interval(Duration::ZERO),
        SchedulerConfig::default().with_most_per_tick(0),
        SchedulerConfig::default().with_concurrency(0),
    ] {
        let refused = Scheduler::new(stage.faulty.clone(), config, IdSource::seeded(1));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config);
    }
}
