//! What a unit of work and a batch write.

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::id::{
    AuditEventId, CloudAccountId, ExceptionId, FindingId, JobId, ScheduleId, UserId,
};
use trueno_core::model::{
    CloudAccount, Comment, Coverage, EventDraft, Exception, Finding, FindingDraft, Job, Member,
    NewCloudAccount, NewComment, NewException, NewJob, NewScan, NewSchedule, Resource, Role, Scan,
    ScanProgress, Schedule, ScheduleStatus, Version,
};
use trueno_core::port::tenant_store::{
    AccountWrites, ExceptionWrites, FindingWrites, JobWrites, OrganizationWrites, ScanWrites,
    ScheduleWrites,
};
use trueno_core::port::{CancelOutcome, Enqueued, Ingest, UnitOfWork};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::Opened;

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

    async fn redrive_job(&mut self, job: JobId) -> Result<Job> {
        self.plan
            .through("unit_of_work.redrive_job", self.real.redrive_job(job))
            .await
    }

    async fn discard_job(&mut self, job: JobId) -> Result<Job> {
        self.plan
            .through("unit_of_work.discard_job", self.real.discard_job(job))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl FindingWrites for Opened<dyn UnitOfWork> {
    async fn step_finding(
        &mut self,
        id: FindingId,
        version: Version,
        step: FindingStep,
    ) -> Result<Finding> {
        let call = self.real.step_finding(id, version, step);
        self.plan.through("unit_of_work.step_finding", call).await
    }

    async fn assign_finding(
        &mut self,
        id: FindingId,
        version: Version,
        assignee: Option<UserId>,
    ) -> Result<Finding> {
        let call = self.real.assign_finding(id, version, assignee);
        self.plan.through("unit_of_work.assign_finding", call).await
    }

    async fn add_comment(&mut self, new: NewComment) -> Result<Comment> {
        self.plan
            .through("unit_of_work.add_comment", self.real.add_comment(new))
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ExceptionWrites for Opened<dyn UnitOfWork> {
    async fn request_exception(&mut self, new: NewException) -> Result<Exception> {
        let call = self.real.request_exception(new);
        self.plan
            .through("unit_of_work.request_exception", call)
            .await
    }

    async fn decide_exception(
        &mut self,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
    ) -> Result<Exception> {
        let call = self.real.decide_exception(id, version, decision);
        self.plan
            .through("unit_of_work.decide_exception", call)
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScheduleWrites for Opened<dyn UnitOfWork> {
    async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule> {
        let call = self.real.insert_schedule(new);
        self.plan
            .through("unit_of_work.insert_schedule", call)
            .await
    }

    async fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
    ) -> Result<Schedule> {
        let call = self.real.set_schedule_status(id, version, status);
        self.plan
            .through("unit_of_work.set_schedule_status", call)
            .await
    }

    async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()> {
        let call = self.real.remove_schedule(id, version);
        self.plan
            .through("unit_of_work.remove_schedule", call)
            .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl OrganizationWrites for Opened<dyn UnitOfWork> {
    async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let call = self.real.insert_member(user, role);
        self.plan.through("unit_of_work.insert_member", call).await
    }

    async fn set_member_role(
        &mut self,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member> {
        let call = self.real.set_member_role(user, version, role);
        self.plan
            .through("unit_of_work.set_member_role", call)
            .await
    }

    async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()> {
        let call = self.real.remove_member(user, version);
        self.plan.through("unit_of_work.remove_member", call).await
    }

    async fn erase_organization(&mut self) -> Result<()> {
        let call = self.real.erase_organization();
        self.plan
            .through("unit_of_work.erase_organization", call)
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

    async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()> {
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
