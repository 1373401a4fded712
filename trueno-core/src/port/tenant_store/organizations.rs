//! The organization itself and its members.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::UserId;
use crate::model::{Member, Organization, Role, Version};
use crate::port::{Page, PageRequest};

/// Reads of the organization and its members.
#[async_trait]
pub trait OrganizationReads {
    /// The organization.
    async fn organization(&mut self) -> Result<Organization>;

    /// One member. A user who is none is [`NotFound`](crate::error::ErrorKind::NotFound).
    async fn member(&mut self, user: UserId) -> Result<Member>;

    /// Its members, by user.
    async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>>;
}

/// Writes of the organization and its members.
///
/// Members need a role that allows [`ManageMembers`](crate::access::Action::ManageMembers). Only an
/// owner makes owners and changes or removes them, and one owner stays: what breaks that is
/// [`Denied`](crate::error::ErrorKind::Denied), or
/// [`InvalidInput`](crate::error::ErrorKind::InvalidInput) for the last owner. Whether the member is
/// there and as it was read comes first.
///
/// A user's version never comes back: who is removed and added again is not taken for the member
/// that somebody read before.
#[async_trait]
pub trait OrganizationWrites {
    /// Makes a user a member in this role. One who is a member already fails with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists).
    async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member>;

    /// Gives a member another role. Setting the role that it has changes nothing but its version.
    async fn set_member_role(
        &mut self,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member>;

    /// Ends a membership; nobody is assigned to what the member was.
    async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()>;

    /// Erases all that the organization has, its members and its jobs included, but for its audit
    /// events: from the commit on nobody is a member, every lease of its jobs is lost, and its id is
    /// never used again. The last change of its unit of work: every later one but the commit fails
    /// with [`NotFound`](crate::error::ErrorKind::NotFound). Needs a role that allows
    /// [`EraseOrganization`](crate::access::Action::EraseOrganization).
    async fn erase_organization(&mut self) -> Result<()>;
}
