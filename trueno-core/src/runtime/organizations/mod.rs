//! Organizations: members, export and erasure.
//!
//! # Errors
//! Each fails with [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for the action
//! that is named; otherwise with what the store's contract says.

mod export;

pub use export::{ExportLine, export};

use crate::access::{Action, OrgScope};
use crate::error::Result;
use crate::id::UserId;
use crate::model::{EventDraft, Member, Role, Version};
use crate::port::TenantStore;

/// Makes a user a member in this role. For [`Action::ManageMembers`].
///
/// # Errors
/// See [the module](self).
pub async fn add_member(
    store: &dyn TenantStore,
    scope: &OrgScope,
    user: UserId,
    role: Role,
) -> Result<Member> {
    scope.require(Action::ManageMembers)?;
    let mut work = store.begin(scope).await?;
    let member = work.insert_member(user, role).await?;
    let event =
        EventDraft::new("member.added", "member", user).with_detail("role", member.role.as_str());
    work.commit(event).await?;
    Ok(member)
}

/// Gives a member another role. For [`Action::ManageMembers`].
///
/// # Errors
/// See [the module](self).
pub async fn set_role(
    store: &dyn TenantStore,
    scope: &OrgScope,
    user: UserId,
    version: Version,
    role: Role,
) -> Result<Member> {
    scope.require(Action::ManageMembers)?;
    let mut work = store.begin(scope).await?;
    let member = work.set_member_role(user, version, role).await?;
    let event = EventDraft::new("member.role_set", "member", user)
        .with_detail("role", member.role.as_str());
    work.commit(event).await?;
    Ok(member)
}

/// Ends a membership. For [`Action::ManageMembers`].
///
/// # Errors
/// See [the module](self).
pub async fn remove_member(
    store: &dyn TenantStore,
    scope: &OrgScope,
    user: UserId,
    version: Version,
) -> Result<()> {
    scope.require(Action::ManageMembers)?;
    let mut work = store.begin(scope).await?;
    work.remove_member(user, version).await?;
    work.commit(EventDraft::new("member.removed", "member", user))
        .await?;
    Ok(())
}

/// Erases an organization: all that it has but its audit events, the one that says so included.
/// There is no way back. For [`Action::EraseOrganization`].
///
/// # Errors
/// See [the module](self).
pub async fn erase(store: &dyn TenantStore, scope: &OrgScope) -> Result<()> {
    scope.require(Action::EraseOrganization)?;
    let mut work = store.begin(scope).await?;
    work.erase_organization().await?;
    let id = scope.organization();
    work.commit(EventDraft::new("organization.erased", "organization", id))
        .await?;
    Ok(())
}
