//! [`mockall`] mocks of the five ports and of what they open, for unit tests of code that embeds
//! Trueno. What a real adapter does is for the suites; a mock says what one answered.
//!
//! A scope comes from the access flow also here, so a test says which member asks:
//!
//! ```
//! use trueno_core::access::{Action, Identity, authorize};
//! use trueno_core::clock::Clock as _;
//! use trueno_core::error::ErrorKind;
//! use trueno_core::id::{IdSource, JobId, OrganizationId, UserId};
//! use trueno_core::model::{Membership, Role};
//! use trueno_core::port::{CancelOutcome, JobQueue};
//! use trueno_testkit::clock::ManualClock;
//! use trueno_testkit::mock::{MockJobQueue, MockTenantStore};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (ids, now) = (IdSource::seeded(1), ManualClock::default().now());
//! let organization: OrganizationId = ids.next(now);
//! let (analyst, viewer): (UserId, UserId) = (ids.next(now), ids.next(now));
//!
//! let mut store = MockTenantStore::new();
//! store.expect_memberships().returning(move |user| {
//!     let role = if user == analyst { Role::Analyst } else { Role::Viewer };
//!     Ok(vec![Membership { organization, user, role }])
//! });
//! let mut queue = MockJobQueue::new();
//! queue.expect_cancel().times(1).returning(|_, _| Ok(CancelOutcome::Requested));
//!
//! let asks = |user| authorize_scan(&store, user, organization);
//! # async fn authorize_scan(
//! #     store: &MockTenantStore,
//! #     user: UserId,
//! #     organization: OrganizationId,
//! # ) -> trueno_core::error::Result<trueno_core::access::OrgScope> {
//! #     authorize(store, &Identity::authenticated(user), organization, Action::Scan).await
//! # }
//! assert_eq!(asks(viewer).await.unwrap_err().kind(), ErrorKind::Denied);
//! let scope = asks(analyst).await.unwrap();
//! let job: JobId = ids.next(now);
//! assert_eq!(queue.cancel(&scope, job).await.unwrap(), CancelOutcome::Requested);
//! # });
//! ```

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mockall::mock;
use secrecy::SecretSlice;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{
    AuditEventId, CloudAccountId, ExceptionId, FindingId, JobId, OrganizationId, ScanId,
    ScheduleId, SecretId, UserId, WorkerSessionId,
};
use trueno_core::ledger::Hash;
use trueno_core::model::{
    AuditEvent, CloudAccount, Comment, Coverage, EventDraft, Exception, Finding, FindingChange,
    FindingDraft, Job, Member, Membership, NewCloudAccount, NewComment, NewException, NewJob,
    NewOrganization, NewScan, NewSchedule, Organization, OrganizationLimits, Provider, QueueTarget,
    Recommendation, Resource, ResourceRecord, Role, Scan, ScanProgress, Schedule, ScheduleStatus,
    SecretPurpose, SecretRef, Version,
};
use trueno_core::port::tenant_store::{
    AccountReads, AccountWrites, AuditReads, ExceptionFilter, ExceptionReads, ExceptionWrites,
    FindingCount, FindingReads, FindingWrites, JobReads, JobWrites, OrganizationReads,
    OrganizationWrites, ResourceReads, ScanReads, ScanWrites, ScheduleReads, ScheduleWrites,
};
use trueno_core::port::{
    AuditOutbox, AuditSink, CancelOutcome, Claim, ClaimRequest, CloudScanner, Count, DuePosition,
    DueSchedule, Enqueued, FindingFilter, FinishOutcome, Finished, Fire, Fired, Heartbeat, Horizon,
    Ingest, JobFilter, JobQueue, Lease, LedgerEntry, LedgerHead, Page, PageRequest, QueueStats,
    ReadView, Recovered, ResourceFilter, ScanFilter, ScanPlan, ScanSession, ScanStream, ScanTarget,
    ScanTask, Scheduling, SecretVault, SettleOutcome, Settlement, TenantStore, UnitOfWork,
    VaultPosture, Verification, WaitReason, WakeUps,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

mock! {
    /// A mock of [`JobQueue`].
    pub JobQueue {}

    #[async_trait]
    impl JobQueue for JobQueue {
        async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;
        async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>>;
        async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat>;
        async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>>;
        async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome>;
        async fn recover_expired(&self, limit: usize) -> Result<Recovered>;
        async fn wake_ups(&self) -> Result<WakeUps>;
        async fn set_limits(
            &self,
            organization: OrganizationId,
            limits: &OrganizationLimits,
        ) -> Result<()>;
        async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits>;
        async fn pause(&self, target: &QueueTarget) -> Result<()>;
        async fn resume(&self, target: &QueueTarget) -> Result<()>;
        async fn stats(&self) -> Result<QueueStats>;
        async fn horizon(&self) -> Result<Option<Horizon>>;
        async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64>;
        async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason>;
    }
}

mock! {
    /// A mock of [`TenantStore`] with its [`AuditOutbox`] and [`Scheduling`].
    pub TenantStore {}

    #[async_trait]
    impl AuditOutbox for TenantStore {
        async fn staged(&self, limit: usize) -> Result<Vec<AuditEvent>>;
        async fn forget(&self, events: &[AuditEventId]) -> Result<()>;
    }

    #[async_trait]
    impl Scheduling for TenantStore {
        async fn due_schedules(
            &self,
            after: Option<DuePosition>,
            limit: usize,
        ) -> Result<Vec<DueSchedule>>;
        async fn fire(&self, fire: Fire) -> Result<Fired>;
    }

    #[async_trait]
    impl TenantStore for TenantStore {
        async fn memberships(&self, user: UserId) -> Result<Vec<Membership>>;
        async fn create_organization(
            &self,
            new: NewOrganization,
            event: EventDraft,
        ) -> Result<Organization>;
        async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64>;
        async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>>;
        async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>>;
        async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>>;
        async fn finish(
            &self,
            lease: &Lease,
            outcome: FinishOutcome,
            event: EventDraft,
        ) -> Result<Finished>;
    }
}

mock! {
    /// A mock of [`ReadView`].
    pub ReadView {}

    #[async_trait]
    impl OrganizationReads for ReadView {
        async fn organization(&mut self) -> Result<Organization>;
        async fn member(&mut self, user: UserId) -> Result<Member>;
        async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>>;
    }

    #[async_trait]
    impl AccountReads for ReadView {
        async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount>;
        async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>>;
    }

    #[async_trait]
    impl ScanReads for ReadView {
        async fn scan(&mut self, id: ScanId) -> Result<Scan>;
        async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>>;
        async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>>;
    }

    #[async_trait]
    impl ResourceReads for ReadView {
        async fn resources(
            &mut self,
            filter: &ResourceFilter,
            page: &PageRequest,
        ) -> Result<Page<ResourceRecord>>;
    }

    #[async_trait]
    impl FindingReads for ReadView {
        async fn finding(&mut self, id: FindingId) -> Result<Finding>;
        async fn findings(
            &mut self,
            filter: &FindingFilter,
            page: &PageRequest,
        ) -> Result<Page<Finding>>;
        async fn count_findings(&mut self, filter: &FindingFilter) -> Result<Count>;
        async fn finding_counts(
            &mut self,
            account: Option<CloudAccountId>,
        ) -> Result<Vec<FindingCount>>;
        async fn finding_history(
            &mut self,
            id: FindingId,
            page: &PageRequest,
        ) -> Result<Page<FindingChange>>;
        async fn comments(&mut self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>>;
        async fn recommendations(
            &mut self,
            account: Option<CloudAccountId>,
            page: &PageRequest,
        ) -> Result<Page<Recommendation>>;
    }

    #[async_trait]
    impl ExceptionReads for ReadView {
        async fn exception(&mut self, id: ExceptionId) -> Result<Exception>;
        async fn exceptions(
            &mut self,
            filter: &ExceptionFilter,
            page: &PageRequest,
        ) -> Result<Page<Exception>>;
    }

    #[async_trait]
    impl ScheduleReads for ReadView {
        async fn schedule(&mut self, id: ScheduleId) -> Result<Schedule>;
        async fn schedules(&mut self, page: &PageRequest) -> Result<Page<Schedule>>;
    }

    #[async_trait]
    impl JobReads for ReadView {
        async fn job(&mut self, id: JobId) -> Result<Job>;
        async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>>;
    }

    #[async_trait]
    impl AuditReads for ReadView {
        async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>>;
    }
}

mock! {
    /// A mock of [`UnitOfWork`].
    pub UnitOfWork {}

    #[async_trait]
    impl AccountReads for UnitOfWork {
        async fn account(&mut self, id: CloudAccountId) -> Result<CloudAccount>;
        async fn accounts(&mut self, page: &PageRequest) -> Result<Page<CloudAccount>>;
    }

    #[async_trait]
    impl AccountWrites for UnitOfWork {
        async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount>;
        async fn apply_account(
            &mut self,
            id: CloudAccountId,
            version: Version,
            event: AccountEvent,
        ) -> Result<CloudAccount>;
    }

    #[async_trait]
    impl ScanReads for UnitOfWork {
        async fn scan(&mut self, id: ScanId) -> Result<Scan>;
        async fn scans(&mut self, filter: &ScanFilter, page: &PageRequest) -> Result<Page<Scan>>;
        async fn coverage(&mut self, scan: ScanId) -> Result<Vec<Coverage>>;
    }

    #[async_trait]
    impl ScanWrites for UnitOfWork {
        async fn insert_scan(&mut self, new: NewScan) -> Result<Scan>;
    }

    #[async_trait]
    impl JobReads for UnitOfWork {
        async fn job(&mut self, id: JobId) -> Result<Job>;
        async fn jobs(&mut self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Job>>;
    }

    #[async_trait]
    impl JobWrites for UnitOfWork {
        async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;
        async fn cancel_job(&mut self, job: JobId) -> Result<CancelOutcome>;
        async fn redrive_job(&mut self, job: JobId) -> Result<Job>;
        async fn discard_job(&mut self, job: JobId) -> Result<Job>;
    }

    #[async_trait]
    impl FindingWrites for UnitOfWork {
        async fn step_finding(
            &mut self,
            id: FindingId,
            version: Version,
            step: FindingStep,
        ) -> Result<Finding>;
        async fn assign_finding(
            &mut self,
            id: FindingId,
            version: Version,
            assignee: Option<UserId>,
        ) -> Result<Finding>;
        async fn add_comment(&mut self, new: NewComment) -> Result<Comment>;
    }

    #[async_trait]
    impl ExceptionWrites for UnitOfWork {
        async fn request_exception(&mut self, new: NewException) -> Result<Exception>;
        async fn decide_exception(
            &mut self,
            id: ExceptionId,
            version: Version,
            decision: ExceptionDecision,
        ) -> Result<Exception>;
    }

    #[async_trait]
    impl ScheduleWrites for UnitOfWork {
        async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule>;
        async fn set_schedule_status(
            &mut self,
            id: ScheduleId,
            version: Version,
            status: ScheduleStatus,
        ) -> Result<Schedule>;
        async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()>;
    }

    #[async_trait]
    impl OrganizationWrites for UnitOfWork {
        async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member>;
        async fn set_member_role(
            &mut self,
            user: UserId,
            version: Version,
            role: Role,
        ) -> Result<Member>;
        async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()>;
        async fn erase_organization(&mut self) -> Result<()>;
    }

    #[async_trait]
    impl UnitOfWork for UnitOfWork {
        async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId>;
        async fn rollback(self: Box<Self>) -> Result<()>;
    }
}

mock! {
    /// A mock of [`Ingest`].
    pub Ingest {}

    #[async_trait]
    impl Ingest for Ingest {
        async fn start_scan(&mut self, tasks: u64) -> Result<Scan>;
        async fn put_resources(&mut self, resources: Vec<Resource>) -> Result<()>;
        async fn put_coverage(&mut self, coverage: Vec<Coverage>) -> Result<()>;
        async fn put_findings(&mut self, findings: Vec<FindingDraft>) -> Result<()>;
        async fn resolve_findings(&mut self, keys: Vec<String>) -> Result<()>;
        async fn set_progress(&mut self, progress: ScanProgress) -> Result<()>;
        async fn commit(self: Box<Self>) -> Result<()>;
    }
}

mock! {
    /// A mock of [`CloudScanner`].
    pub CloudScanner {}

    #[async_trait]
    impl CloudScanner for CloudScanner {
        fn provider(&self) -> Provider;
        async fn plan(&self, target: &ScanTarget) -> Result<ScanPlan>;
        async fn verify(&self, target: &ScanTarget) -> Result<Verification>;
        async fn open(&self, target: &ScanTarget, plan: &ScanPlan) -> Result<Box<dyn ScanSession>>;
    }
}

mock! {
    /// A mock of [`ScanSession`].
    pub ScanSession {}

    #[async_trait]
    impl ScanSession for ScanSession {
        async fn scan(&self, task: &ScanTask, checkpoint: Option<String>) -> Result<ScanStream>;
    }
}

mock! {
    /// A mock of [`SecretVault`].
    pub SecretVault {}

    #[async_trait]
    impl SecretVault for SecretVault {
        async fn seal(
            &self,
            scope: &OrgScope,
            id: SecretId,
            purpose: SecretPurpose,
            secret: SecretSlice<u8>,
        ) -> Result<SecretRef>;
        async fn open(&self, scope: &OrgScope, secret: &SecretRef) -> Result<SecretSlice<u8>>;
        async fn rotate(
            &self,
            scope: &OrgScope,
            current: &SecretRef,
            secret: SecretSlice<u8>,
        ) -> Result<SecretRef>;
        async fn rewrap(&self, scope: &OrgScope) -> Result<u64>;
        async fn shred(&self, scope: &OrgScope) -> Result<()>;
        async fn posture(&self, scope: &OrgScope) -> Result<VaultPosture>;
    }
}

mock! {
    /// A mock of [`AuditSink`].
    pub AuditSink {}

    #[async_trait]
    impl AuditSink for AuditSink {
        async fn append(&self, events: &[AuditEvent]) -> Result<()>;
        async fn head(&self, organization: OrganizationId) -> Result<LedgerHead>;
        async fn entries(
            &self,
            organization: OrganizationId,
            first: u64,
            limit: usize,
        ) -> Result<Vec<LedgerEntry>>;
        async fn inclusion_proof(
            &self,
            organization: OrganizationId,
            index: u64,
            size: u64,
        ) -> Result<Vec<Hash>>;
        async fn consistency_proof(
            &self,
            organization: OrganizationId,
            old: u64,
            new: u64,
        ) -> Result<Vec<Hash>>;
    }
}

/// Ports are `Debug`; a mock shows its name alone, since what it expects is no state of a port.
macro_rules! debug_by_name {
    ($($name:ident),+ $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+};
}

debug_by_name!(
    MockJobQueue,
    MockTenantStore,
    MockReadView,
    MockUnitOfWork,
    MockIngest,
    MockCloudScanner,
    MockScanSession,
    MockSecretVault,
    MockAuditSink,
);
