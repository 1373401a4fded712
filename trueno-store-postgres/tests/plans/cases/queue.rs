//! What workers and operators ask of the queue.

mod ends;
mod operators;

use std::time::Duration;

use trueno_core::id::JobId;
use trueno_core::model::{Concurrency, OrganizationLimits};
use trueno_core::port::{ClaimRequest, JobOutcome, JobQueue as _, LeaseRef, Settlement};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{SCAN_KIND, Tenant, WORK_KIND};

use super::{Expected, Recorder};
use crate::data::Data;

const FILE: &str = "queue";
const EXPECTED: Expected = Expected::Claim;
const LEASE: Duration = Duration::from_secs(30);

pub(super) async fn all(recorder: &mut Recorder<'_>, data: &Data, store: &PostgresStore) {
    recorder
        .record(
            "claim",
            EXPECTED,
            "claim of up to 10",
            store.claim(&data.world.claim_request(10)),
        )
        .await;
    // Of an organization of their own: lists are to find what they found before.
    let tenant = &data.world.organization().await;
    enqueue(recorder, data, tenant, store).await;
    let request = of_kind(data, WORK_KIND);
    let claims = store.claim(&request).await.unwrap();
    let name = "heartbeat of a session with jobs";
    recorder
        .record(
            FILE,
            EXPECTED,
            name,
            store.heartbeat(request.session, LEASE),
        )
        .await;
    let leases: Vec<LeaseRef> = claims.iter().map(|claim| claim.lease).collect();
    let name = "settle: jobs that succeeded";
    recorder
        .record(
            FILE,
            Expected::Whole,
            name,
            store.settle(succeeded(&leases)),
        )
        .await;
    let name = "settle: jobs that succeeded before, or are another's";
    let again = if leases.is_empty() {
        vec![nothing(data)]
    } else {
        leases
    };
    recorder
        .record(FILE, Expected::Whole, name, store.settle(succeeded(&again)))
        .await;
    places(recorder, data, store).await;
    ends::all(recorder, data, tenant, store).await;
    operators::all(recorder, data, tenant, store).await;
    recover(recorder, data, store).await;
    let name = "forget jobs that ended";
    let forget = store.forget_finished(Duration::from_secs(3_600), 2);
    recorder.record(FILE, Expected::Every, name, forget).await;
}

async fn enqueue(recorder: &mut Recorder<'_>, data: &Data, tenant: &Tenant, store: &PostgresStore) {
    let scope = &tenant.scan;
    let jobs = (0..3).map(|_| data.world.job()).collect();
    let name = "enqueue: jobs without keys";
    recorder
        .record(FILE, EXPECTED, name, store.enqueue(scope, jobs))
        .await;
    // A key that nobody has yet.
    let key = data.world.id::<JobId>().to_string();
    let job = data.world.job().with_dedupe_key(&key).unwrap();
    let name = "enqueue: a job with a dedupe key";
    recorder
        .record(FILE, EXPECTED, name, store.enqueue(scope, vec![job]))
        .await;
}

/// Places that are free again: under an organization's cap, and under a key's.
async fn places(recorder: &mut Recorder<'_>, data: &Data, store: &PostgresStore) {
    const KIND: &str = "plans.keyed";
    let tenant = data.world.organization().await;
    let limits = OrganizationLimits::default().with_max_running(1).unwrap();
    store.set_limits(tenant.id, &limits).await.unwrap();
    let one_at_a_time = Concurrency::new("account", 1).unwrap();
    let job = || {
        let job = data.world.job_of_kind(KIND);
        job.with_concurrency(one_at_a_time.clone())
    };
    store
        .enqueue(&tenant.scan, vec![job(), job()])
        .await
        .unwrap();
    let request = of_kind(data, KIND);
    let first = store.claim(&request).await.unwrap();
    assert_eq!(first.len(), 1, "the other one waits for its place");
    let settled = succeeded(&[first[0].lease]);
    store.settle(settled).await.unwrap();
    let name = "claim of what waited for a place";
    let second = recorder
        .record("claim", EXPECTED, name, store.claim(&request))
        .await;
    assert_eq!(second.len(), 1, "its place is free");
    store.settle(succeeded(&[second[0].lease])).await.unwrap();
}

/// Jobs of a worker that is gone; scans run by others among them.
async fn recover(recorder: &mut Recorder<'_>, data: &Data, store: &PostgresStore) {
    store.claim(&of_kind(data, SCAN_KIND)).await.unwrap();
    data.database
        .execute("update trueno.worker_session set expires_at = clock_timestamp()")
        .await;
    let name = "recover jobs of workers that are gone";
    recorder
        .record(FILE, EXPECTED, name, store.recover_expired(5))
        .await;
}

fn of_kind(data: &Data, kind: &str) -> ClaimRequest {
    let kinds = vec![kind.parse().unwrap()];
    ClaimRequest::new(data.world.id(), "worker", kinds, 10)
}

fn succeeded(leases: &[LeaseRef]) -> Vec<Settlement> {
    let settlement = |lease: &LeaseRef| Settlement {
        lease: *lease,
        outcome: JobOutcome::Succeeded,
    };
    leases.iter().map(settlement).collect()
}

/// A lease of a job that is not there.
fn nothing(data: &Data) -> LeaseRef {
    LeaseRef {
        organization: data.tenant.id,
        job: data.world.id(),
        token: data.world.id(),
        session: data.world.id(),
    }
}
