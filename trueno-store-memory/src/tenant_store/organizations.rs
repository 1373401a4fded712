//! The organization itself and its members.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::{Action, Authority, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{Member, Organization, Role, Version};
use trueno_core::port::tenant_store::{OrganizationReads, OrganizationWrites};
use trueno_core::port::{Page, PageRequest};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{Stamp, member_not_found, require_version};
use crate::state::Draft;

impl Draft {
    fn member_page(&self, page: &PageRequest) -> Result<Page<Member>> {
        List {
            name: "members".into(),
            rows: &self.members,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |_, row: &Arc<Member>| Some(Member::clone(row)),
        )
    }

    fn member_row(&self, user: UserId) -> Result<Member> {
        self.members
            .get(&user)
            .map(|row| Member::clone(row))
            .ok_or_else(member_not_found)
    }

    fn member_at(&self, user: UserId, version: Version) -> Result<Member> {
        let row = self.member_row(user)?;
        require_version("member", row.version, version)?;
        Ok(row)
    }

    fn insert_member(
        &mut self,
        scope: &OrgScope,
        user: UserId,
        role: Role,
        by: Stamp,
    ) -> Result<Member> {
        if role == Role::Owner {
            require_owner(scope)?;
        }
        if self.members.contains(&user) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the user is a member already",
            ));
        }
        self.former_members.rely_on(user);
        let former = self
            .former_members
            .get(&user)
            .map_or(0, |version| **version);
        let member = Member {
            user,
            role,
            created_at: by.at,
            version: former + 1,
        };
        self.members.put(user, member.clone());
        Ok(member)
    }

    fn set_member_role(
        &mut self,
        scope: &OrgScope,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member> {
        let mut member = self.member_at(user, version)?;
        if member.role == Role::Owner || role == Role::Owner {
            require_owner(scope)?;
        }
        if member.role == Role::Owner && role != Role::Owner {
            self.keep_another_owner(user)?;
        }
        member.role = role;
        member.version += 1;
        self.members.put(user, member.clone());
        Ok(member)
    }

    fn remove_member(
        &mut self,
        scope: &OrgScope,
        user: UserId,
        version: Version,
        by: Stamp,
    ) -> Result<()> {
        let row = self.member_at(user, version)?;
        if row.role == Role::Owner {
            require_owner(scope)?;
            self.keep_another_owner(user)?;
        }
        self.unassign(user, by)?;
        self.members.remove(user);
        self.former_members.put(user, row.version);
        Ok(())
    }

    /// Passes where somebody else is an owner, who then has to be one still at the commit: of two
    /// units of work that each take one of the last two owners away, one is a conflict.
    fn keep_another_owner(&mut self, user: UserId) -> Result<()> {
        let other = self
            .members
            .rows_from(Bound::Unbounded)
            .find(|(other, row)| **other != user && row.role == Role::Owner)
            .map(|(other, _)| *other);
        let problem = "is the last owner; make somebody else an owner first";
        self.members
            .rely_on(other.ok_or_else(|| Error::invalid("member", problem))?);
        Ok(())
    }
}

/// Passes for an owner's scope.
fn require_owner(scope: &OrgScope) -> Result<()> {
    match scope.authority() {
        Authority::Member {
            role: Role::Owner, ..
        } => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Denied,
            "only an owner makes, changes and removes owners",
        )),
    }
}

#[async_trait]
impl OrganizationReads for View {
    async fn organization(&mut self) -> Result<Organization> {
        self.look("read_view.organization", |draft| {
            draft.organization_row().cloned()
        })
    }

    async fn member(&mut self, user: UserId) -> Result<Member> {
        self.look("read_view.member", |draft| draft.member_row(user))
    }

    async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>> {
        self.look("read_view.members", |draft| draft.member_page(page))
    }
}

#[async_trait]
impl OrganizationWrites for Unit {
    async fn insert_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let (scope, by) = (self.scope, self.stamp());
        let operation = "unit_of_work.insert_member";
        let member = self.write_as(Action::ManageMembers, operation, |draft| {
            draft.insert_member(&scope, user, role, by)
        })?;
        self.removed.remove(&user);
        Ok(member)
    }

    async fn set_member_role(
        &mut self,
        user: UserId,
        version: Version,
        role: Role,
    ) -> Result<Member> {
        let scope = self.scope;
        let operation = "unit_of_work.set_member_role";
        self.write_as(Action::ManageMembers, operation, |draft| {
            draft.set_member_role(&scope, user, version, role)
        })
    }

    async fn remove_member(&mut self, user: UserId, version: Version) -> Result<()> {
        let (scope, by) = (self.scope, self.stamp());
        let operation = "unit_of_work.remove_member";
        self.write_as(Action::ManageMembers, operation, |draft| {
            draft.remove_member(&scope, user, version, by)
        })?;
        self.removed.insert(user);
        Ok(())
    }

    async fn erase_organization(&mut self) -> Result<()> {
        let operation = "unit_of_work.erase_organization";
        self.write_as(Action::EraseOrganization, operation, |draft| {
            draft.erase();
            Ok(())
        })?;
        // What was added here is erased with the rest.
        self.awaited.clear();
        self.removed.clear();
        Ok(())
    }
}
