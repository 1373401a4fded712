//! The nouns of Trueno as types: one file each. A value that exists is valid.

pub mod actor;
pub mod audit;
pub mod cloud_account;
pub mod coverage;
pub mod cron;
pub mod dedupe;
pub mod exception;
pub mod finding;
pub mod job;
pub mod limits;
pub mod organization;
pub mod queue;
pub mod recommendation;
pub mod resource;
pub mod scan;
pub mod schedule;
pub mod secret;

pub use actor::Actor;
pub use audit::{AuditEvent, AuditTarget, EventDraft};
pub use cloud_account::{
    AccessMethod, AccountNumber, AccountStatus, CloudAccount, CloudAccountSummary, ExternalIdHash,
    NewCloudAccount, Provider, Region, RoleArn,
};
pub use coverage::{Coverage, CoverageStatus, TaskKey};
pub use cron::CronExpression;
pub use dedupe::{Dedupe, DedupeScope};
pub use exception::{Exception, ExceptionStatus, NewException};
pub use finding::{
    ChangeOfFinding, Comment, Finding, FindingChange, FindingDraft, FindingStatus, NewComment,
    Severity,
};
pub(crate) use job::check_json;
pub use job::{Job, JobError, JobKind, JobPayload, JobStatus, NewJob};
pub use organization::{Member, Membership, NewOrganization, Organization, Role};
pub use queue::{Concurrency, OrganizationLimits, PRIORITIES, PRIORITY_POINT, QueueTarget};
pub use recommendation::Recommendation;
pub use resource::{Resource, ResourceKind, ResourceRecord, ResourceRef};
pub use scan::{NewScan, Scan, ScanKind, ScanProgress, ScanStatus};
pub use schedule::{MAX_JITTER, MissedTicks, NewSchedule, Schedule, ScheduleStatus};
pub use secret::{SecretPurpose, SecretRef};

/// The version of a mutable row, counted from 1: an update names the version that it read.
pub type Version = u64;
