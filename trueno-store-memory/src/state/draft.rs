//! An organization's tables, and a draft of changes to them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{CloudAccountId, JobId, OrganizationId, ScanId, WorkerSessionId};
use trueno_core::model::{
    CloudAccount, Coverage, Finding, JobKind, JobPayload, Resource, ResourceRef, Scan, TaskKey,
};
use trueno_core::state::job::JobState;

use super::table::{Clash, Overlay, Table};

/// What of a job never changes.
#[derive(Debug)]
pub(crate) struct JobSpec {
    pub(crate) kind: JobKind,
    pub(crate) payload: JobPayload,
    pub(crate) dedupe_key: Option<String>,
    pub(crate) priority: i16,
    pub(crate) enqueued_at: Timestamp,
}

/// A job.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) state: JobState,
    /// The session that holds it, while it runs.
    pub(crate) holder: Option<WorkerSessionId>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
}

/// A resource, and the scan that was the last to see it.
#[derive(Clone, Debug)]
pub(crate) struct SeenResource {
    pub(crate) resource: Resource,
    pub(crate) last_scan: ScanId,
}

/// `None` comes before every reference, which makes it the start of an account's resources.
pub(crate) type ResourceKey = (CloudAccountId, Option<ResourceRef>);

/// Account and key.
pub(crate) type FindingKey = (CloudAccountId, String);

const DEDUPE_KEY: &str = "job with the dedupe key";

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
            $($(#[$doc])* pub(crate) $name: Overlay<$key, $row>,)*
        }

        impl Draft {
            /// The organization as it is now.
            pub(crate) fn of(organization: OrganizationId, tables: &Tables) -> Self {
                Self { organization, $($name: Overlay::over(&tables.$name),)* }
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
    accounts: CloudAccountId => CloudAccount, "cloud account";
    /// Newest first.
    scans: Reverse<ScanId> => Scan, "scan";
    /// The scan that a job runs.
    scans_by_job: JobId => ScanId, "scan of the job";
    coverage: ScanId => BTreeMap<TaskKey, Coverage>, "coverage";
    resources: ResourceKey => SeenResource, "resource";
    findings: FindingKey => Finding, "finding";
    jobs: JobId => JobRow, "job";
    /// The live job that has a dedupe key.
    jobs_by_key: (JobKind, String) => JobId, DEDUPE_KEY;
}

impl Tables {
    pub(crate) fn job(&self, id: JobId) -> Option<&JobRow> {
        self.jobs.get(&id).map(std::convert::AsRef::as_ref)
    }

    pub(crate) fn scan_of(&self, job: JobId) -> Option<ScanId> {
        self.scans_by_job.get(&job).map(|scan| **scan)
    }
}

fn clashed(what: &'static str, clash: Clash) -> Error {
    match clash {
        // A dedupe key is no identity: who lost the race for it may ask again and get the winner.
        Clash::Appeared if what != DEDUPE_KEY => Error::new(
            ErrorKind::AlreadyExists,
            format!("the {what} was added by somebody else"),
        ),
        _ => Error::new(
            ErrorKind::Conflict,
            format!("the {what} was changed by somebody else meanwhile; read it and try again"),
        ),
    }
}
