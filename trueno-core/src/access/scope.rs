//! The key to one organization's data.

use super::{Action, allows};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CorrelationId, OrganizationId, UserId};
use crate::model::{Actor, Role};
use crate::port::LeaseRef;

/// By what right a scope was given. Adapters read it to enter the right context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authority {
    /// A member, for one action.
    Member {
        /// The member.
        user: UserId,
        /// The role at the time of the request.
        role: Role,
        /// What was authorized.
        action: Action,
    },
    /// The holder of a lease, for as long as the lease is held.
    Lease(LeaseRef),
}

/// The right to one organization's data, for one request or one lease.
///
/// It cannot be made up: see [`crate::access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrgScope {
    organization: OrganizationId,
    authority: Authority,
    correlation: Option<CorrelationId>,
}

impl OrgScope {
    pub(super) const fn member(
        organization: OrganizationId,
        user: UserId,
        role: Role,
        action: Action,
    ) -> Self {
        Self {
            organization,
            authority: Authority::Member { user, role, action },
            correlation: None,
        }
    }

    pub(crate) const fn lease(lease: LeaseRef) -> Self {
        Self {
            organization: lease.organization,
            authority: Authority::Lease(lease),
            correlation: None,
        }
    }

    /// The organization.
    #[must_use]
    pub const fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// The same right, exercised on account of this. It allows nothing and proves nothing: jobs and log
    /// lines have it, so that what belongs together is found.
    #[must_use]
    pub const fn with_correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation = Some(id);
        self
    }

    /// What it is exercised on account of, where somebody said.
    #[must_use]
    pub const fn correlation_id(&self) -> Option<CorrelationId> {
        self.correlation
    }

    /// By what right.
    #[must_use]
    pub const fn authority(&self) -> Authority {
        self.authority
    }

    /// Who acts under this scope.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        match self.authority {
            Authority::Member { user, .. } => Actor::Member { user },
            Authority::Lease(lease) => Actor::Processor { job: lease.job },
        }
    }

    /// Passes where the scope may open a unit of work: a member's, for an action that writes. A
    /// processor has `ingest` and `finish` instead, which are fenced.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] otherwise.
    pub fn require_write(&self) -> Result<()> {
        match self.authority {
            Authority::Member { action, .. } if action.writes() => Ok(()),
            Authority::Member { action, .. } => Err(Error::new(
                ErrorKind::Denied,
                format!("a scope for {action} changes nothing"),
            )),
            Authority::Lease(_) => Err(Error::new(
                ErrorKind::Denied,
                "a lease writes through ingest and finish, never through a unit of work",
            )),
        }
    }

    /// Passes where the member's role allows `action`: what a store asks before each write of that
    /// kind, whatever action the scope was given for, so that a program that authorized the wrong
    /// one gains nothing. A lease passes for no action.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] otherwise.
    pub fn permit(&self, wanted: Action) -> Result<()> {
        match self.authority {
            Authority::Member { role, .. } if allows(role, wanted) => Ok(()),
            Authority::Member { role, .. } => Err(denied(role, wanted)),
            Authority::Lease(_) => Err(Error::new(
                ErrorKind::Denied,
                format!("a lease does not allow {wanted}"),
            )),
        }
    }

    /// The member, where the scope is one's.
    #[must_use]
    pub const fn member_id(&self) -> Option<UserId> {
        match self.authority {
            Authority::Member { user, .. } => Some(user),
            Authority::Lease(_) => None,
        }
    }

    /// Passes where the scope was given for `action`.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] otherwise.
    pub fn require(&self, wanted: Action) -> Result<()> {
        match self.authority {
            Authority::Member { action, .. } if action == wanted => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Denied,
                format!("the scope is not for {wanted}"),
            )),
        }
    }
}

pub(super) fn denied(role: Role, action: Action) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!("the role {role} does not allow {action}"),
    )
}
