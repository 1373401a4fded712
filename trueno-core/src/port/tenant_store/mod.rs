//! The port to tenant data: four doors, and no fifth.
//!
//! | door | who | what |
//! |---|---|---|
//! | [`read`](TenantStore::read) | any scope | a consistent view |
//! | [`begin`](TenantStore::begin) … [`commit(event)`](UnitOfWork::commit) | a member's scope for an action that writes | changes, jobs and one audit event, together |
//! | [`ingest`](TenantStore::ingest) … [`commit`](Ingest::commit) | the holder of a lease | fenced batches |
//! | [`finish`](TenantStore::finish) | the holder of a lease | the end of the job and its scan, with the audit event |

mod accounts;
mod audit;
mod exceptions;
mod findings;
mod ingest;
mod jobs;
mod organizations;
mod outbox;
mod resources;
mod scans;
mod schedules;
mod scheduling;

use async_trait::async_trait;

pub use accounts::{AccountReads, AccountWrites};
pub use audit::AuditReads;
pub use exceptions::{ExceptionFilter, ExceptionReads, ExceptionWrites};
pub use findings::{FindingCount, FindingFilter, FindingReads, FindingWrites, TagFilter};
pub use ingest::Ingest;
pub use jobs::{JobFilter, JobReads, JobWrites};
pub use organizations::{OrganizationReads, OrganizationWrites};
pub use outbox::AuditOutbox;
pub use resources::{Presence, ResourceFilter, ResourceReads};
pub use scans::{ScanFilter, ScanReads, ScanWrites};
pub use schedules::{ScheduleReads, ScheduleWrites};
pub use scheduling::{
    DuePosition, DueSchedule, FIRED, Fire, Fired, MISSED, NotRun, PARKED, PASSED_OVER, Scheduling,
    TickRun,
};

use super::{Enqueued, JobOutcome, Lease};
use crate::access::OrgScope;
use crate::error::{Error, Result};
use crate::id::{AuditEventId, UserId};
use crate::model::{
    EventDraft, JobStatus, Membership, NewJob, NewOrganization, Organization, check_json,
};
use crate::state::scan::ScanEvent;
use crate::text::without_nul;
use jiff::Timestamp;
use serde_json::Value;

/// Everything that a scope may read, as of one moment.
pub trait ReadView:
    OrganizationReads
    + AccountReads
    + ScanReads
    + ResourceReads
    + FindingReads
    + ExceptionReads
    + ScheduleReads
    + JobReads
    + AuditReads
    + Send
{
}

impl<T> ReadView for T where
    T: OrganizationReads
        + AccountReads
        + ScanReads
        + ResourceReads
        + FindingReads
        + ExceptionReads
        + ScheduleReads
        + JobReads
        + AuditReads
        + Send
{
}

/// Changes that commit together, with the jobs they enqueue and one audit event (P2).
///
/// Dropping it without a commit rolls everything back. There is no commit without an event.
/// After an error of any method the unit of work is spent: later calls fail, and so does `commit`.
#[async_trait]
pub trait UnitOfWork:
    AccountReads
    + AccountWrites
    + ScanReads
    + ScanWrites
    + JobReads
    + JobWrites
    + FindingWrites
    + ExceptionWrites
    + ScheduleWrites
    + OrganizationWrites
    + Send
{
    /// Makes the changes durable, with `event`. Answers the event's id.
    ///
    /// An error whose
    /// [`certainly_not_applied`](crate::error::Error::certainly_not_applied) is false means that
    /// the answer was lost: read back before doing it again. A dropped `commit` was applied or not.
    async fn commit(self: Box<Self>, event: EventDraft) -> Result<AuditEventId>;

    /// Gives the changes up, at once. Dropping does the same without waiting.
    async fn rollback(self: Box<Self>) -> Result<()>;
}

/// How a job ends, and what ends or begins with it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FinishOutcome {
    /// How the attempt ended.
    pub job: JobOutcome,
    /// How the job's scan ends if the job succeeded: its coverage decides. Where the job ends dead
    /// or cancelled, its scan ends failed or cancelled by itself.
    pub scan: Option<ScanEvent>,
    /// Jobs to enqueue if the job succeeded.
    pub next: Vec<NewJob>,
    /// What is kept of the job's work if it succeeded: for its organization to read. Never a secret.
    pub result: Option<Value>,
}

impl FinishOutcome {
    /// An attempt that ended like this, with no scan to complete and nothing to enqueue.
    #[must_use]
    pub const fn new(job: JobOutcome) -> Self {
        Self {
            job,
            scan: None,
            next: Vec::new(),
            result: None,
        }
    }

    /// Passes an outcome that can be stored; every store asks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a text with a
    /// NUL, and for a result over [`JobPayload::MAX_BYTES`](crate::model::JobPayload::MAX_BYTES) or of a job that did not succeed.
    pub fn check(&self) -> Result<()> {
        self.job.check()?;
        if let Some(result) = &self.result {
            if self.job != JobOutcome::Succeeded {
                return Err(Error::invalid("result", "is for a job that succeeded"));
            }
            check_json("result", result)?;
        }
        match &self.scan {
            Some(ScanEvent::Failed { reason }) => without_nul("reason of the scan", reason),
            _ => Ok(()),
        }
    }

    /// Completes the job's scan.
    #[must_use]
    pub fn with_scan(mut self, event: ScanEvent) -> Self {
        self.scan = Some(event);
        self
    }

    /// Keeps a result.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// Enqueues jobs.
    #[must_use]
    pub fn with_next(mut self, next: Vec<NewJob>) -> Self {
        self.next = next;
        self
    }
}

/// What `finish` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It was applied; the job is now here.
    Applied {
        /// The job's status.
        job: JobStatus,
        /// What became of `next`, in order.
        next: Vec<Enqueued>,
    },
    /// The same lease finished it before; nothing changed now.
    AlreadySettled,
}

/// How a scan ends when its job ended as `job` with `outcome`: the one rule for every adapter.
/// `None` where the scan goes on.
#[must_use]
pub fn scan_end(job: JobStatus, outcome: &FinishOutcome) -> Option<ScanEvent> {
    match job {
        JobStatus::Succeeded => outcome.scan.clone(),
        JobStatus::Cancelled => Some(ScanEvent::Cancelled),
        JobStatus::Dead => Some(ScanEvent::Failed {
            reason: match &outcome.job {
                JobOutcome::Failed { error, .. } => error.clone(),
                _ => CRASH_LOOPED.to_owned(),
            },
        }),
        JobStatus::Queued | JobStatus::Running | JobStatus::Failed => None,
    }
}

/// Why a scan failed whose job lost too many leases.
pub const CRASH_LOOPED: &str = "its workers vanished too many times";

/// Keeps every organization's data apart, and every change with its job and its audit event.
///
/// # Contract
/// - **Isolation** (P1): a scope sees and changes its own organization's rows only; what belongs to
///   another is [`NotFound`](crate::error::ErrorKind::NotFound), as if it did not exist. Ids that
///   another organization uses are free to use.
/// - **Atomic** (P2): a unit of work, an ingest batch and a finish are each applied as a whole or
///   not at all, in the eyes of every other reader.
/// - **Fenced** (P3): `ingest` (at its opening and at its commit) and `finish` hold only while the
///   lease does, by the store's clock: otherwise
///   [`StaleLease`](crate::error::ErrorKind::StaleLease), and nothing changes. `read` under a
///   lease's scope answers the same once the lease is lost.
/// - **Roles**: every write asks whether the member's role allows it
///   ([`OrgScope::permit`]), whatever action the scope was given for: accounts need
///   [`ManageAccounts`](crate::access::Action::ManageAccounts), scans and the cancelling of jobs
///   [`Scan`](crate::access::Action::Scan), the others what their traits say.
/// - **Input** that breaks [`limits`](crate::model::limits) is
///   [`InvalidInput`](crate::error::ErrorKind::InvalidInput) that names the field, and nothing of it
///   is written.
/// - **Optimistic concurrency**: an update names the version that it read; a row that changed since,
///   as its version counts, is [`Conflict`](crate::error::ErrorKind::Conflict), a missing one `NotFound`.
/// - **State machines**: every status changes through [`crate::state`]; a step that is not allowed
///   is [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition).
/// - **Consistent reads**: a view answers as of the moment it was opened.
/// - **Lists** are paged by keyset: in a stable order, each row once. A cursor of another list is
///   [`InvalidInput`](crate::error::ErrorKind::InvalidInput) or an empty page, never another's rows.
/// - **Actor and time** of an audit event come from the scope and the store's clock.
/// - **Cancel-safety**: dropping any future, view, unit of work or ingest leaves no transaction,
///   lock or context behind; a dropped commit or finish was applied or not.
#[async_trait]
pub trait TenantStore: AuditOutbox + Scheduling + Send + Sync + std::fmt::Debug {
    /// The organizations that a user is a member of, for [`crate::access::authorize`].
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>>;

    /// Creates an organization with its first owner and the audit event that says so, whose actor
    /// is that owner. An id in use
    /// fails with [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists).
    async fn create_organization(
        &self,
        new: NewOrganization,
        event: EventDraft,
    ) -> Result<Organization>;

    /// Ends up to `limit` exceptions, of any organization, whose time ran out by `now`: a system
    /// path, for a processor's housekeeping. Each is lapsed, its finding reopened where it was
    /// suppressed, and an event staged, together; the actor is the system. Answers how many.
    async fn lapse_exceptions(&self, now: Timestamp, limit: usize) -> Result<u64>;

    /// Opens a consistent view.
    async fn read(&self, scope: &OrgScope) -> Result<Box<dyn ReadView>>;

    /// Opens a unit of work. Fails with [`Denied`](crate::error::ErrorKind::Denied) unless
    /// [`OrgScope::require_write`] passes.
    async fn begin(&self, scope: &OrgScope) -> Result<Box<dyn UnitOfWork>>;

    /// Opens a fenced batch.
    async fn ingest(&self, lease: &Lease) -> Result<Box<dyn Ingest>>;

    /// Ends a job: settles it, ends its scan, enqueues what follows and records `event`, together. A
    /// success has to say how its scan ends, where it runs one and only there
    /// ([`InvalidInput`](crate::error::ErrorKind::InvalidInput) otherwise).
    async fn finish(
        &self,
        lease: &Lease,
        outcome: FinishOutcome,
        event: EventDraft,
    ) -> Result<Finished>;
}
