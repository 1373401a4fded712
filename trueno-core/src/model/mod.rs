//! The nouns of Trueno as types: one file each. A value that exists is valid.

pub mod actor;
pub mod audit;
pub mod cloud_account;
pub mod coverage;
pub mod finding;
pub mod job;
pub mod organization;
pub mod resource;
pub mod scan;
pub mod secret;

pub use actor::Actor;
pub use audit::{AuditEvent, AuditTarget, EventDraft};
pub use cloud_account::{
    AccessMethod, AccountNumber, AccountStatus, CloudAccount, ExternalIdHash, NewCloudAccount,
    Provider, Region, RoleArn,
};
pub use coverage::{Coverage, CoverageStatus, TaskKey};
pub use finding::{Finding, FindingDraft, FindingStatus, Severity};
pub use job::{Job, JobKind, JobPayload, JobStatus, NewJob};
pub use organization::{Membership, NewOrganization, Organization, Role};
pub use resource::{Resource, ResourceKind, ResourceRef};
pub use scan::{NewScan, Scan, ScanKind, ScanProgress, ScanStatus};
pub use secret::{SecretPurpose, SecretRef};

/// The version of a mutable row, counted from 1: an update names the version that it read.
pub type Version = u64;
