//! The organization itself and its members.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::{Action, Authority, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{Member, Organization, Role};
use trueno_core::port::tenant_store::{OrganizationReads, OrganizationWrites};
use trueno_core::port::{Page, PageRequest};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{Stamp, member_not_found};
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

    fn set_member(
        &mut self,
        scope: &OrgScope,
        user: UserId,
        role: Role,
        by: Stamp,
    ) -> Result<Member> {
        let before = self.members.get(&user).cloned();
        let was_owner = before.as_ref().is_some_and(|row| row.role == Role::Owner);
        if was_owner || role == Role::Owner {
            require_owner(scope)?;
        }
        if was_owner && role != Role::Owner {
            self.keep_another_owner(user)?;
        }
        let member = Member {
            user,
            role,
            created_at: before.map_or(by.at, |row| row.created_at),
        };
        self.members.put(user, member.clone());
        Ok(member)
    }

    fn remove_member(&mut self, scope: &OrgScope, user: UserId, by: Stamp) -> Result<()> {
        let row = self.members.get(&user).ok_or_else(member_not_found)?;
        if row.role == Role::Owner {
            require_owner(scope)?;
            self.keep_another_owner(user)?;
        }
        self.unassign(user, by)?;
        self.members.remove(user);
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

    async fn members(&mut self, page: &PageRequest) -> Result<Page<Member>> {
        self.look("read_view.members", |draft| draft.member_page(page))
    }
}

#[async_trait]
impl OrganizationWrites for Unit {
    async fn set_member(&mut self, user: UserId, role: Role) -> Result<Member> {
        let (scope, by) = (self.scope, self.stamp());
        let operation = "unit_of_work.set_member";
        let member = self.write_as(Action::ManageMembers, operation, |draft| {
            draft.set_member(&scope, user, role, by)
        })?;
        self.removed.remove(&user);
        Ok(member)
    }

    async fn remove_member(&mut self, user: UserId) -> Result<()> {
        let (scope, by) = (self.scope, self.stamp());
        let operation = "unit_of_work.remove_member";
        self.write_as(Action::ManageMembers, operation, |draft| {
            draft.remove_member(&scope, user, by)
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
