//! Schedules of scans.

use std::time::Duration;

use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::ScheduleId;
use trueno_core::model::{
    CronExpression, MissedTicks, NewSchedule, ScanKind, Schedule, ScheduleStatus,
};
use trueno_core::port::PageRequest;

use super::World;
use super::paging::every_page;
use crate::fixtures::Tenant;
use crate::suite::{near, refused};

async fn set(
    w: &World,
    tenant: &Tenant,
    schedule: &Schedule,
    status: ScheduleStatus,
) -> Result<Schedule> {
    w.change(&tenant.schedules, async |unit| {
        unit.set_schedule_status(schedule.id, schedule.version, status)
            .await
    })
    .await
}

async fn remove(w: &World, tenant: &Tenant, schedule: &Schedule) -> Result<()> {
    w.change(&tenant.schedules, async |unit| {
        unit.remove_schedule(schedule.id, schedule.version).await
    })
    .await
}

async fn read(w: &World, tenant: &Tenant, id: ScheduleId) -> Result<Schedule> {
    w.view(tenant).await.schedule(id).await
}

/// A schedule reads back as it was made: active, in its first version.
pub async fn a_schedule_keeps_what_it_was_given(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let kinds = ScanKind::ALL.iter().zip(MissedTicks::ALL);
    let crons = [
        ("0 6 * * mon-fri", "Europe/Berlin"),
        ("*/15 0-6,22-23 1,15 */2 7", "UTC"),
        ("59 23 31 12 *", "America/New_York"),
    ];
    for ((cron, zone), (&kind, &missed)) in crons.into_iter().zip(kinds) {
        let cron = CronExpression::new(cron, zone).unwrap();
        let name = "Größe \u{1f30d}";
        let jitter = Duration::from_secs(3_600);
        let new = NewSchedule::new(w.id(), name, account.id, kind, cron.clone())
            .and_then(|new| new.with_missed(missed).with_jitter(jitter))
            .unwrap();
        let before = w.now().await;
        let id = new.id;
        let made = w
            .change(&tenant.schedules, async |unit| {
                unit.insert_schedule(new).await
            })
            .await
            .unwrap();
        near(made.created_at, before, w.now().await, "when it was made");
        let wanted = Schedule {
            id,
            name: name.to_owned(),
            account: account.id,
            kind,
            next_run_at: cron.next_after(made.created_at).ok(),
            cron,
            missed,
            jitter,
            status: ScheduleStatus::Active,
            created_at: made.created_at,
            version: 1,
        };
        assert_eq!(made, wanted);
        assert_eq!(read(&w, &tenant, id).await.unwrap(), wanted);
    }
}

/// A schedule needs its account, and an id of its own.
pub async fn a_schedule_needs_its_account_and_an_id(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let insert = async |new| {
        w.change(&tenant.schedules, async |unit| {
            unit.insert_schedule(new).await
        })
        .await
    };
    let nowhere = insert(w.new_schedule(w.id())).await;
    refused(nowhere, ErrorKind::NotFound, "an account that is not there");
    let made = w.schedule(&tenant, account.id).await;
    let mut twin = w.new_schedule(w.account(&tenant).await.id);
    twin.id = made.id;
    refused(
        insert(twin).await,
        ErrorKind::AlreadyExists,
        "a schedule's id in use",
    );
    let mut view = w.view(&tenant).await;
    let page = PageRequest::largest();
    assert_eq!(view.schedules(&page).await.unwrap().items, [made]);
}

/// A schedule is paused and resumed; setting the status that it has changes its version alone. A
/// removed one is gone.
pub async fn a_schedule_is_paused_resumed_and_removed(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let mut now = w.schedule(&tenant, account.id).await;
    let other = w.schedule(&tenant, account.id).await;
    let first = now.next_run_at;
    for status in [
        ScheduleStatus::Active,
        ScheduleStatus::Paused,
        ScheduleStatus::Paused,
        ScheduleStatus::Active,
    ] {
        let wanted = Schedule {
            status,
            // Its first tick, or the first one from when it is resumed: weekdays at six, both of them.
            next_run_at: (status == ScheduleStatus::Active)
                .then_some(first)
                .flatten(),
            version: now.version + 1,
            ..now.clone()
        };
        assert_eq!(set(&w, &tenant, &now, status).await.unwrap(), wanted);
        assert_eq!(read(&w, &tenant, now.id).await.unwrap(), wanted);
        now = wanted;
    }
    let mut unit = w.store.begin(&tenant.schedules).await.unwrap();
    unit.remove_schedule(now.id, now.version).await.unwrap();
    drop(unit);
    assert_eq!(
        read(&w, &tenant, now.id).await.unwrap(),
        now,
        "P2: as it was"
    );
    remove(&w, &tenant, &now).await.unwrap();
    let what = "a schedule that was removed";
    refused(read(&w, &tenant, now.id).await, ErrorKind::NotFound, what);
    let answer = set(&w, &tenant, &now, ScheduleStatus::Paused).await;
    refused(answer, ErrorKind::NotFound, what);
    refused(remove(&w, &tenant, &now).await, ErrorKind::NotFound, what);
    let mut view = w.view(&tenant).await;
    let page = PageRequest::largest();
    assert_eq!(view.schedules(&page).await.unwrap().items, [other]);
}

/// Optimistic concurrency: a change of another version than the present one is a conflict, one of a
/// missing schedule finds nothing.
pub async fn a_change_of_an_old_schedule_is_a_conflict(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let old = w.schedule(&tenant, account.id).await;
    let present = set(&w, &tenant, &old, ScheduleStatus::Paused)
        .await
        .unwrap();
    let future = Schedule {
        version: present.version + 1,
        ..present.clone()
    };
    let missing = Schedule {
        id: w.id(),
        ..present.clone()
    };
    for (row, kind, what) in [
        (&old, ErrorKind::Conflict, "an old version"),
        (&future, ErrorKind::Conflict, "a version not there yet"),
        (&missing, ErrorKind::NotFound, "one that is not there"),
    ] {
        let answer = set(&w, &tenant, row, ScheduleStatus::Active).await;
        refused(answer, kind, what);
        refused(remove(&w, &tenant, row).await, kind, what);
    }
    let read = read(&w, &tenant, present.id).await.unwrap();
    assert_eq!(read, present, "as it was");
}

/// Schedules come by id, each once, whatever the size of the pages.
pub async fn schedules_come_in_pages(w: World) {
    let tenant = w.organization().await;
    let (one, two) = (w.account(&tenant).await, w.account(&tenant).await);
    let mut wanted = Vec::new();
    for account in [&one, &two, &one, &two, &one] {
        wanted.push(w.schedule(&tenant, account.id).await);
    }
    wanted.sort_unstable_by_key(|schedule| schedule.id);
    for limit in [1, 2, 5, 1_000] {
        let mut view = w.view(&tenant).await;
        let found = every_page(limit, async |page| view.schedules(&page).await).await;
        assert_eq!(found, wanted, "in pages of {limit}");
    }
}
