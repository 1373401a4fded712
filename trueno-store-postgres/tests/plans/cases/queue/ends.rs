//! How attempts end, and what becomes of their jobs.

use std::time::Duration;

use trueno_core::id::JobId;
use trueno_core::model::{EventDraft, JobStatus, ScanProgress};
use trueno_core::port::{
    FinishOutcome, JobFilter, JobOutcome, JobQueue as _, Lease, PageRequest, Settlement,
    TenantStore as _, claim_leases,
};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::Tenant;

use super::{FILE, of_kind};
use crate::cases::{Expected, Recorder};
use crate::data::Data;

const KIND: &str = "plans.ending";
const EXPECTED: Expected = Expected::Whole;

pub(super) async fn all(
    recorder: &mut Recorder<'_>,
    data: &Data,
    tenant: &Tenant,
    store: &PostgresStore,
) {
    let lease = claimed(data, tenant, store).await;
    let follows = data.world.job_of_kind("plans.following");
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_next(vec![follows]);
    let event = EventDraft::new("job.done", "job", lease.claim().lease.job);
    let finish = store.finish(&lease, outcome, event);
    let name = "finish a job, which another one follows";
    recorder.record(FILE, EXPECTED, name, finish).await;

    let lease = claimed(data, tenant, store).await;
    let cancel = store.cancel(&tenant.scan, lease.claim().lease.job);
    let name = "cancel a job that runs";
    recorder.record(FILE, EXPECTED, name, cancel).await;
    let settle = store.settle(settlement(&lease, JobOutcome::Cancelled));
    let name = "settle: a job that was cancelled";
    recorder.record(FILE, EXPECTED, name, settle).await;

    progress(recorder, data, tenant, store).await;

    let mut lease = claimed(data, tenant, store).await;
    for (name, retryable) in [
        ("settle: an attempt that failed", true),
        ("settle: the last attempt", false),
    ] {
        let outcome = JobOutcome::Failed {
            error: "no answer".to_owned(),
            retryable,
            retry_after: Duration::ZERO,
        };
        let settle = store.settle(settlement(&lease, outcome));
        recorder.record(FILE, EXPECTED, name, settle).await;
        if retryable {
            lease = claim(data, store).await;
        }
    }
    dead(recorder, tenant, store).await;
}

/// What a worker says of a scan, under its lease.
async fn progress(
    recorder: &mut Recorder<'_>,
    data: &Data,
    tenant: &Tenant,
    store: &PostgresStore,
) {
    const KIND: &str = "plans.scanning";
    let account = data.world.account(tenant).await;
    let job = data.world.job_of_kind(KIND);
    data.world.request_scan_by(tenant, &account, job).await;
    let leases = claim_leases(store, &of_kind(data, KIND)).await.unwrap();
    let read = store.read(leases[0].scope());
    let name = "a lease is entered to read";
    drop(recorder.record(FILE, EXPECTED, name, read).await);
    let ingest = store.ingest(&leases[0]);
    let name = "a lease is entered";
    let mut ingest = recorder.record(FILE, EXPECTED, name, ingest).await;
    let start = ingest.start_scan(2);
    let name = "a scan begins";
    recorder.record(FILE, EXPECTED, name, start).await;
    let progress = ScanProgress {
        tasks: 2,
        tasks_done: 1,
        resources: 3,
    };
    let progress = ingest.set_progress(progress);
    let name = "progress of a scan";
    recorder.record(FILE, EXPECTED, name, progress).await;
    ingest.commit().await.unwrap();
}

/// A job that is dead, and can begin anew or be given up.
async fn dead(recorder: &mut Recorder<'_>, tenant: &Tenant, store: &PostgresStore) {
    let filter = JobFilter::default().with_status(JobStatus::Dead);
    let page = PageRequest::first(2).unwrap();
    let mut view = store.read(&tenant.read).await.unwrap();
    let dead: JobId = view.jobs(&filter, &page).await.unwrap().items[0].id;
    drop(view);
    let mut unit = store.begin(&tenant.scan).await.unwrap();
    let redrive = unit.redrive_job(dead);
    let name = "redrive a dead job";
    recorder.record(FILE, EXPECTED, name, redrive).await;
    unit.rollback().await.unwrap();
    let mut unit = store.begin(&tenant.scan).await.unwrap();
    let discard = unit.discard_job(dead);
    let name = "discard a dead job";
    recorder.record(FILE, EXPECTED, name, discard).await;
    // Committed: in the next mode the one that is dead is again the only one.
    let event = EventDraft::new("job.discarded", "job", dead);
    unit.commit(event).await.unwrap();
}

/// A job that runs.
async fn claimed(data: &Data, tenant: &Tenant, store: &PostgresStore) -> Lease {
    let job = data.world.job_of_kind(KIND);
    store.enqueue(&tenant.scan, vec![job]).await.unwrap();
    claim(data, store).await
}

async fn claim(data: &Data, store: &PostgresStore) -> Lease {
    let mut leases = claim_leases(store, &of_kind(data, KIND)).await.unwrap();
    assert_eq!(leases.len(), 1, "the only job of its kind");
    leases.remove(0)
}

fn settlement(lease: &Lease, outcome: JobOutcome) -> Vec<Settlement> {
    let lease = lease.reference();
    vec![Settlement { lease, outcome }]
}
