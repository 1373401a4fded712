//! What schedulers ask: which schedules are due, and to fire one; and members, of one.

use trueno_core::model::{EventDraft, NewJob, ScheduleStatus};
use trueno_core::port::{
    DuePosition, DueSchedule, Fire, Scheduling as _, TenantStore as _, TickRun,
};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::SCAN_KIND;

use super::{Expected, Recorder};
use crate::data::Data;

const FILE: &str = "scheduling";

pub(super) async fn all(recorder: &mut Recorder<'_>, data: &Data, store: &PostgresStore) {
    let expected = Expected::Across;
    let first = store.due_schedules(None, 2);
    let page = recorder
        .record(FILE, expected, "due schedules: first page", first)
        .await;
    // On an empty database, after one that is not there.
    let after = page
        .last()
        .map_or_else(|| nowhere(data), DueSchedule::position);
    let next = store.due_schedules(Some(after), 2);
    recorder
        .record(FILE, expected, "due schedules: next page", next)
        .await;
    let passed_over = fire(data, page.first(), None);
    let name = "fire: a tick that is passed over";
    recorder
        .record(FILE, expected, name, store.fire(passed_over))
        .await;
    let job = data.world.job_of_kind(SCAN_KIND);
    let runs = fire(data, page.last(), Some(job));
    recorder
        .record(FILE, expected, "fire: a tick that runs", store.fire(runs))
        .await;
    of_members(recorder, data, store).await;
}

/// What members do with a schedule.
async fn of_members(recorder: &mut Recorder<'_>, data: &Data, store: &PostgresStore) {
    let expected = Expected::Whole;
    let tenant = &data.world.organization().await;
    let account = data.world.account(tenant).await;
    let new = data.world.new_schedule(account.id);
    let id = new.id;
    let mut unit = store.begin(&tenant.schedules).await.unwrap();
    // Values that are inserted have one plan, which reads nothing.
    let added = unit.insert_schedule(new).await.unwrap();
    let pause = unit.set_schedule_status(id, added.version, ScheduleStatus::Paused);
    let paused = recorder
        .record(FILE, expected, "pause a schedule", pause)
        .await;
    let added = EventDraft::new("schedule.added", "schedule", id);
    unit.commit(added).await.unwrap();
    let mut view = store.read(&tenant.read).await.unwrap();
    let read = view.schedule(id);
    recorder.record(FILE, expected, "one schedule", read).await;
    drop(view);
    let mut unit = store.begin(&tenant.schedules).await.unwrap();
    let remove = unit.remove_schedule(id, paused.version);
    recorder
        .record(FILE, expected, "remove a schedule", remove)
        .await;
    // Committed: the next mode finds what this one found.
    let removed = EventDraft::new("schedule.removed", "schedule", id);
    unit.commit(removed).await.unwrap();
}

fn nowhere(data: &Data) -> DuePosition {
    DuePosition {
        due_at: jiff::Timestamp::UNIX_EPOCH,
        organization: data.tenant.id,
        schedule: data.world.id(),
    }
}

/// What fires the tick that is due, of a schedule that is not there where none is.
fn fire(data: &Data, due: Option<&DueSchedule>, job: Option<NewJob>) -> Fire {
    let at = due.map_or_else(|| nowhere(data), DueSchedule::position);
    Fire {
        organization: at.organization,
        schedule: at.schedule,
        due_at: at.due_at,
        next: Some(at.due_at + std::time::Duration::from_secs(60)),
        parked: None,
        passed_over: u64::from(job.is_none()),
        run: job.map(|job| TickRun {
            tick: at.due_at,
            scan: data.world.id(),
            job,
        }),
    }
}
