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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn members() -> impl Iterator<Item = (Role, Action, OrgScope)> {
        let (organization, user) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        Role::ALL.iter().flat_map(move |&role| {
            Action::ALL.iter().map(move |&action| {
                let scope = OrgScope::member(organization, user, role, action);
                (role, action, scope)
            })
        })
    }

    fn lease() -> OrgScope {
        OrgScope::lease(LeaseRef {
            organization: Uuid::from_u128(1).into(),
            job: Uuid::from_u128(3).into(),
            token: Uuid::from_u128(4).into(),
            session: Uuid::from_u128(5).into(),
        })
    }

    fn denied<T: std::fmt::Debug>(answer: Result<T>) -> bool {
        answer.is_err_and(|error| error.kind() == ErrorKind::Denied)
    }

    #[test]
    fn a_member_writes_for_actions_that_write_and_may_what_the_role_may() {
        for (role, action, scope) in members() {
            assert_eq!(scope.require_write().is_ok(), action.writes(), "{action}");
            assert_eq!(denied(scope.require_write()), !action.writes(), "{action}");
            for &wanted in Action::ALL {
                let (permitted, required) = (scope.permit(wanted), scope.require(wanted));
                assert_eq!(permitted.is_ok(), allows(role, wanted), "{role}: {wanted}");
                assert_eq!(denied(permitted), !allows(role, wanted), "{role}: {wanted}");
                assert_eq!(required.is_ok(), action == wanted, "{action}: {wanted}");
                assert_eq!(denied(required), action != wanted, "{action}: {wanted}");
            }
        }
    }

    #[test]
    fn a_lease_is_for_no_action() {
        assert!(denied(lease().require_write()));
        for &wanted in Action::ALL {
            assert!(denied(lease().permit(wanted)), "{wanted}");
            assert!(denied(lease().require(wanted)), "{wanted}");
        }
    }

    #[test]
    fn a_scope_says_who_acts_and_on_account_of_what() {
        let (_, _, member) = members().next().unwrap();
        let (user, job) = (Uuid::from_u128(2).into(), Uuid::from_u128(3).into());
        assert_eq!(member.actor(), Actor::Member { user });
        assert_eq!(member.member_id(), Some(user));
        assert_eq!(lease().actor(), Actor::Processor { job });
        assert_eq!(lease().member_id(), None);
        let correlation = Uuid::from_u128(6).into();
        for scope in [member, lease()] {
            assert_eq!(scope.organization(), Uuid::from_u128(1).into());
            assert_eq!(scope.correlation_id(), None);
            let scope = scope.with_correlation_id(correlation);
            assert_eq!(scope.correlation_id(), Some(correlation));
        }
    }
}
