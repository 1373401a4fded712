//! A store whose doors, and whatever they open, go wrong as planned.

use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{AuditEventId, CloudAccountId, JobId, ScanId, UserId};
use trueno_core::model::{
    AuditEvent, CloudAccount, Coverage, EventDraft, Finding, Job, Membership, NewCloudAccount,
    NewJob, NewOrganization, NewScan, Organization, Resource, Scan, ScanProgress, Version,
};
use trueno_core::port::tenant_store::{
    AccountReads, AccountWrites, FindingReads, FindingUpsert, JobReads, JobWrites, ResourceReads,
    ScanReads, ScanWrites,
};
use trueno_core::port::{
    AuditOutbox, CancelOutcome, Enqueued, FindingFilter, FinishOutcome, Finished, Ingest, Lease,
    Page, PageRequest, ReadView, ResourceFilter, ScanFilter, TenantStore, UnitOfWork,
};
use trueno_core::state::cloud_account::AccountEvent;

use super::FaultPlan;

/// A [`TenantStore`] whose calls, and those of what it opens, go wrong as planned. Otherwise it is
/// the store that it wraps.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    real: Arc<dyn TenantStore>,
    plan: FaultPlan,
}

impl FaultyStore {
    /// Wraps `real`.
    #[must_use]
    pub fn new(real: Arc<dyn TenantStore>, plan: FaultPlan) -> Self {
        Self { real, plan }
    }

    fn wrap<T: ?Sized>(&self, real: Box<T>) -> Box<Opened<T>> {
        Box::new(Opened {
            real,
            plan: self.plan.clone(),
        })
    }
}

/// What a door opened: a view, a unit of work or a batch.
struct Opened<T: ?Sized> {
    real: Box<T>,
    plan: FaultPlan,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditOutbox for FaultyStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        self.plan
            .through("tenant_store.staged", self.real.staged(limit))
            .await
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.plan
            .through("tenant_store.forget", self.real.forget(events))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TenantStore for FaultyStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.plan
            .through("tenant_store.memberships", self.real.memberships(user))
            .await
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        let call = self.real.create_organization(new, event);
        self.plan
            .through("tenant_store.create_organization", call)
            .await
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let real = self
            .plan
            .through("tenant_store.read", self.real.read(scope))
            .await?;
        Ok(self.wrap(real))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        let real = self
            .plan
            .through("tenant_store.begin", self.real.begin(scope))
            .await?;
        Ok(self.wrap(real))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        let real = self
            .plan
            .through("tenant_store.ingest", self.real.ingest(lease))
            .await?;
        Ok(self.wrap(real))
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        let call = self.real.finish(lease, outcome, event);
        self.plan.through("tenant_store.finish", call).await
    }
}

/// The reads that a view and a unit of work share.
macro_rules! shared_reads {
    ($opened:ty, $name:literal) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl AccountReads for $opened {
            async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount> {
                self.plan
                    .through(concat!($name, ".account"), self.real.account(id))
                    .await
            }

            async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>> {
                self.plan
                    .through(concat!($name, ".accounts"), self.real.accounts(page))
                    .await
            }
        }

        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl ScanReads for $opened {
            async fn scan(&mut self, id: ScanId) -> Result<Scan> {
                self.plan
                    .through(concat!($name, ".scan"), self.real.scan(id))
                    .await
            }

            async fn scans(
                &mut self,
                filter: &ScanFilter,
                page: &PageRequest,
            ) -> Result<Page<Scan>> {
                self.plan
                    .through(concat!($name, ".scans"), self.real.scans(filter, page))
                    .await
            }

            async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>> {
                self.plan
                    .through(concat!($name, ".coverage"), self.real.coverage(scan))
                    .await
            }
        }

        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl JobReads for $opened {
            async fn job(&mut self, id: JobId) -> Result<Job> {
                self.plan
                    .through(concat!($name, ".job"), self.real.job(id))
                    .await
            }
        }
    };
}

shared_reads!(Opened<dyn ReadView>, "read_view");
shared_reads!(Opened<dyn UnitOfWork>, "unit_of_work");

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ResourceReads for Opened<dyn ReadView> {
    async fn resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<Resource>> {
        self.plan
            .through("read_view.resources", self.real.resources(filter, page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl FindingReads for Opened<dyn ReadView> {
    async fn finding(&mut self, account: CloudAccountId, key: &str) -> Result<Finding> {
        self.plan
            .through("read_view.finding", self.real.finding(account, key))
            .await
    }

    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>> {
        self.plan
            .through("read_view.findings", self.real.findings(filter, page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AccountWrites for Opened<dyn UnitOfWork> {
    async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount> {
        self.plan
            .through("unit_of_work.insert_account", self.real.insert_account(new))
            .await
    }

    async fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount> {
        let call = self.real.apply_account(id, version, event);
        self.plan.through("unit_of_work.apply_account", call).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScanWrites for Opened<dyn UnitOfWork> {
    async fn insert_scan(&mut self, new: NewScan) -> Result<Scan> {
        self.plan
            .through("unit_of_work.insert_scan", self.real.insert_scan(new))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobWrites for Opened<dyn UnitOfWork> {
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.plan
            .through("unit_of_work.enqueue", self.real.enqueue(jobs))
            .await
    }

    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome> {
        self.plan
            .through("unit_of_work.cancel_job", self.real.cancel_job(job))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl UnitOfWork for Opened<dyn UnitOfWork> {
    async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId> {
        self.plan
            .through("unit_of_work.commit", self.real.commit(event))
            .await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.plan
            .through("unit_of_work.rollback", self.real.rollback())
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Ingest for Opened<dyn Ingest> {
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan> {
        self.plan
            .through("ingest.start_scan", self.real.start_scan(tasks))
            .await
    }

    async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()> {
        self.plan
            .through("ingest.put_resources", self.real.put_resources(resources))
            .await
    }

    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()> {
        self.plan
            .through("ingest.put_coverage", self.real.put_coverage(coverage))
            .await
    }

    async fn put_findings(&mut self, findings: Vec<FindingUpsert>) -> Result<()> {
        self.plan
            .through("ingest.put_findings", self.real.put_findings(findings))
            .await
    }

    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()> {
        self.plan
            .through("ingest.resolve_findings", self.real.resolve_findings(keys))
            .await
    }

    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()> {
        self.plan
            .through("ingest.set_progress", self.real.set_progress(progress))
            .await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.plan.through("ingest.commit", self.real.commit()).await
    }
}
