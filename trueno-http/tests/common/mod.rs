//! An organization with an account and scans, through the ports alone.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fixture that fails fails the test"
)]

use std::sync::Arc;

use axum::Router;
use serde_json::json;
use trueno_core::access::{Authenticator, Identity};
use trueno_core::clock::Clock;
use trueno_core::id::{IdSource, ScanId};
use trueno_core::model::{
    AccessMethod, AccountNumber, CloudAccount, Coverage, CoverageStatus, EventDraft, FindingDraft,
    NewCloudAccount, Provider, ScanProgress, Severity,
};
use trueno_core::money::{Money, Saving};
use trueno_core::port::{
    ClaimRequest, FinishOutcome, Finished, JobOutcome, Lease, TenantStore, claim_leases,
};
use trueno_core::runtime::scan::{JOB_KIND, ScanRequest, request};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;
use trueno_http::{FixedIdentity, HttpState, router};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fixtures::{self, Tenant, coverage, task};

/// Runs if a page fails to escape it: the body's id says so.
pub(crate) const HOSTILE: &str = "<script>document.body.id='own'+'ed'</script><img src=x onerror=\"document.body.id='own'+'ed'\">";

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) clock: ManualClock,
    ids: IdSource,
}

impl World {
    pub(crate) fn new() -> Self {
        // The day after the prices of the fixtures were read.
        let clock = ManualClock::new("2026-11-02T10:00:00Z".parse().unwrap());
        let ids = IdSource::seeded(7);
        Self {
            store: MemoryStore::new(clock.shared(), ids.clone()),
            clock,
            ids,
        }
    }

    pub(crate) fn id<I: From<uuid::Uuid>>(&self) -> I {
        self.clock.advance(std::time::Duration::from_millis(1));
        self.ids.next(self.clock.now())
    }

    pub(crate) async fn tenant(&self) -> Tenant {
        fixtures::organization(&self.store, self.id(), self.id())
            .await
            .unwrap()
    }

    /// The router as the tenant's owner sees it.
    pub(crate) fn router(&self, tenant: &Tenant) -> Router {
        self.router_for(FixedIdentity::new(Identity::authenticated(tenant.owner)))
    }

    /// The router for whom `authenticator` lets in.
    pub(crate) fn router_for(&self, authenticator: impl Authenticator + 'static) -> Router {
        let store = Arc::new(self.store.clone());
        router(HttpState::new(
            store,
            Arc::new(authenticator),
            self.clock.shared(),
        ))
    }

    pub(crate) async fn account(&self, tenant: &Tenant, name: &str) -> CloudAccount {
        let number: AccountNumber = "123456789012".parse().unwrap();
        let access = AccessMethod::Ambient;
        let new = NewCloudAccount::new(self.id(), Provider::Aws, number, name, access).unwrap();
        let mut work = self.store.begin(&tenant.accounts).await.unwrap();
        let account = work.insert_account(new).await.unwrap();
        let account = work
            .apply_account(account.id, account.version, AccountEvent::Verified)
            .await
            .unwrap();
        let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
        work.commit(event).await.unwrap();
        account
    }

    pub(crate) async fn request(&self, tenant: &Tenant, account: &CloudAccount) -> ScanId {
        self.clock.advance(std::time::Duration::from_secs(1));
        let wanted = ScanRequest::new(account.id);
        request(&self.store, &tenant.scan, &wanted, &self.ids, &self.clock)
            .await
            .unwrap()
            .scan
    }

    /// Claims the one scan that waits, and says that it runs.
    pub(crate) async fn start(&self) -> Lease {
        let claim = ClaimRequest::new(self.id(), "test", vec![JOB_KIND], 1);
        let mut leases = claim_leases(&self.store, &claim).await.unwrap();
        let lease = leases.pop().expect("a scan waits");
        let mut batch = self.store.ingest(&lease).await.unwrap();
        batch.start_scan(8).await.unwrap();
        batch.commit().await.unwrap();
        lease
    }

    pub(crate) async fn progress(&self, lease: &Lease, progress: ScanProgress) {
        let mut batch = self.store.ingest(lease).await.unwrap();
        batch.set_progress(progress).await.unwrap();
        batch.commit().await.unwrap();
    }

    pub(crate) async fn finish(
        &self,
        lease: &Lease,
        rows: Vec<Coverage>,
        findings: Vec<FindingDraft>,
    ) {
        let coverage_complete = rows.iter().all(|row| row.status.is_complete());
        let mut batch = self.store.ingest(lease).await.unwrap();
        batch.put_coverage(rows).await.unwrap();
        batch.put_findings(findings).await.unwrap();
        batch.commit().await.unwrap();
        let outcome = FinishOutcome::new(JobOutcome::Succeeded)
            .with_scan(ScanEvent::Completed { coverage_complete });
        let event = EventDraft::new("scan.completed", "job", lease.reference().job);
        let finished = self.store.finish(lease, outcome, event).await.unwrap();
        assert!(matches!(finished, Finished::Applied { .. }), "{finished:?}");
    }

    /// Ends the scan's last attempt.
    pub(crate) async fn fail(&self, lease: &Lease, why: &str) {
        let outcome = FinishOutcome::new(JobOutcome::Failed {
            error: why.to_owned(),
            retryable: false,
            retry_after: std::time::Duration::ZERO,
        });
        let event = EventDraft::new("job.attempt_failed", "job", lease.reference().job);
        self.store.finish(lease, outcome, event).await.unwrap();
    }

    /// A scan that ended like this.
    pub(crate) async fn scanned(
        &self,
        tenant: &Tenant,
        account: &CloudAccount,
        rows: Vec<Coverage>,
        findings: Vec<FindingDraft>,
    ) -> ScanId {
        let scan = self.request(tenant, account).await;
        let lease = self.start().await;
        self.finish(&lease, rows, findings).await;
        scan
    }
}

/// A finding on `native_id` that saves so many micro-dollars a month.
pub(crate) fn finding(native_id: &str, micros: Option<i64>) -> FindingDraft {
    let mut finding = fixtures::finding(native_id);
    match (&mut finding.monthly_saving, micros) {
        (Saving::Known { amount, .. }, Some(micros)) => *amount = Money::usd_micros(micros),
        (saving, None) => *saving = Saving::Unknown,
        (Saving::Unknown, Some(_)) => unreachable!("the fixture's saving is known"),
    }
    finding
}

/// A finding whose every text wants to be markup.
pub(crate) fn hostile(native_id: &str) -> FindingDraft {
    let mut finding = finding(native_id, Some(1_000_000));
    finding.severity = Severity::High;
    finding.name = Some(HOSTILE.to_owned());
    finding.tags.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    finding.evidence.insert(HOSTILE.to_owned(), json!(HOSTILE));
    finding
}

pub(crate) fn complete() -> Vec<Coverage> {
    vec![
        coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete),
        coverage(task("ec2.address", "eu-west-1"), CoverageStatus::Complete),
        coverage(
            task("ec2.volume", "me-central-1"),
            CoverageStatus::NotEnabled,
        ),
    ]
}

pub(crate) fn partial() -> Vec<Coverage> {
    let mut rows = complete();
    rows.push(coverage(
        task("ec2.snapshot", "us-east-1"),
        CoverageStatus::Denied,
    ));
    rows.push(coverage(
        task("ec2.volume", "us-east-1"),
        CoverageStatus::Complete,
    ));
    rows
}
