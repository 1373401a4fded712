//! The store with a planted leak.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use trueno_core::access::OrgScope;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{
    AuditEventId, CloudAccountId, ExceptionId, FindingId, IdSource, JobId, OrganizationId, ScanId,
    ScheduleId, UserId,
};
use trueno_core::model::{
    AuditEvent, CloudAccount, Comment, Coverage, EventDraft, Exception, Finding, FindingChange,
    Job, Member, Membership, NewCloudAccount, NewComment, NewException, NewJob, NewOrganization,
    NewScan, NewSchedule, Organization, Recommendation, ResourceRecord, Role, Scan, Schedule,
    ScheduleStatus, Version,
};
use trueno_core::port::tenant_store::{
    AccountReads, AccountWrites, AuditReads, ExceptionReads, ExceptionWrites, FindingCount,
    FindingReads, FindingWrites, JobReads, JobWrites, OrganizationReads, OrganizationWrites,
    ResourceReads, ScanReads, ScanWrites, ScheduleReads, ScheduleWrites,
};
use trueno_core::port::{
    AuditOutbox, CancelOutcome, Count, DuePosition, DueSchedule, Enqueued, ExceptionFilter,
    FindingFilter, FinishOutcome, Finished, Fire, Fired, Ingest, JobFilter, JobQueue, Lease, Page,
    PageRequest, ReadView, ResourceFilter, ScanFilter, Scheduling, TenantStore, UnitOfWork,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;
use trueno_testkit::harness::StoreHarness;

use super::common::Memory;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leak {
    /// A count of findings has those of every organization.
    CountsEverybodysFindings,
    /// An account's id that another organization uses is in use.
    AccountIdsAreGlobal,
    /// Everybody is a member of every organization.
    LetsStrangersIn,
}

/// A store with a leak, over a new one in memory.
pub(crate) struct Leaky {
    memory: Memory,
    store: LeakyStore,
}

impl Leaky {
    pub(crate) async fn new(leak: Leak) -> Self {
        let memory = Memory::new().await;
        let store = LeakyStore {
            real: memory.store(),
            leak,
            seen: Arc::default(),
        };
        Self { memory, store }
    }
}

#[async_trait]
impl StoreHarness for Leaky {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        self.memory.queue()
    }

    fn ids(&self) -> IdSource {
        self.memory.ids()
    }

    async fn now(&self) -> Timestamp {
        self.memory.now().await
    }

    async fn advance(&self, by: Duration) {
        self.memory.advance(by).await;
    }
}

/// What the leak has seen go by.
#[derive(Debug, Default)]
struct Seen {
    organizations: Vec<OrganizationId>,
    scopes: BTreeMap<OrganizationId, OrgScope>,
    accounts: BTreeMap<CloudAccountId, OrganizationId>,
}

#[derive(Clone, Debug)]
struct LeakyStore {
    real: Arc<dyn TenantStore>,
    leak: Leak,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl AuditOutbox for LeakyStore {
    async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>> {
        self.real.staged(limit).await
    }

    async fn forget(&self, events: &[AuditEventId]) -> Result<()> {
        self.real.forget(events).await
    }
}

#[async_trait]
impl Scheduling for LeakyStore {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        self.real.due_schedules(after, limit).await
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        self.real.fire(fire).await
    }
}

#[async_trait]
impl TenantStore for LeakyStore {
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        let mut memberships = self.real.memberships(user).await?;
        if self.leak == Leak::LetsStrangersIn {
            let organizations = self.seen.lock().organizations.clone();
            let strange = organizations.into_iter().map(|organization| Membership {
                organization,
                user,
                role: Role::Viewer,
            });
            let known: Vec<_> = memberships.iter().map(|known| known.organization).collect();
            memberships.extend(strange.filter(|strange| !known.contains(&strange.organization)));
        }
        Ok(memberships)
    }

    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization> {
        self.seen.lock().organizations.push(new.id());
        self.real.create_organization(new, event).await
    }

    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.real.lapse_exceptions(now, limit).await
    }

    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>> {
        let mut seen = self.seen.lock().scopes.clone();
        self.seen.lock().scopes.insert(scope.organization(), *scope);
        seen.remove(&scope.organization());
        Ok(Box::new(LeakyView {
            real: self.real.read(scope).await?,
            store: self.clone(),
            others: seen.into_values().collect(),
        }))
    }

    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>> {
        Ok(Box::new(LeakyUnit {
            real: self.real.begin(scope).await?,
            store: self.clone(),
            organization: scope.organization(),
        }))
    }

    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>> {
        self.real.ingest(lease).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished> {
        self.real.finish(lease, outcome, event).await
    }
}

struct LeakyView {
    real: Box<dyn ReadView>,
    store: LeakyStore,
    others: Vec<OrgScope>,
}

struct LeakyUnit {
    real: Box<dyn UnitOfWork>,
    store: LeakyStore,
    organization: OrganizationId,
}

impl LeakyView {
    async fn count(&mut self, filter: &FindingFilter) -> Result<Count> {
        let own = self.real.count_findings(filter).await?;
        let Count::Exactly(mut count) = own else {
            return Ok(own);
        };
        if self.store.leak == Leak::CountsEverybodysFindings {
            for scope in &self.others {
                let mut view = self.store.real.read(scope).await?;
                if let Count::Exactly(more) = view.count_findings(filter).await? {
                    count += more;
                }
            }
        }
        Ok(Count::Exactly(count))
    }
}

impl LeakyUnit {
    async fn insert(&mut self, new: NewCloudAccount) -> Result<CloudAccount> {
        let (id, organization) = (new.id, self.organization);
        if self.store.leak == Leak::AccountIdsAreGlobal {
            let owner = *self
                .store
                .seen
                .lock()
                .accounts
                .entry(id)
                .or_insert(organization);
            if owner != organization {
                return Err(Error::new(ErrorKind::AlreadyExists, "the id is in use"));
            }
        }
        self.real.insert_account(new).await
    }
}

/// Everything else is the store's own.
macro_rules! forward {
    ($($leaky:ident is $part:ident {
        $(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty $(= $own:ident)?;)+
    })+) => {$(
        #[async_trait]
        impl $part for $leaky {
            $(async fn $name(&mut self, $($argument: $type),*) -> Result<$answer> {
                forward!(self $name ($($argument),*) $($own)?)
            })+
        }
    )+};
    ($self:ident $name:ident $arguments:tt $own:ident) => { $self.$own $arguments.await };
    ($self:ident $name:ident $arguments:tt) => { $self.real.$name $arguments.await };
}

forward! {
    LeakyView is OrganizationReads {
        fn organization() -> Organization;
        fn member(user: UserId) -> Member;
        fn members(page: &PageRequest) -> Page<Member>;
    }
    LeakyView is AccountReads {
        fn account(id: CloudAccountId) -> CloudAccount;
        fn accounts(page: &PageRequest) -> Page<CloudAccount>;
    }
    LeakyView is ScanReads {
        fn scan(id: ScanId) -> Scan;
        fn scans(filter: &ScanFilter, page: &PageRequest) -> Page<Scan>;
        fn coverage(scan: ScanId) -> Vec<Coverage>;
    }
    LeakyView is ResourceReads {
        fn resources(filter: &ResourceFilter, page: &PageRequest) -> Page<ResourceRecord>;
    }
    LeakyView is FindingReads {
        fn finding(id: FindingId) -> Finding;
        fn findings(filter: &FindingFilter, page: &PageRequest) -> Page<Finding>;
        fn count_findings(filter: &FindingFilter) -> Count = count;
        fn finding_counts(account: Option<CloudAccountId>) -> Vec<FindingCount>;
        fn finding_history(id: FindingId, page: &PageRequest) -> Page<FindingChange>;
        fn comments(id: FindingId, page: &PageRequest) -> Page<Comment>;
        fn recommendations(account: Option<CloudAccountId>, page: &PageRequest)
            -> Page<Recommendation>;
    }
    LeakyView is ExceptionReads {
        fn exception(id: ExceptionId) -> Exception;
        fn exceptions(filter: &ExceptionFilter, page: &PageRequest) -> Page<Exception>;
    }
    LeakyView is ScheduleReads {
        fn schedule(id: ScheduleId) -> Schedule;
        fn schedules(page: &PageRequest) -> Page<Schedule>;
    }
    LeakyView is JobReads {
        fn job(id: JobId) -> Job;
        fn jobs(filter: &JobFilter, page: &PageRequest) -> Page<Job>;
    }
    LeakyView is AuditReads {
        fn audit_events(page: &PageRequest) -> Page<AuditEvent>;
    }
    LeakyUnit is AccountReads {
        fn account(id: CloudAccountId) -> CloudAccount;
        fn accounts(page: &PageRequest) -> Page<CloudAccount>;
    }
    LeakyUnit is AccountWrites {
        fn insert_account(new: NewCloudAccount) -> CloudAccount = insert;
        fn apply_account(id: CloudAccountId, version: Version, event: AccountEvent)
            -> CloudAccount;
    }
    LeakyUnit is ScanReads {
        fn scan(id: ScanId) -> Scan;
        fn scans(filter: &ScanFilter, page: &PageRequest) -> Page<Scan>;
        fn coverage(scan: ScanId) -> Vec<Coverage>;
    }
    LeakyUnit is ScanWrites {
        fn insert_scan(new: NewScan) -> Scan;
    }
    LeakyUnit is JobReads {
        fn job(id: JobId) -> Job;
        fn jobs(filter: &JobFilter, page: &PageRequest) -> Page<Job>;
    }
    LeakyUnit is JobWrites {
        fn enqueue(jobs: Vec<NewJob>) -> Vec<Enqueued>;
        fn cancel_job(job: JobId) -> CancelOutcome;
        fn redrive_job(job: JobId) -> Job;
        fn discard_job(job: JobId) -> Job;
    }
    LeakyUnit is FindingWrites {
        fn step_finding(id: FindingId, version: Version, step: FindingStep) -> Finding;
        fn assign_finding(id: FindingId, version: Version, assignee: Option<UserId>) -> Finding;
        fn add_comment(new: NewComment) -> Comment;
    }
    LeakyUnit is ExceptionWrites {
        fn request_exception(new: NewException) -> Exception;
        fn decide_exception(id: ExceptionId, version: Version, decision: ExceptionDecision)
            -> Exception;
    }
    LeakyUnit is ScheduleWrites {
        fn insert_schedule(new: NewSchedule) -> Schedule;
        fn set_schedule_status(id: ScheduleId, version: Version, status: ScheduleStatus)
            -> Schedule;
        fn remove_schedule(id: ScheduleId, version: Version) -> ();
    }
    LeakyUnit is OrganizationWrites {
        fn insert_member(user: UserId, role: Role) -> Member;
        fn set_member_role(user: UserId, version: Version, role: Role) -> Member;
        fn remove_member(user: UserId, version: Version) -> ();
        fn erase_organization() -> ();
    }
}

#[async_trait]
impl UnitOfWork for LeakyUnit {
    async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId> {
        self.real.commit(event).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.real.rollback().await
    }
}
