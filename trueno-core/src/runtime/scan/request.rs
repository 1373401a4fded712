//! Requesting a scan.

use serde::{Deserialize, Serialize};

use crate::access::{Action, OrgScope};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CloudAccountId, IdSource, JobId, ScanId};
use crate::model::{Concurrency, EventDraft, JobKind, JobPayload, NewJob, NewScan, ScanKind};
use crate::port::{Enqueued, TenantStore};
use crate::state::cloud_account::may_scan;

/// The kind of the jobs that run scans, unless a request names another.
pub const JOB_KIND: JobKind = JobKind::known("scan");

const PAYLOAD_VERSION: u32 = 1;

/// What the job of a scan is given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanPayload {
    pub(super) scan: ScanId,
}

impl ScanPayload {
    pub(super) fn parse(payload: &JobPayload) -> Result<Self> {
        payload.parse(PAYLOAD_VERSION)
    }
}

/// What is asked of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanRequest {
    /// The account to look at.
    pub account: CloudAccountId,
    /// The kind of the job that runs it: only a processor whose handler has this kind takes it.
    pub job_kind: JobKind,
}

impl ScanRequest {
    /// A scan of this account, by any processor that runs scans.
    #[must_use]
    pub const fn new(account: CloudAccountId) -> Self {
        Self {
            account,
            job_kind: JOB_KIND,
        }
    }

    /// By processors of this kind of job only.
    #[must_use]
    pub fn with_job_kind(mut self, kind: JobKind) -> Self {
        self.job_kind = kind;
        self
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
/// Scans of an account run one at a time. Where ticks of a schedule with
/// [`MissedTicks::RunAll`](crate::model::MissedTicks) are queued or one runs, the scan waits for its
/// turn among them: [`why_waiting`](crate::port::JobQueue::why_waiting) then tells
/// [`ConcurrencyLimit`](crate::port::WaitReason::ConcurrencyLimit).
///
/// # Errors
/// [`ErrorKind::Denied`] unless the scope is for [`Action::Scan`];
/// [`ErrorKind::InvalidTransition`] for an account that is not active;
/// [`ErrorKind::AlreadyExists`] while another scan of the account that was requested, by members or
/// by a schedule with another policy, is queued or runs; otherwise those of the store.
pub async fn request(
    store: &dyn TenantStore,
    scope: &OrgScope,
    wanted: &ScanRequest,
    ids: &IdSource,
    clock: &dyn Clock,
) -> Result<RequestedScan> {
    request_as(
        store,
        scope,
        wanted,
        ScanKind::Inventory,
        ids,
        clock,
        |scan| {
            EventDraft::new("scan.requested", "scan", scan)
                .with_target("cloud_account", wanted.account)
        },
    )
    .await
}

/// Requests a scan of any kind, with the event that says why.
pub(in crate::runtime) async fn request_as(
    store: &dyn TenantStore,
    scope: &OrgScope,
    wanted: &ScanRequest,
    kind: ScanKind,
    ids: &IdSource,
    clock: &dyn Clock,
    event: impl FnOnce(ScanId) -> EventDraft,
) -> Result<RequestedScan> {
    scope.require(Action::Scan)?;
    let (account, now) = (wanted.account, clock.now());
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
    let mut job = scan_job(requested.job, &wanted.job_kind, requested.scan, account)?
        .with_dedupe_key(&account.to_string())?;
    job.correlation_id = scope.correlation_id();
    if let [Enqueued::Duplicate(_)] = work.enqueue(vec![job]).await?.as_slice() {
        work.rollback().await?;
        let message = "a scan of this account is queued or running; wait for it, or cancel it";
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    let new = NewScan {
        id: requested.scan,
        account,
        job: requested.job,
        kind,
    };
    work.insert_scan(new).await?;
    work.commit(event(requested.scan)).await?;
    Ok(requested)
}

/// The job that runs a scan, whoever asked for it. No two of an account run at the same time, whatever
/// their kinds: they share a concurrency key.
pub(in crate::runtime) fn scan_job(
    job: JobId,
    kind: &JobKind,
    scan: ScanId,
    account: CloudAccountId,
) -> Result<NewJob> {
    let payload = JobPayload::new(PAYLOAD_VERSION, &ScanPayload { scan })?;
    let one_at_a_time = Concurrency::new(&account.to_string(), 1)?;
    Ok(NewJob::new(job, kind.clone(), payload)?.with_concurrency(one_at_a_time))
}
