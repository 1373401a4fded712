//! Organizations and their members.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Version;
use crate::error::{Error, Result};
use crate::id::{OrganizationId, UserId};
use crate::text::text_enum;

/// A customer's workspace: the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its display name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An organization about to be created, with its first owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrganization {
    id: OrganizationId,
    name: String,
    owner: UserId,
}

impl NewOrganization {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a name that is empty,
    /// longer than 200 characters or holds control characters.
    pub fn new(id: OrganizationId, name: &str, owner: UserId) -> Result<Self> {
        Ok(Self {
            id,
            name: display_name("organization name", name)?,
            owner,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.id
    }

    /// Its display name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user who becomes its owner.
    #[must_use]
    pub fn owner(&self) -> UserId {
        self.owner
    }
}

text_enum! {
    /// What a member may do; the matrix is in [`crate::access`].
    pub enum Role as "role" {
        /// Everything.
        Owner = "owner",
        /// Everything but the organization itself.
        Admin = "admin",
        /// Approves savings actions.
        Approver = "approver",
        /// Scans and works on findings.
        Analyst = "analyst",
        /// Reads.
        Viewer = "viewer",
    }
}

/// That a user is a member of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The organization.
    pub organization: OrganizationId,
    /// The member.
    pub user: UserId,
    /// The member's role.
    pub role: Role,
}

/// A member, as the organization sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// The member's role.
    pub role: Role,
    /// When the user became a member, by the store's clock.
    pub created_at: Timestamp,
    /// Counts changes, beginning at 1; who becomes a member again goes on above what it was.
    pub version: Version,
}

/// A name that people read: 1 to 200 characters, none of them a control character.
pub(crate) fn display_name(field: &str, name: &str) -> Result<String> {
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "needs 1 to 200 characters without control characters",
        ));
    }
    Ok(name.to_owned())
}
