//! What every bench starts from: a database, organizations in it, and scans that a worker runs.

use std::time::Duration;

use tokio::runtime::Runtime;
use trueno_core::model::{CloudAccount, EventDraft};
use trueno_core::port::{FinishOutcome, Finished, JobOutcome, Lease, claim_leases};
use trueno_core::state::scan::ScanEvent;
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{Tenant, World};

use crate::data::BATCH;
use crate::notices::{Notices, Told};
use crate::support::{self, Database};

/// The server sends how long each step of a statement took.
pub(crate) const TIMED: [(&str, &str); 3] = [
    ("log_min_duration_statement", "0"),
    ("client_min_messages", "log"),
    // To the client, not to the server's log.
    ("log_min_messages", "fatal"),
];

/// A fresh database with a store on it.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let harness = support::harness().await;
        Self {
            database: harness.database.borrowed(),
            store: harness.store.clone(),
            world: World::new(harness).await,
        }
    }

    /// A scan that a worker runs for as long as a lease may last.
    pub(crate) async fn scan(&self, tenant: &Tenant, account: &CloudAccount) -> Lease {
        self.world.request_scan(tenant, account).await;
        let hour = Duration::from_secs(3_600);
        let request = self.world.claim_request(1).with_lease_for(hour);
        let mut leases = claim_leases(&self.store, &request).await.unwrap();
        let lease = leases.pop().expect("the scan's job was claimed");
        self.world.start(&lease, 1).await;
        lease
    }

    /// Ends a scan that saw everything.
    pub(crate) async fn finish(&self, lease: &Lease) {
        let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
            coverage_complete: true,
        });
        let event = EventDraft::new("scan.finished", "job", lease.reference().job);
        let finished = self
            .world
            .store
            .finish(lease, outcome, event)
            .await
            .unwrap();
        assert!(matches!(finished, Finished::Applied { .. }), "{finished:?}");
    }

    /// Gives an organization findings, in one account.
    pub(crate) async fn findings(&self, tenant: &Tenant, rows: usize) {
        let account = self.world.account(tenant).await;
        let lease = self.scan(tenant, &account).await;
        for from in (0..rows).step_by(BATCH) {
            let to = (from + BATCH).min(rows);
            let mut ingest = self.world.store.ingest(&lease).await.unwrap();
            ingest
                .put_findings(crate::data::findings(from, to))
                .await
                .unwrap();
            ingest.commit().await.unwrap();
        }
        self.finish(&lease).await;
    }
}

/// How long the statements took on the server since it was asked last, in milliseconds: planning
/// them, running them and sending the rows, without the way there and back.
pub(crate) fn statement_time(notices: &Notices) -> f64 {
    let told = notices.take();
    let steps = told.iter().filter_map(|told| match told {
        Told::Notice(text) => text.strip_prefix("duration: "),
        Told::Statement { .. } => None,
    });
    let times: Vec<f64> = steps
        .map(|step| step.split(' ').next().and_then(|time| time.parse().ok()))
        .collect::<Option<_>>()
        .expect("the server says how long it took");
    assert!(!times.is_empty(), "the server said how long it took");
    times.iter().sum()
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "something was measured");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
