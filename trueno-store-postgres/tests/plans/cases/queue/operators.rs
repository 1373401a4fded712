//! What is asked of one job, of an organization's share, and of the queue as a whole.

use trueno_core::model::{OrganizationLimits, QueueTarget};
use trueno_core::port::{JobQueue as _, TenantStore as _};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::Tenant;

use super::FILE;
use crate::cases::{Expected, Recorder};
use crate::data::Data;

const EXPECTED: Expected = Expected::Whole;

pub(super) async fn all(
    recorder: &mut Recorder<'_>,
    data: &Data,
    tenant: &Tenant,
    store: &PostgresStore,
) {
    let limits = OrganizationLimits::default();
    let set = store.set_limits(tenant.id, &limits);
    recorder.record(FILE, EXPECTED, "set limits", set).await;
    let read = store.limits(tenant.id);
    recorder.record(FILE, EXPECTED, "limits", read).await;
    let kind = "plans.paused".parse().unwrap();
    let nobodys = Expected::Nobodys;
    for (what, expected, target) in [
        (
            "an organization",
            EXPECTED,
            QueueTarget::Organization(tenant.id),
        ),
        ("a kind", nobodys, QueueTarget::Kind(kind)),
    ] {
        let name = format!("pause {what}");
        let pause = store.pause(&target);
        recorder.record(FILE, expected, &name, pause).await;
        let name = format!("resume {what}");
        let resume = store.resume(&target);
        recorder.record(FILE, expected, &name, resume).await;
    }
    one_job(recorder, data, tenant, store).await;
    let stats = store.stats();
    recorder.record(FILE, Expected::Every, "stats", stats).await;
    let horizon = store.horizon();
    recorder.record(FILE, nobodys, "horizon", horizon).await;
}

async fn one_job(recorder: &mut Recorder<'_>, data: &Data, tenant: &Tenant, store: &PostgresStore) {
    let job = data.world.job();
    let id = job.id;
    store.enqueue(&tenant.scan, vec![job]).await.unwrap();
    let mut view = store.read(&tenant.read).await.unwrap();
    recorder
        .record(FILE, EXPECTED, "one job", view.job(id))
        .await;
    drop(view);
    let why = store.why_waiting(&tenant.scan, id);
    let name = "why a job waits";
    recorder.record(FILE, EXPECTED, name, why).await;
    let cancel = store.cancel(&tenant.scan, id);
    let name = "cancel a job that waits";
    recorder.record(FILE, EXPECTED, name, cancel).await;
    let again = store.cancel(&tenant.scan, id);
    let name = "cancel a job that ended";
    recorder.record(FILE, EXPECTED, name, again).await;
}
