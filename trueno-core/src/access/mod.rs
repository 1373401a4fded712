//! Who may do what: authenticate → resolve the organization → authorize → scope.
//!
//! An [`OrgScope`] is the only key to an organization's data, and there are two ways to one: a
//! member's, through [`authorize`], and a processor's, from a [`Lease`](crate::port::Lease) that
//! core's runtime made from a claim. Its fields are private and it has no public constructor.

mod matrix;
mod scope;

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

/// Gives the scope in which `identity` may do `action` in `organization`.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) where the user is no member: whether
/// the organization exists is not told. [`ErrorKind::Denied`](crate::error::ErrorKind::Denied)
/// where the member's role does not allow it.
pub async fn authorize(
    store: &dyn TenantStore,
    identity: &Identity,
    organization: OrganizationId,
    action: Action,
) -> Result<OrgScope> {
    let memberships = store.memberships(identity.user).await?;
    let membership = memberships
        .iter()
        .find(|membership| {
            membership.organization == organization && membership.user == identity.user
        })
        .ok_or_else(|| Error::not_found("organization"))?;
    if !allows(membership.role, action) {
        return Err(Error::new(
            crate::error::ErrorKind::Denied,
            format!("the role {} does not allow {action}", membership.role),
        ));
    }
    Ok(OrgScope::member(
        organization,
        identity.user,
        membership.role,
        action,
    ))
}
