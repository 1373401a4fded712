//! Claims and leases: a claim is plain data from a queue; only core makes a lease of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{ClaimRequest, JobQueue};
use crate::access::OrgScope;
use crate::error::Result;
use crate::id::{CorrelationId, JobId, LeaseToken, OrganizationId, WorkerSessionId};
use crate::model::{JobKind, JobPayload};
use crate::retry::Backoff;

/// Names a lease: what every effect of a job is fenced by (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// The organization that the job belongs to.
    pub organization: OrganizationId,
    /// The job.
    pub job: JobId,
    /// The fence token.
    pub token: LeaseToken,
    /// The worker session that holds it.
    pub session: WorkerSessionId,
}

/// What a queue answers to a claim: plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The lease's name.
    pub lease: LeaseRef,
    /// Picks the handler.
    pub kind: JobKind,
    /// What the handler is given.
    pub payload: JobPayload,
    /// Attempts that failed before this one.
    pub failed_attempts: u32,
    /// Attempts that may fail before the job is dead.
    pub max_attempts: u32,
    /// Leases lost before this one.
    pub lost_leases: u32,
    /// How long the attempt may take, where the job says.
    pub timeout: Option<Duration>,
    /// The wait between attempts, where the job says.
    pub backoff: Option<Backoff>,
    /// What the job was enqueued on account of, where somebody said.
    pub correlation_id: Option<CorrelationId>,
    /// When the job was enqueued.
    pub enqueued_at: Timestamp,
    /// When this attempt was due at the earliest: the job's run-at, or the end of its backoff.
    pub run_at: Timestamp,
    /// When the session's leases run out unless it sends a heartbeat, by the store's clock.
    pub expires_at: Timestamp,
}

impl Claim {
    /// What everything that the job does is on account of: what the job was enqueued on account of, or
    /// the job itself.
    #[must_use]
    pub fn correlation(&self) -> CorrelationId {
        let own = CorrelationId::from_uuid(self.lease.job.as_uuid());
        self.correlation_id.unwrap_or(own)
    }
}

/// A held lease: the right to work on one job of one organization, for as long as it is held.
///
/// Not `Clone`: a job has one holder. There is no public constructor; see [`claim_leases`].
#[derive(Debug)]
pub struct Lease {
    claim: Claim,
    scope: OrgScope,
}

impl Lease {
    fn new(claim: Claim) -> Self {
        Self {
            scope: OrgScope::lease(claim.lease).with_correlation_id(claim.correlation()),
            claim,
        }
    }

    /// The claim behind it.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Its name.
    #[must_use]
    pub fn reference(&self) -> LeaseRef {
        self.claim.lease
    }

    /// The scope in which the job reads: worth nothing once the lease is lost.
    #[must_use]
    pub fn scope(&self) -> &OrgScope {
        &self.scope
    }
}

/// Claims jobs and makes leases of the claims: the only way to a [`Lease`].
///
/// # Errors
/// As [`JobQueue::claim`].
pub async fn claim_leases(queue: &dyn JobQueue, request: &ClaimRequest) -> Result<Vec<Lease>> {
    Ok(queue
        .claim(request)
        .await?
        .into_iter()
        .map(Lease::new)
        .collect())
}
