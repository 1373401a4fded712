//! Who may do what: authenticate → resolve the organization → authorize → scope.
//!
//! An [`OrgScope`] is the only key to an organization's data, and there are two ways to one: a
//! member's, through [`authorize`], and a processor's, from a [`Lease`](crate::port::Lease) that
//! core's runtime made from a claim. Its fields are private and it has no public constructor.

mod authenticator;
mod matrix;
mod scope;

pub use authenticator::{Authenticator, Credentials};
pub use matrix::{Action, allows};
pub use scope::{Authority, OrgScope};

use crate::error::{Error, Result};
use crate::id::{OrganizationId, UserId};
use crate::port::TenantStore;

/// A user whose identity was proved: made by whatever authenticates requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    user: UserId,
}

impl Identity {
    /// States that `user` was authenticated. What a user may do is looked up for every request.
    #[must_use]
    pub const fn authenticated(user: UserId) -> Self {
        Self { user }
    }

    /// The user.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }
}

/// Gives the scope in which `identity` may do `action` in `organization`. Without an organization it
/// is the one that the user is a member of, where there is just one.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) where the user is no member: whether
/// the organization exists is not told. [`ErrorKind::Denied`](crate::error::ErrorKind::Denied)
/// where the member's role does not allow it.
/// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) where no organization was
/// named and the user is a member of several.
pub async fn authorize(
    store: &dyn TenantStore,
    identity: &Identity,
    organization: impl Into<Option<OrganizationId>> + Send,
    action: Action,
) -> Result<OrgScope> {
    let wanted = organization.into();
    let mut memberships = store.memberships(identity.user).await?;
    memberships.retain(|membership| {
        membership.user == identity.user
            && wanted.is_none_or(|wanted| membership.organization == wanted)
    });
    let membership = match memberships.as_slice() {
        [] => return Err(Error::not_found("organization")),
        [membership] => membership,
        [_, _, ..] => {
            return Err(Error::invalid(
                "organization",
                "has to be named: you are a member of several",
            ));
        }
    };
    if !allows(membership.role, action) {
        return Err(scope::denied(membership.role, action));
    }
    Ok(OrgScope::member(
        membership.organization,
        identity.user,
        membership.role,
        action,
    ))
}
