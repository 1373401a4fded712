//! What a broken store writes.

use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{
    AuditEventId, CloudAccountId, ExceptionId, FindingId, JobId, OrganizationId, ScanId,
    ScheduleId, UserId,
};
use trueno_core::model::{
    CloudAccount, Comment, Coverage, CoverageStatus, EventDraft, Exception, Finding, FindingDraft,
    Job, Member, NewCloudAccount, NewComment, NewException, NewJob, NewScan, NewSchedule, Resource,
    Role, Scan, ScanProgress, Schedule, ScheduleStatus, Version, limits,
};
use trueno_core::port::tenant_store::{
    AccountReads, AccountWrites, ExceptionWrites, FindingWrites, JobReads, JobWrites,
    OrganizationWrites, ScanReads, ScanWrites, ScheduleWrites,
};
use trueno_core::port::{
    CancelOutcome, Enqueued, Ingest, JobFilter, Page, PageRequest, ScanFilter, UnitOfWork,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use crate::planted::{Defect, Plot};

pub(crate) struct Unit {
    pub(crate) real: Box<dyn UnitOfWork>,
    pub(crate) scope: OrgScope,
    pub(crate) plot: Arc<Plot>,
}

impl Unit {
    /// True where `answer` failed like this and the defect is there to make nothing of it. The
    /// unit of work is then a new one, since the failed one is spent.
    async fn passes_over<T>(
        &mut self,
        defect: Defect,
        answer: &Result<T>,
        kind: ErrorKind,
        scope: Option<OrgScope>,
    ) -> Result<bool> {
        let failed = answer.as_ref().err().is_some_and(|e| e.kind() == kind);
        if !failed || self.plot.defect != defect {
            return Ok(false);
        }
        let scope = scope.unwrap_or(self.scope);
        self.real = self.plot.real.begin(&scope).await?;
        Ok(true)
    }

    async fn present(&mut self, id: FindingId) -> Result<Finding> {
        self.plot.real.read(&self.scope).await?.finding(id).await
    }

    async fn present_member(&mut self, user: UserId) -> Result<Member> {
        self.plot.real.read(&self.scope).await?.member(user).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AccountReads for Unit {
    async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount> {
        self.real.account(id).await
    }

    async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>> {
        self.real.accounts(page).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AccountWrites for Unit {
    async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount> {
        self.real.insert_account(new).await
    }

    async fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount> {
        self.real.apply_account(id, version, event).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScanReads for Unit {
    async fn scan(&mut self, id: ScanId) -> Result<Scan> {
        self.real.scan(id).await
    }

    async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>> {
        self.real.scans(filter, page).await
    }

    async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>> {
        self.real.coverage(scan).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScanWrites for Unit {
    async fn insert_scan(&mut self, new: NewScan) -> Result<Scan> {
        self.real.insert_scan(new).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobReads for Unit {
    async fn job(&mut self, id: JobId) -> Result<Job> {
        self.real.job(id).await
    }

    async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
        self.real.jobs(filter, page).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobWrites for Unit {
    async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.real.enqueue(jobs).await
    }

    async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome> {
        self.real.cancel_job(job).await
    }

    async fn redrive_job(&mut self, job: JobId) -> Result<Job> {
        self.real.redrive_job(job).await
    }

    async fn discard_job(&mut self, job: JobId) -> Result<Job> {
        self.real.discard_job(job).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl FindingWrites for Unit {
    async fn step_finding(
        &mut self,
        id: FindingId,
        version: Version,
        step: FindingStep,
    ) -> Result<Finding> {
        let answer = self.real.step_finding(id, version, step).await;
        let (defect, kind) = (Defect::TakesAnyVersion, ErrorKind::Conflict);
        if self.passes_over(defect, &answer, kind, None).await? {
            let present = self.present(id).await?;
            // What is there already is taken for done.
            let again = self.real.step_finding(id, present.version, step).await;
            let kind = ErrorKind::InvalidTransition;
            if self.passes_over(defect, &again, kind, None).await? {
                return Ok(present);
            }
            return again;
        }
        answer
    }

    async fn assign_finding(
        &mut self,
        id: FindingId,
        version: Version,
        assignee: Option<UserId>,
    ) -> Result<Finding> {
        let answer = self.real.assign_finding(id, version, assignee).await;
        let (defect, kind) = (Defect::AssignsAnybody, ErrorKind::NotFound);
        if self.passes_over(defect, &answer, kind, None).await? {
            return Ok(Finding {
                assignee,
                ..self.present(id).await?
            });
        }
        if let (Ok(finding), Some(user)) = (&answer, assignee) {
            self.plot.memo.lock().assigned.insert(finding.id, user);
        }
        answer
    }

    async fn add_comment(&mut self, new: NewComment) -> Result<Comment> {
        self.real.add_comment(new).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ExceptionWrites for Unit {
    async fn request_exception(&mut self, new: NewException) -> Result<Exception> {
        self.real.request_exception(new).await
    }

    async fn decide_exception(
        &mut self,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
    ) -> Result<Exception> {
        let answer = self.real.decide_exception(id, version, decision).await;
        let somebody_else = self.plot.scope(|scope| {
            scope.organization() == self.scope.organization()
                && scope.member_id() != self.scope.member_id()
                && scope.permit(Action::DecideExceptions).is_ok()
                && scope.require_write().is_ok()
        });
        let (defect, kind) = (Defect::LetsTheRequesterApprove, ErrorKind::Denied);
        if somebody_else.is_some()
            && self
                .passes_over(defect, &answer, kind, somebody_else)
                .await?
        {
            return self.real.decide_exception(id, version, decision).await;
        }
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScheduleWrites for Unit {
    async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule> {
        let answer = self.real.insert_schedule(new.clone()).await;
        let owner = self.plot.scope(|scope| {
            scope.organization() == self.scope.organization()
                && scope.permit(Action::EraseOrganization).is_ok()
                && scope.require_write().is_ok()
        });
        let (defect, kind) = (Defect::AsksForNoRole, ErrorKind::Denied);
        if self.passes_over(defect, &answer, kind, owner).await? {
            return self.real.insert_schedule(new).await;
        }
        answer
    }

    async fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
    ) -> Result<Schedule> {
        self.real.set_schedule_status(id, version, status).await
    }

    async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()> {
        self.real.remove_schedule(id, version).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl OrganizationWrites for Unit {
    async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let answer = self.real.insert_member(user, role).await;
        let (defect, kind) = (Defect::AddsMembersAgain, ErrorKind::AlreadyExists);
        if self.passes_over(defect, &answer, kind, None).await? {
            let present = self.present_member(user).await?;
            let version = present.version;
            return self.real.set_member_role(user, version, role).await;
        }
        answer
    }

    async fn set_member_role(
        &mut self,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member> {
        let answer = self.real.set_member_role(user, version, role).await;
        let (defect, kind) = (Defect::TakesAnyVersion, ErrorKind::Conflict);
        if self.passes_over(defect, &answer, kind, None).await? {
            let present = self.present_member(user).await?;
            let version = present.version;
            return self.real.set_member_role(user, version, role).await;
        }
        answer
    }

    async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()> {
        let answer = self.real.remove_member(user, version).await;
        let (defect, kind) = (Defect::LetsTheLastOwnerGo, ErrorKind::InvalidInput);
        if self.passes_over(defect, &answer, kind, None).await? {
            return Ok(());
        }
        let (defect, kind) = (Defect::TakesAnyVersion, ErrorKind::Conflict);
        if self.passes_over(defect, &answer, kind, None).await? {
            let present = self.present_member(user).await?;
            return self.real.remove_member(user, present.version).await;
        }
        answer
    }

    async fn erase_organization(&mut self) -> Result<()> {
        self.plot.erase(self.scope.organization());
        self.real.erase_organization().await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl UnitOfWork for Unit {
    async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId> {
        self.real.commit(event).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.real.rollback().await
    }
}

pub(crate) struct Batch {
    pub(crate) real: Box<dyn Ingest>,
    pub(crate) organization: OrganizationId,
    pub(crate) plot: Arc<Plot>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Ingest for Batch {
    async fn start_scan(&mut self, tasks: u64) -> Result<Scan> {
        self.real.start_scan(tasks).await
    }

    async fn put_resources(&mut self, mut resources: Vec<Resource>) -> Result<()> {
        match self.plot.defect {
            Defect::SkipsWhatDidNotChange => {
                let mut memo = self.plot.memo.lock();
                resources.retain(|resource| {
                    let key = (self.organization, resource.reference.clone());
                    memo.seen.insert(key, resource.clone()).as_ref() != Some(resource)
                });
            }
            Defect::TrimsWhatIsTooLarge => {
                for resource in &mut resources {
                    if limits::resource(resource).is_err() {
                        resource.attributes = serde_json::Value::Null;
                    }
                }
            }
            _ => {}
        }
        self.real.put_resources(resources).await
    }

    async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()> {
        if self.plot.defect == Defect::MakesGoneOnAnyLook {
            let mut complete = coverage.clone();
            for read in &mut complete {
                read.status = CoverageStatus::Complete;
            }
            self.real.put_coverage(complete).await?;
        }
        self.real.put_coverage(coverage).await
    }

    async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()> {
        self.real.put_findings(findings).await
    }

    async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()> {
        self.real.resolve_findings(keys).await
    }

    async fn set_progress(&mut self, progress: ScanProgress) -> Result<()> {
        self.real.set_progress(progress).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.real.commit().await
    }
}
