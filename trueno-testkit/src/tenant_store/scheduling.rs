//! Due schedules, and the firing of their ticks: a system path across organizations.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::model::{
    Actor, AuditTarget, CloudAccount, CronExpression, JobStatus, MissedTicks, NewSchedule, Scan,
    ScanKind, ScanStatus, Schedule,
};
use trueno_core::port::tenant_store::{FIRED, MISSED, PASSED_OVER};
use trueno_core::port::{DueSchedule, Fire, Fired, PageRequest, ScanFilter, TickRun};
use trueno_core::runtime::{Scheduler, SchedulerConfig, TickReport};

use super::World;
use super::twins::twins;
use crate::fixtures::{SCAN_KIND, Tenant};
use crate::suite::{dropped_after, near, refused};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// A schedule about to be made that fires every hour, half an hour from now at first: after whole hours
/// it is due for half an hour, whatever the time of day.
pub(super) async fn hourly(w: &World, account: &CloudAccount) -> NewSchedule {
    let minute = (w.now().await + HOUR / 2)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .minute();
    let cron = CronExpression::new(&format!("{minute} * * * *"), "UTC").unwrap();
    NewSchedule::new(w.id(), "Every hour", account.id, ScanKind::Cost, cron).unwrap()
}

pub(super) async fn add(w: &World, tenant: &Tenant, new: NewSchedule) -> Schedule {
    let added = w.change(&tenant.schedules, async |unit| {
        unit.insert_schedule(new).await
    });
    added.await.unwrap()
}

pub(super) async fn remove(w: &World, tenant: &Tenant, schedule: &Schedule) {
    let removed = w.change(&tenant.schedules, async |unit| {
        unit.remove_schedule(schedule.id, schedule.version).await
    });
    removed.await.unwrap();
}

/// What is due, in one list.
pub(super) async fn due(w: &World) -> Vec<DueSchedule> {
    w.store.due_schedules(None, 1_000).await.unwrap()
}

/// The one schedule that is due.
pub(super) async fn the_due_one(w: &World) -> DueSchedule {
    let mut due = due(w).await;
    assert_eq!(due.len(), 1, "one is due: {due:?}");
    due.remove(0)
}

pub(super) async fn read(w: &World, tenant: &Tenant, schedule: &Schedule) -> Schedule {
    w.view(tenant).await.schedule(schedule.id).await.unwrap()
}

pub(super) async fn scans(w: &World, tenant: &Tenant) -> Vec<Scan> {
    let (filter, page) = (ScanFilter::default(), PageRequest::largest());
    let mut view = w.view(tenant).await;
    view.scans(&filter, &page).await.unwrap().items
}

/// The tick of `due` with a job of its own, then the next one an hour later.
pub(super) fn fire_of(w: &World, due: &DueSchedule) -> Fire {
    let job = w
        .job_of_kind(SCAN_KIND)
        .with_dedupe_key(&due.account.to_string())
        .unwrap()
        .with_run_at(due.due_at + Duration::from_secs(5));
    Fire {
        organization: due.organization,
        schedule: due.id,
        due_at: due.due_at,
        next: Some(due.due_at + HOUR),
        passed_over: 0,
        run: Some(TickRun {
            tick: due.due_at,
            scan: w.id(),
            job,
        }),
    }
}

fn target(kind: &str, id: impl ToString) -> AuditTarget {
    AuditTarget {
        kind: kind.to_owned(),
        id: id.to_string(),
    }
}

/// A schedule is listed once its tick has come by the store's clock, with all that a scheduler needs.
pub async fn a_new_schedule_is_due_at_its_first_tick(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let new = hourly(&w, &account)
        .await
        .with_missed(MissedTicks::RunAll)
        .with_jitter(Duration::from_secs(90))
        .unwrap();
    let made = add(&w, &tenant, new).await;
    let first = made.cron.next_after(made.created_at);
    assert_eq!(made.next_run_at, first, "the first tick after it was made");
    assert_eq!(due(&w).await, [], "not before");
    w.advance(HOUR).await;
    let before = w.now().await;
    let listed = the_due_one(&w).await;
    let wanted = DueSchedule {
        organization: tenant.id,
        id: made.id,
        account: account.id,
        kind: ScanKind::Cost,
        cron: made.cron.expression().to_owned(),
        time_zone: "UTC".to_owned(),
        missed: MissedTicks::RunAll,
        jitter: Duration::from_secs(90),
        due_at: read(&w, &tenant, &made).await.next_run_at.unwrap(),
        now: listed.now,
    };
    assert_eq!(listed, wanted);
    near(
        listed.now,
        before,
        w.now().await,
        "P10: the store's present moment",
    );
    assert!(listed.due_at <= listed.now);
}

/// Due schedules of every organization come by due time, each once, whatever the size of the lists.
pub async fn due_schedules_come_in_order_across_organizations(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let mut wanted = Vec::new();
    for tenant in [&one, &two, &one, &two, &one] {
        let account = w.account(tenant).await;
        let made = add(&w, tenant, hourly(&w, &account).await).await;
        wanted.push((tenant.id, made.id));
        // The next one is due a minute later.
        w.advance(Duration::from_secs(60)).await;
    }
    w.advance(HOUR).await;
    let all = due(&w).await;
    let place = DueSchedule::position;
    assert!(all.windows(2).all(|two| place(&two[0]) < place(&two[1])));
    let mut listed: Vec<_> = all.iter().map(|due| (due.organization, due.id)).collect();
    for limit in [1, 2, 5] {
        let mut paged: Vec<DueSchedule> = Vec::new();
        loop {
            let page = w
                .store
                .due_schedules(paged.last().map(DueSchedule::position), limit)
                .await
                .unwrap();
            assert!(page.len() <= limit && paged.len() <= all.len());
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        let places: Vec<_> = paged.iter().map(place).collect();
        assert_eq!(
            places,
            all.iter().map(place).collect::<Vec<_>>(),
            "by {limit}"
        );
    }
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    assert_eq!(w.store.due_schedules(None, 0).await.unwrap(), []);
}

/// P2: scan, job, event and the next tick are there together; the schedule is the actor, and what
/// members know of it stays as it was.
pub async fn a_due_tick_is_enqueued_with_its_event(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    w.forget_staged().await;
    let due = the_due_one(&w).await;
    let mut fire = fire_of(&w, &due);
    fire.passed_over = 3;
    let run = fire.run.clone().unwrap();
    let before = w.now().await;
    assert_eq!(w.store.fire(fire.clone()).await.unwrap(), Fired::Enqueued);
    let after = w.now().await;

    let actor = Actor::Schedule { schedule: made.id };
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        (scan.account, scan.job, scan.kind, scan.status),
        (account.id, run.job.id, ScanKind::Cost, ScanStatus::Queued)
    );
    assert_eq!(scan.requested_by, actor);
    near(
        scan.created_at,
        before,
        after,
        "when the scan was requested",
    );
    let job = w.read_job(&tenant, run.job.id).await;
    assert_eq!((job.status, job.kind), (JobStatus::Queued, run.job.kind));
    assert_eq!(Some(job.run_at), run.job.run_at, "after its jitter");
    let wanted = Schedule {
        next_run_at: fire.next,
        ..made
    };
    assert_eq!(read(&w, &tenant, &wanted).await, wanted);

    let staged = w.staged().await;
    assert_eq!(staged.len(), 1, "P2: one change, one event: {staged:?}");
    let event = &staged[0];
    assert_eq!(
        (event.organization, event.actor, &*event.action),
        (tenant.id, actor, FIRED)
    );
    let targets = [
        target("schedule", wanted.id),
        target("cloud_account", account.id),
        target("scan", run.scan),
    ];
    assert_eq!(event.targets, targets);
    assert_eq!(event.details, fire.details());
    assert_eq!(event.details["passed_over"], 3);
    near(event.occurred_at, before, after, "when it happened");
    let lease = w.claim_one().await;
    assert_eq!(lease.reference().job, run.job.id, "a worker gets it");
}

/// Whoever comes again, with ids of their own, changes nothing.
pub async fn a_tick_fires_once(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    let due = the_due_one(&w).await;
    let fired = w.store.fire(fire_of(&w, &due)).await;
    assert_eq!(fired.unwrap(), Fired::Enqueued);
    let (present, staged) = (read(&w, &tenant, &made).await, w.staged().await);
    let again = w.store.fire(fire_of(&w, &due)).await;
    assert_eq!(again.unwrap(), Fired::AlreadyFired);
    assert_eq!(read(&w, &tenant, &made).await, present);
    assert_eq!(scans(&w, &tenant).await.len(), 1);
    assert_eq!(w.staged().await, staged);
}

/// Of schedulers that fire the same tick at the same time, one does.
pub async fn of_concurrent_schedulers_one_fires(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(HOUR).await;
    w.forget_staged().await;
    let due = the_due_one(&w).await;
    let w = Arc::new(w);
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let (w, mut fire) = (w.clone(), fire_of(&w, &due));
            // Nothing but the schedule itself holds them apart.
            let run = fire.run.as_mut().unwrap();
            run.job.dedupe = None;
            tokio::spawn(async move { w.store.fire(fire).await.unwrap() })
        })
        .collect();
    let mut enqueued = 0;
    for racer in racing {
        match racer.await.unwrap() {
            Fired::Enqueued => enqueued += 1,
            Fired::AlreadyFired | Fired::Busy => {}
            fired => panic!("one of several schedulers was told {fired:?}"),
        }
    }
    assert_eq!(enqueued, 1);
    assert_eq!(scans(&w, &tenant).await.len(), 1);
    assert_eq!(w.actions_of(&tenant).await, [FIRED]);
}

/// P10: the store's clock decides that a tick has come, whatever a scheduler believes.
pub async fn a_tick_to_come_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let made = add(&w, &tenant, hourly(&w, &account).await).await;
    w.forget_staged().await;
    let early = DueSchedule {
        organization: tenant.id,
        id: made.id,
        account: account.id,
        kind: made.kind,
        cron: made.cron.expression().to_owned(),
        time_zone: made.cron.time_zone().to_owned(),
        missed: made.missed,
        jitter: made.jitter,
        due_at: made.next_run_at.unwrap(),
        now: w.now().await + HOUR,
    };
    let fire = fire_of(&w, &early);
    let what = "P10: a tick that has not come";
    refused(
        w.store.fire(fire.clone()).await,
        ErrorKind::InvalidInput,
        what,
    );
    let moves = Fire { run: None, ..fire };
    refused(w.store.fire(moves).await, ErrorKind::InvalidInput, what);
    assert_eq!(read(&w, &tenant, &made).await, made, "as it was");

    w.advance(HOUR).await;
    let present = read(&w, &tenant, &made).await;
    let mut later = fire_of(&w, &the_due_one(&w).await);
    later.run.as_mut().unwrap().tick = later.due_at + HOUR;
    later.next = Some(later.due_at + 2 * HOUR);
    refused(w.store.fire(later).await, ErrorKind::InvalidInput, what);
    assert_eq!(read(&w, &tenant, &made).await, present, "as it was");
    assert_eq!(scans(&w, &tenant).await, []);
    assert_eq!(w.staged().await, []);
}

/// A schedule only ever moves forward, and its tick lies in between.
pub async fn a_step_back_is_refused(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    add(&w, &tenant, hourly(&w, &account).await).await;
    w.advance(2 * HOUR).await;
    let due = the_due_one(&w).await;
    let with = |change: fn(&mut Fire)| {
        let mut fire = fire_of(&w, &due);
        change(&mut fire);
        w.store.fire(fire)
    };
    let second = Duration::from_secs(1);
    assert!(due.due_at + second < due.now);
    for (fired, what) in [
        (
            with(|fire| fire.next = Some(fire.due_at)),
            "a next tick that is the same",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().tick -= Duration::from_secs(1)),
            "an old tick",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().tick += HOUR),
            "a tick that is the next one",
        ),
        (
            with(|fire| fire.run.as_mut().unwrap().job.priority = 1_000),
            "a job of no queue",
        ),
    ] {
        refused(fired.await, ErrorKind::InvalidInput, what);
    }
    let last = Fire {
        next: None,
        ..fire_of(&w, &due)
    };
    assert_eq!(w.store.fire(last).await.unwrap(), Fired::Enqueued);
    assert_eq!(super::scheduling::due(&w).await, [], "none comes any more");
}

/// Lets a scheduler look until nothing is left.
pub(super) async fn catch_up(w: &World) -> TickReport {
    let config = SchedulerConfig::default();
    let ids = trueno_core::id::IdSource::seeded(7);
    let scheduler = Scheduler::new(w.store.clone(), config, ids).unwrap();
    let mut sum = TickReport::default();
    loop {
        let report = scheduler.tick().await.unwrap();
        sum.enqueued += report.enqueued;
        sum.passed_over += report.passed_over;
        sum.failed += report.failed;
        if !report.more {
            return sum;
        }
    }
}

/// After three missed ticks, the latest one half an hour old: skipping runs none, running once the
/// latest, running all each of them. Then the schedule goes on with the one to come.
pub async fn each_policy_has_its_way_with_missed_ticks(w: World) {
    for (missed, ran, passed_over) in [
        (MissedTicks::Skip, 0, 3),
        (MissedTicks::RunOnce, 1, 2),
        (MissedTicks::RunAll, 3, 0),
    ] {
        let tenant = w.organization().await;
        let account = w.account(&tenant).await;
        let new = hourly(&w, &account).await.with_missed(missed);
        let made = add(&w, &tenant, new).await;
        w.advance(3 * HOUR).await;
        w.forget_staged().await;
        let before = the_due_one(&w).await;
        let report = catch_up(&w).await;
        assert_eq!(
            (report.enqueued, report.passed_over, report.failed),
            (ran, passed_over, 0)
        );
        let present = read(&w, &tenant, &made).await;
        assert_eq!(
            present.next_run_at,
            Some(before.due_at + 3 * HOUR),
            "{missed}"
        );
        assert!(present.next_run_at.unwrap() > w.now().await);
        let mut ticks: Vec<Timestamp> = Vec::new();
        let events = w.staged_of(&tenant).await;
        for event in &events {
            if event.action == FIRED {
                ticks.push(event.details["tick"].as_str().unwrap().parse().unwrap());
            } else {
                assert_eq!(
                    (&*event.action, &event.details["reason"]),
                    (PASSED_OVER, &MISSED.into())
                );
            }
        }
        let all = [
            before.due_at,
            before.due_at + HOUR,
            before.due_at + 2 * HOUR,
        ];
        assert_eq!(
            ticks,
            all[all.len() - ticks.len()..],
            "{missed}: the latest of them, in order"
        );
        let told: u64 = events
            .iter()
            .map(|event| event.details["passed_over"].as_u64().unwrap())
            .sum();
        assert_eq!(told, passed_over, "{missed}: events tell of every tick");
        assert_eq!(scans(&w, &tenant).await.len() as u64, ran, "{missed}");
        assert_eq!(due(&w).await, [], "{missed}: nothing is left");
        remove(&w, &tenant, &made).await;
    }
}

/// Where every tick runs, no two scans of the account do so at the same time.
pub async fn ticks_that_all_run_wait_for_each_other(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let new = hourly(&w, &account).await.with_missed(MissedTicks::RunAll);
    add(&w, &tenant, new).await;
    w.advance(2 * HOUR).await;
    assert_eq!(catch_up(&w).await.enqueued, 2);
    let queued = scans(&w, &tenant).await;
    let jobs: Vec<_> = queued.iter().map(|scan| scan.job).collect();
    for job in jobs {
        let job = w.read_job(&tenant, job).await;
        let concurrency = job.concurrency.expect("it waits for others");
        assert_eq!(
            (concurrency.key(), concurrency.limit()),
            (&*account.id.to_string(), 1)
        );
    }
}

/// P2: a tick given up half way was fired or not: the schedule, its scan and the event agree.
pub async fn a_dropped_fire_is_applied_or_not(w: World) {
    let tenant = w.organization().await;
    for polls in 0..12 {
        let account = w.account(&tenant).await;
        let made = add(&w, &tenant, hourly(&w, &account).await).await;
        w.advance(HOUR).await;
        w.forget_staged().await;
        let due = the_due_one(&w).await;
        let fire = fire_of(&w, &due);
        let answer = dropped_after(polls, w.store.fire(fire.clone())).await;
        if let Some(answer) = answer {
            assert_eq!(
                answer.unwrap(),
                Fired::Enqueued,
                "an answer that came is true"
            );
        }
        // What was sent before the drop may still be on its way; whoever comes next settles it.
        for _ in 0..100 {
            let again = fire_of(&w, &due);
            match w.store.fire(again).await.unwrap() {
                Fired::Busy => tokio::time::sleep(Duration::from_millis(50)).await,
                Fired::Enqueued | Fired::AlreadyFired => break,
                fired => panic!("{polls} polls: {fired:?}"),
            }
        }
        let present = read(&w, &tenant, &made).await;
        assert_eq!(present.next_run_at, fire.next, "{polls} polls");
        assert_eq!(
            w.actions_of(&tenant).await,
            [FIRED],
            "P2: one tick, one event"
        );
        let of_account = scans(&w, &tenant).await;
        let of_account = of_account.iter().filter(|scan| scan.account == account.id);
        assert_eq!(of_account.count(), 1, "P2: one tick, one scan");
        remove(&w, &tenant, &made).await;
    }
}

/// P1: `fire` moves the schedule of the organization that it names, and no other one of that id.
pub async fn isolation_fire(w: World) {
    let (first, second) = twins(&w).await;
    let stranger = w.organization().await;
    // Weekdays at six: within a week and a day each is due.
    w.advance(8 * 24 * HOUR).await;
    let due = due(&w).await;
    let of = |organization| {
        due.iter()
            .find(|due| due.organization == organization)
            .unwrap()
    };
    let other = read(&w, &second.tenant, &second.schedule).await;
    let mut fire = fire_of(&w, of(first.tenant.id));
    fire.run = None;
    fire.passed_over = 1;
    let nowhere = Fire {
        organization: stranger.id,
        ..fire.clone()
    };
    let of_nobody = Fire {
        organization: w.id(),
        ..fire.clone()
    };
    for fire in [nowhere, of_nobody] {
        let fired: Result<Fired> = w.store.fire(fire).await;
        assert_eq!(
            fired.unwrap(),
            Fired::AlreadyFired,
            "as if it were not there"
        );
    }
    w.forget_staged().await;
    assert_eq!(w.store.fire(fire.clone()).await.unwrap(), Fired::Moved);
    assert_eq!(
        read(&w, &second.tenant, &second.schedule).await,
        other,
        "P1: as it was"
    );
    let moved = read(&w, &first.tenant, &first.schedule).await;
    assert_eq!(moved.next_run_at, fire.next);
    let staged = w.staged().await;
    assert!(
        staged
            .iter()
            .all(|event| event.organization == first.tenant.id)
    );
    assert_eq!(staged.len(), 1);
}
