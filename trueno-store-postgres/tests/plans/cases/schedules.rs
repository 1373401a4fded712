//! What schedulers ask: which schedules are due, and to fire one.

use trueno_core::model::NewJob;
use trueno_core::port::{DuePosition, DueSchedule, Fire, Scheduling as _, TickRun};
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
