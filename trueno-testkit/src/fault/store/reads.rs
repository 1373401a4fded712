//! What a view reads, and what a unit of work reads of it.

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, ExceptionId, FindingId, JobId, ScanId, ScheduleId, UserId};
use trueno_core::model::{
    AuditEvent, CloudAccount, Comment, Coverage, Exception, Finding, FindingChange, Job, Member,
    Organization, Recommendation, ResourceRecord, Scan, Schedule,
};
use trueno_core::port::tenant_store::{
    AccountReads, AuditReads, ExceptionFilter, ExceptionReads, FindingCount, FindingReads,
    JobReads, OrganizationReads, ResourceReads, ScanReads, ScheduleReads,
};
use trueno_core::port::{
    Count, FindingFilter, JobFilter, Page, PageRequest, ReadView, ResourceFilter, ScanFilter,
    UnitOfWork,
};

use super::Opened;

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

            async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
                self.plan
                    .through(concat!($name, ".jobs"), self.real.jobs(filter, page))
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
    ) -> Result<Page<ResourceRecord>> {
        self.plan
            .through("read_view.resources", self.real.resources(filter, page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl FindingReads for Opened<dyn ReadView> {
    async fn finding(&mut self, id: FindingId) -> Result<Finding> {
        self.plan
            .through("read_view.finding", self.real.finding(id))
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

    async fn count_findings(&mut self, filter: &FindingFilter) -> Result<Count> {
        self.plan
            .through("read_view.count_findings", self.real.count_findings(filter))
            .await
    }

    async fn finding_counts(
        &mut self,
        account: Option<CloudAccountId>,
    ) -> Result<Vec<FindingCount>> {
        let call = self.real.finding_counts(account);
        self.plan.through("read_view.finding_counts", call).await
    }

    async fn finding_history(
        &mut self,
        id: FindingId,
        page: &PageRequest,
    ) -> Result<Page<FindingChange>> {
        let call = self.real.finding_history(id, page);
        self.plan.through("read_view.finding_history", call).await
    }

    async fn comments(&mut self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>> {
        self.plan
            .through("read_view.comments", self.real.comments(id, page))
            .await
    }

    async fn recommendations(
        &mut self,
        account: Option<CloudAccountId>,
        page: &PageRequest,
    ) -> Result<Page<Recommendation>> {
        let call = self.real.recommendations(account, page);
        self.plan.through("read_view.recommendations", call).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl OrganizationReads for Opened<dyn ReadView> {
    async fn organization(&mut self) -> Result<Organization> {
        self.plan
            .through("read_view.organization", self.real.organization())
            .await
    }

    async fn member(&mut self, user: UserId) -> Result<Member> {
        self.plan
            .through("read_view.member", self.real.member(user))
            .await
    }

    async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>> {
        self.plan
            .through("read_view.members", self.real.members(page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ExceptionReads for Opened<dyn ReadView> {
    async fn exception(&mut self, id: ExceptionId) -> Result<Exception> {
        self.plan
            .through("read_view.exception", self.real.exception(id))
            .await
    }

    async fn exceptions(
        &mut self,
        filter: &ExceptionFilter,
        page: &PageRequest,
    ) -> Result<Page<Exception>> {
        self.plan
            .through("read_view.exceptions", self.real.exceptions(filter, page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScheduleReads for Opened<dyn ReadView> {
    async fn schedule(&mut self, id: ScheduleId) -> Result<Schedule> {
        self.plan
            .through("read_view.schedule", self.real.schedule(id))
            .await
    }

    async fn schedules(&mut self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.plan
            .through("read_view.schedules", self.real.schedules(page))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditReads for Opened<dyn ReadView> {
    async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>> {
        self.plan
            .through("read_view.audit_events", self.real.audit_events(page))
            .await
    }
}
