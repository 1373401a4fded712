//! Due schedules, and the firing of their ticks: a system path across organizations.

mod due;
mod ends;
mod fire;
mod once;
mod policies;

use std::time::Duration;

use trueno_core::model::{CloudAccount, CronExpression, NewSchedule, Scan, ScanKind, Schedule};
use trueno_core::port::{DueSchedule, Fire, PageRequest, ScanFilter, TickRun};

pub use due::*;
pub use ends::*;
pub use fire::*;
pub use once::*;
pub use policies::*;

use super::World;
use crate::fixtures::{SCAN_KIND, Tenant};

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
        parked: None,
        passed_over: 0,
        run: Some(TickRun {
            tick: due.due_at,
            scan: w.id(),
            job,
        }),
    }
}
