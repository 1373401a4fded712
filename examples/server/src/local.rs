//! The one organization that the command line works in, and its operator.
//!
//! Both are known by name, so that every run with the same store finds the same organization, and
//! every run with the same key file derives the same external ids.

use anyhow::Result;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::error::ErrorKind;
use trueno_core::id::{OrganizationId, UserId, derived};
use trueno_core::model::{EventDraft, NewOrganization};
use trueno_core::port::TenantStore;

/// The command line never rotates external ids.
pub(crate) const GENERATION: u32 = 1;

pub(crate) fn organization_id(name: &str) -> OrganizationId {
    derived("trueno local organization v1", &[name.as_bytes()])
}

fn operator_id(name: &str) -> UserId {
    derived("trueno local operator v1", &[name.as_bytes()])
}

/// The local organization, which exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) organization: OrganizationId,
    pub(crate) operator: Identity,
}

impl Local {
    /// The organization of this name, whether or not it is there.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            organization: organization_id(name),
            operator: Identity::authenticated(operator_id(name)),
        }
    }

    /// Finds the organization, or creates it.
    pub(crate) async fn ensure(store: &dyn TenantStore, name: &str) -> Result<Self> {
        let local = Self::named(name);
        let (organization, user) = (local.organization, local.operator.user());
        let memberships = store.memberships(user).await?;
        if memberships
            .iter()
            .any(|membership| membership.organization == organization)
        {
            return Ok(local);
        }
        let new = NewOrganization::new(organization, name, user)?;
        let event = EventDraft::new("organization.created", "organization", organization);
        match store.create_organization(new, event).await {
            Ok(_) => Ok(local),
            // Another process was first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(local),
            Err(error) => Err(error.into()),
        }
    }

    /// The operator's scope for one action.
    pub(crate) async fn scope(&self, store: &dyn TenantStore, action: Action) -> Result<OrgScope> {
        Ok(authorize(store, &self.operator, self.organization, action).await?)
    }
}
