//! What a view of a broken store shows.

use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{
    CloudAccountId, ExceptionId, FindingId, JobId, OrganizationId, ScanId, ScheduleId, UserId,
};
use trueno_core::model::{
    Actor, AuditEvent, CloudAccount, Comment, Coverage, Exception, ExceptionStatus, Finding,
    FindingChange, FindingStatus, Job, Member, Organization, Recommendation, ResourceRecord, Scan,
    Schedule,
};
use trueno_core::port::tenant_store::{
    AccountReads, AuditReads, ExceptionFilter, ExceptionReads, FindingCount, FindingReads,
    JobReads, OrganizationReads, ResourceReads, ScanReads, ScheduleReads, TagFilter,
};
use trueno_core::port::{
    COUNT_LIMIT, Count, FindingFilter, JobFilter, Page, PageRequest, Presence, ReadView,
    ResourceFilter, ScanFilter,
};

use crate::planted::{Defect, Plot};

pub(crate) struct View {
    pub(crate) real: Box<dyn ReadView>,
    pub(crate) scope: OrgScope,
    pub(crate) plot: Arc<Plot>,
}

impl View {
    fn has(&self, defect: Defect) -> bool {
        self.plot.defect == defect
    }

    /// Views of the other organizations, where their rows leak.
    async fn others(&mut self) -> Vec<Box<dyn ReadView>> {
        let mut views = Vec::new();
        if matches!(self.plot.defect, Defect::LeaksRows | Defect::LeaksCounts) {
            for other in self.plot.others(&self.scope) {
                views.extend(self.plot.real.read(&other).await);
            }
        }
        views
    }

    /// The first page for whom a foreign cursor leads anywhere.
    fn begins(&self, page: &PageRequest) -> PageRequest {
        page.clone().after(None)
    }

    fn tag(&self, tag: &mut Option<TagFilter>) {
        if let (Defect::FiltersTagsByKey, Some(tag)) = (self.plot.defect, tag) {
            tag.value = None;
        }
    }

    fn shown(&self, mut finding: Finding) -> Finding {
        finding.status = match (self.plot.defect, finding.status) {
            (Defect::ReopensAsNew, FindingStatus::Reopened) => FindingStatus::New,
            (Defect::NeverReopens, FindingStatus::Reopened) => FindingStatus::Suppressed,
            (Defect::SuppressesNothing, FindingStatus::Suppressed) => FindingStatus::Open,
            (Defect::CountsAttemptsAsScans, FindingStatus::New)
                if finding.last_seen_at > finding.first_seen_at =>
            {
                FindingStatus::Open
            }
            (_, status) => status,
        };
        match self.plot.defect {
            Defect::CountsLooksAsChanges => {
                let known = finding.last_seen_at.duration_since(finding.first_seen_at);
                finding.version += known.as_millis().unsigned_abs() as u64;
            }
            Defect::OverlooksChanges => finding.version = finding.version.min(2),
            _ => {}
        }
        if self.has(Defect::LeavesThemAssigned) && finding.assignee.is_none() {
            let memo = self.plot.memo.lock();
            finding.assignee = memo.assigned.get(&finding.id).copied();
        }
        finding
    }
}

fn not_found<T>(answer: &Result<T>) -> bool {
    (answer.as_ref().err()).is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

fn foreign_cursor<T>(answer: &Result<T>, page: &PageRequest) -> bool {
    let refused = (answer.as_ref().err()).is_some_and(|e| e.kind() == ErrorKind::InvalidInput);
    refused && page.cursor().is_some()
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl OrganizationReads for View {
    async fn organization(&mut self) -> Result<Organization> {
        self.real.organization().await
    }

    async fn member(&mut self, user: UserId) -> Result<Member> {
        self.real.member(user).await
    }

    async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>> {
        self.real.members(page).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AccountReads for View {
    async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount> {
        self.real.account(id).await
    }

    async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>> {
        self.real.accounts(page).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScanReads for View {
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
impl ResourceReads for View {
    async fn resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ResourceRecord>> {
        let mut filter = filter.clone();
        self.tag(&mut filter.tag);
        let mut found = self.real.resources(&filter, page).await?;
        if self.has(Defect::ShowsWhatIsGone) && filter.presence == Presence::Present {
            let gone = self.real.resources(&filter.gone(), page).await?;
            found.items.extend(gone.items);
        }
        Ok(found)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl FindingReads for View {
    async fn finding(&mut self, id: FindingId) -> Result<Finding> {
        let finding = self.real.finding(id).await?;
        Ok(self.shown(finding))
    }

    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>> {
        let mut filter = filter.clone();
        self.tag(&mut filter.tag);
        if self.has(Defect::TakesOneFilter) && filter.account.is_some() {
            filter.severity = None;
        }
        self.real.findings(&filter, page).await
    }

    async fn count_findings(&mut self, filter: &FindingFilter) -> Result<Count> {
        let count = self.real.count_findings(filter).await?;
        Ok(match (self.plot.defect, count) {
            (Defect::CountsNothingBeyond, Count::Exactly(n)) if n >= COUNT_LIMIT => {
                Count::AtLeast(COUNT_LIMIT)
            }
            (Defect::TakesTheLimitForExact, Count::AtLeast(n)) => Count::Exactly(n),
            _ => count,
        })
    }

    async fn finding_counts(
        &mut self,
        account: Option<CloudAccountId>,
    ) -> Result<Vec<FindingCount>> {
        let mut counts = self.real.finding_counts(account).await?;
        if self.has(Defect::LeaksCounts) {
            for mut other in self.others().await {
                counts.extend(other.finding_counts(account).await?);
            }
        }
        Ok(counts)
    }

    async fn finding_history(
        &mut self,
        id: FindingId,
        page: &PageRequest,
    ) -> Result<Page<FindingChange>> {
        let mut found = self.real.finding_history(id, page).await?;
        match self.plot.defect {
            Defect::ForgetsTheLastChange => drop(found.items.pop()),
            Defect::BlamesTheSystem => {
                found.items.iter_mut().for_each(|c| c.actor = Actor::System);
            }
            Defect::BlamesTheProcessor => {
                let job = JobId::from_uuid(id.as_uuid());
                let actor = Actor::Processor { job };
                found.items.iter_mut().for_each(|c| c.actor = actor);
            }
            _ => {}
        }
        Ok(found)
    }

    async fn comments(&mut self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>> {
        let mut answer = self.real.comments(id, page).await;
        for mut other in self.others().await {
            if not_found(&answer) {
                answer = other.comments(id, page).await;
            }
        }
        answer
    }

    async fn recommendations(
        &mut self,
        account: Option<CloudAccountId>,
        page: &PageRequest,
    ) -> Result<Page<Recommendation>> {
        let mut found = self.real.recommendations(account, page).await?;
        for recommendation in &mut found.items {
            match self.plot.defect {
                Defect::RecommendsAlone => recommendation.alternatives = 0,
                Defect::RecommendsTheWorst if recommendation.alternatives > 0 => {
                    let filter = FindingFilter::default().standing();
                    let page = PageRequest::largest();
                    let all = self.real.findings(&filter, &page).await?.items;
                    let best = all.iter().find(|f| f.id == recommendation.finding);
                    let group = best.and_then(|best| best.draft.conflict_group.clone());
                    let of_group = |f: &&Finding| {
                        f.draft.conflict_group == group
                            && f.draft.resource.region == recommendation.resource.region
                    };
                    let worst = all.iter().filter(of_group).min_by_key(|finding| {
                        let amount = finding.draft.monthly_saving.amount();
                        amount.map_or(i64::MAX, |amount| amount.micros)
                    });
                    if let Some(worst) = worst {
                        recommendation.monthly_saving = worst.draft.monthly_saving.clone();
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ExceptionReads for View {
    async fn exception(&mut self, id: ExceptionId) -> Result<Exception> {
        let mut answer = self.real.exception(id).await;
        for mut other in self.others().await {
            if not_found(&answer) {
                answer = other.exception(id).await;
            }
        }
        let mut exception = answer?;
        if self.has(Defect::KeepsThemOpen) && exception.status == ExceptionStatus::Closed {
            exception.status = ExceptionStatus::Approved;
        }
        Ok(exception)
    }

    async fn exceptions(
        &mut self,
        filter: &ExceptionFilter,
        page: &PageRequest,
    ) -> Result<Page<Exception>> {
        self.real.exceptions(filter, page).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ScheduleReads for View {
    async fn schedule(&mut self, id: ScheduleId) -> Result<Schedule> {
        let mut answer = self.real.schedule(id).await;
        for mut other in self.others().await {
            if not_found(&answer) {
                answer = other.schedule(id).await;
            }
        }
        answer
    }

    async fn schedules(&mut self, page: &PageRequest) -> Result<Page<Schedule>> {
        let answer = self.real.schedules(page).await;
        if self.has(Defect::TakesAnyCursor) && foreign_cursor(&answer, page) {
            return self.real.schedules(&self.begins(page)).await;
        }
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobReads for View {
    async fn job(&mut self, id: JobId) -> Result<Job> {
        self.real.job(id).await
    }

    async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>> {
        let answer = self.real.jobs(filter, page).await;
        if self.has(Defect::TakesAnyCursor) && foreign_cursor(&answer, page) {
            return self.real.jobs(filter, &self.begins(page)).await;
        }
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl AuditReads for View {
    async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>> {
        let denied = self.scope.permit(Action::ReadAudit).is_err();
        if denied && self.has(Defect::ShowsAuditToAll) {
            let of: OrganizationId = self.scope.organization();
            let reads = |scope: &OrgScope| {
                scope.organization() == of && scope.permit(Action::ReadAudit).is_ok()
            };
            if let Some(scope) = self.plot.scope(reads) {
                self.real = self.plot.real.read(&scope).await?;
            }
        }
        let mut found = self.real.audit_events(page).await?;
        if self.has(Defect::ForgetsWhatTheLedgerHas) {
            let memo = self.plot.memo.lock();
            found
                .items
                .retain(|event| !memo.forgotten.contains(&event.id));
        }
        Ok(found)
    }
}
