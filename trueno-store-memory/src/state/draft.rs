//! An organization's tables, and a draft of changes to them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{
    AuditEventId, CloudAccountId, CommentId, CorrelationId, ExceptionId, FindingId, JobId,
    OrganizationId, ScanId, ScheduleId, UserId, WorkerSessionId,
};
use trueno_core::model::{
    AuditEvent, CloudAccount, Comment, Concurrency, Coverage, Dedupe, Exception, Finding,
    FindingChange, JobError, JobKind, JobPayload, JobStatus, Member, Organization, ResourceRecord,
    ResourceRef, Scan, Schedule, TaskKey, Version,
};
use trueno_core::retry::Backoff;
use trueno_core::state::job::JobState;

use super::table::{Clash, Overlay, Table};

/// What of a job never changes.
#[derive(Debug)]
pub(crate) struct JobSpec {
    pub(crate) kind: JobKind,
    pub(crate) payload: JobPayload,
    pub(crate) dedupe: Option<Dedupe>,
    pub(crate) priority: i16,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) correlation_id: Option<CorrelationId>,
    pub(crate) enqueued_at: Timestamp,
}

impl JobSpec {
    /// What no other live job has.
    pub(crate) fn dedupe_key(&self) -> Option<DedupeKey> {
        let dedupe = self.dedupe.as_ref()?;
        Some((dedupe.kind(&self.kind).cloned(), dedupe.key().to_owned()))
    }
}

/// A job.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) state: JobState,
    /// The session that holds it, while it runs.
    pub(crate) holder: Option<WorkerSessionId>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) errors: Vec<JobError>,
    pub(crate) result: Option<Value>,
}

impl JobRow {
    /// It waits or runs.
    pub(crate) fn is_live(&self) -> bool {
        !self.state.status.is_terminal()
    }
}

/// `None` comes before every reference, which makes it the start of an account's resources.
pub(crate) type ResourceKey = (CloudAccountId, Option<ResourceRef>);

/// Account and key.
pub(crate) type FindingKey = (CloudAccountId, String);

/// A dedupe key, of jobs of one kind or of all.
pub(crate) type DedupeKey = (Option<JobKind>, String);

const DEDUPE_KEY: &str = "job with the dedupe key";
const FORMER_MEMBER: &str = "former member";

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $row:ty, $label:expr;)*) => {
        /// The tables of one organization.
        #[derive(Debug, Default)]
        pub(crate) struct Tables {
            $($(#[$doc])* $name: Table<$key, $row>,)*
        }

        /// An organization as of one moment, with changes that nobody else sees.
        #[derive(Debug)]
        pub(crate) struct Draft {
            pub(crate) organization: OrganizationId,
            /// Its commit empties every table, whatever is there by then.
            erased: bool,
            $($(#[$doc])* pub(crate) $name: Overlay<$key, $row>,)*
        }

        impl Draft {
            /// The organization as it is now.
            pub(crate) fn of(organization: OrganizationId, tables: &Tables) -> Self {
                let erased = false;
                Self { organization, erased, $($name: Overlay::over(&tables.$name),)* }
            }

            /// The removal of all that the organization has but its audit events.
            pub(crate) fn emptying(organization: OrganizationId, tables: &Tables) -> Self {
                Self {
                    audit: Overlay::over(&tables.audit),
                    ..Self {
                        organization,
                        erased: true,
                        $($name: Overlay::emptying(&tables.$name),)*
                    }
                }
            }

            /// Checks that what the draft rests on still stands.
            pub(crate) fn check(&self, tables: &Tables) -> Result<()> {
                $(self.$name.check(&tables.$name).map_err(|clash| clashed($label, clash))?;)*
                Ok(())
            }

            /// Makes the changes, which were checked.
            pub(crate) fn apply(self, tables: &mut Tables) {
                $(self.$name.apply(&mut tables.$name);)*
            }
        }
    };
}

tables! {
    /// One row; none once the organization was erased.
    profile: () => Organization, "organization";
    members: UserId => Member, "member";
    /// The version that a user had as a member last: who becomes one again goes on above it.
    former_members: UserId => Version, FORMER_MEMBER;
    accounts: CloudAccountId => CloudAccount, "cloud account";
    /// Newest first.
    scans: Reverse<ScanId> => Scan, "scan";
    /// The scan that a job runs.
    scans_by_job: JobId => ScanId, "scan of the job";
    coverage: ScanId => BTreeMap<TaskKey, Coverage>, "coverage";
    resources: ResourceKey => ResourceRecord, "resource";
    findings: FindingKey => Finding, "finding";
    findings_by_id: FindingId => FindingKey, "finding";
    /// By the version that the change made.
    finding_history: (FindingId, Version) => FindingChange, "finding";
    comments: (FindingId, CommentId) => Comment, "comment";
    /// The finding that a comment is on.
    comments_by_id: CommentId => FindingId, "comment";
    /// Newest first.
    exceptions: Reverse<ExceptionId> => Exception, "exception";
    /// The exception of a finding that waits or holds.
    live_exceptions: FindingId => ExceptionId, "live exception of the finding";
    schedules: ScheduleId => Schedule, "schedule";
    jobs: JobId => JobRow, "job";
    /// The live job that has a dedupe key.
    jobs_by_key: DedupeKey => JobId, DEDUPE_KEY;
    /// The job that was enqueued last with a dedupe key, live or not.
    latest_by_key: DedupeKey => JobId, DEDUPE_KEY;
    /// Newest first. They outlast the organization.
    audit: Reverse<AuditEventId> => AuditEvent, "audit event";
}

impl Draft {
    /// Erases the organization: nothing of it is there for the draft any more.
    pub(crate) fn erase(&mut self) {
        *self = Self {
            erased: true,
            ..Self::of(self.organization, &Tables::default())
        };
    }

    pub(crate) fn erases(&self) -> bool {
        self.erased
    }

    /// Passes while the organization is there.
    pub(crate) fn require_organization(&self) -> Result<()> {
        self.organization_row().map(drop)
    }

    /// How many jobs wait or run more for this draft than before it.
    pub(crate) fn live_jobs_added(&self) -> i64 {
        let live = |row: Option<&Arc<JobRow>>| i64::from(row.is_some_and(|row| row.is_live()));
        let changes = self.jobs.changes();
        changes.map(|(_, was, is)| live(is) - live(was)).sum()
    }

    pub(crate) fn organization_row(&self) -> Result<&Organization> {
        self.profile
            .get(&())
            .map(AsRef::as_ref)
            .ok_or_else(organization_not_found)
    }
}

pub(super) fn organization_not_found() -> Error {
    Error::not_found("organization")
}

impl Tables {
    pub(crate) fn job(&self, id: JobId) -> Option<&JobRow> {
        self.jobs.get(&id).map(AsRef::as_ref)
    }

    /// Forgets up to `limit` jobs that ended by `before` and are not dead. Answers how many.
    pub(crate) fn forget_finished(&mut self, before: Timestamp, limit: usize) -> usize {
        let is_old = |row: &JobRow| {
            row.state.status != JobStatus::Dead && row.finished_at.is_some_and(|at| at <= before)
        };
        let old = self.jobs.rows().filter(|(_, row)| is_old(row));
        let old: Vec<(JobId, Option<DedupeKey>)> = old
            .map(|(id, row)| (*id, row.spec.dedupe_key()))
            .take(limit)
            .collect();
        let was_latest = |(id, key): &(JobId, Option<DedupeKey>)| {
            let key = key.clone()?;
            (**self.latest_by_key.get(&key)? == *id).then_some(key)
        };
        let keys: Vec<DedupeKey> = old.iter().filter_map(was_latest).collect();
        self.latest_by_key.forget(&keys);
        let ids: Vec<JobId> = old.iter().map(|(id, _)| *id).collect();
        self.jobs.forget(&ids);
        ids.len()
    }

    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user).map(AsRef::as_ref)
    }

    /// Findings that a user is assigned to, by their keys.
    pub(crate) fn assigned_to(&self, user: UserId) -> impl Iterator<Item = &FindingKey> {
        let assigned = move |row: &Arc<Finding>| row.assignee == Some(user);
        self.findings
            .rows()
            .filter_map(move |(key, row)| assigned(row).then_some(key))
    }

    /// Nothing is left but audit events.
    pub(crate) fn is_erased(&self) -> bool {
        self.profile.get(&()).is_none()
    }

    pub(crate) fn scan_of(&self, job: JobId) -> Option<ScanId> {
        self.scans_by_job.get(&job).map(|scan| **scan)
    }
}

fn clashed(what: &'static str, clash: Clash) -> Error {
    match clash {
        // A dedupe key is no identity: who lost the race for it may ask again and get the winner.
        // And who was a member meanwhile may be made one all the same.
        Clash::Appeared if what != DEDUPE_KEY && what != FORMER_MEMBER => Error::new(
            ErrorKind::AlreadyExists,
            format!("the {what} was added by somebody else"),
        ),
        _ => Error::new(
            ErrorKind::Conflict,
            format!("the {what} was changed by somebody else meanwhile; read it and try again"),
        ),
    }
}
