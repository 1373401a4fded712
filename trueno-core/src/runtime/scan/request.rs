//! Requesting a scan.

use serde::{Deserialize, Serialize};

use crate::access::{Action, OrgScope};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CloudAccountId, IdSource, JobId, ScanId};
use crate::model::{EventDraft, JobKind, JobPayload, NewJob, NewScan, ScanKind};
use crate::port::{Enqueued, TenantStore};
use crate::state::cloud_account::may_scan;

/// The kind of the job that runs a scan.
pub const JOB_KIND: &str = "scan";

const PAYLOAD_VERSION: u32 = 1;

/// What the job of a scan is given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanPayload {
    pub(super) scan: ScanId,
}

impl ScanPayload {
    pub(super) fn parse(payload: &JobPayload) -> Result<Self> {
        if payload.version != PAYLOAD_VERSION {
            let message = format!("the scan job has payload version {}", payload.version);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Self::deserialize(&payload.body).map_err(|source| {
            Error::new(
                ErrorKind::Corrupt,
                "the scan job's payload is not understood",
            )
            .with_source(source)
        })
    }
}

/// A scan that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedScan {
    /// The scan.
    pub scan: ScanId,
    /// The job that runs it.
    pub job: JobId,
}

/// Requests an inventory scan of an account: the scan, its job and the audit event, together (P2).
///
/// # Errors
/// [`ErrorKind::Denied`] unless the scope is for [`Action::Scan`];
/// [`ErrorKind::InvalidTransition`] for an account that is not active;
/// [`ErrorKind::AlreadyExists`] while another scan of the account is queued or runs; otherwise
/// those of the store.
pub async fn request(
    store: &dyn TenantStore,
    scope: &OrgScope,
    account: CloudAccountId,
    ids: &IdSource,
    clock: &dyn Clock,
) -> Result<RequestedScan> {
    scope.require(Action::Scan)?;
    let now = clock.now();
    let requested = RequestedScan {
        scan: ids.next(now),
        job: ids.next(now),
    };
    let mut work = store.begin(scope).await?;
    let status = work.account(account).await?.status;
    if !may_scan(status) {
        let message = format!("the account is {status}; verify the connection before a scan");
        return Err(Error::new(ErrorKind::InvalidTransition, message));
    }
    let kind: JobKind = JOB_KIND.parse()?;
    let body = serde_json::json!({ "scan": requested.scan });
    let payload = JobPayload {
        version: PAYLOAD_VERSION,
        body,
    };
    let job = NewJob::new(requested.job, kind, payload)?.with_dedupe_key(&account.to_string())?;
    if let [Enqueued::Duplicate(_)] = work.enqueue(vec![job]).await?.as_slice() {
        work.rollback().await?;
        let message = "a scan of this account is queued or running; wait for it, or cancel it";
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    let new = NewScan {
        id: requested.scan,
        account,
        job: requested.job,
        kind: ScanKind::Inventory,
    };
    work.insert_scan(new).await?;
    let event = EventDraft::new("scan.requested", "scan", requested.scan)
        .with_target("cloud_account", account);
    work.commit(event).await?;
    Ok(requested)
}
