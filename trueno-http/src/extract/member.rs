//! Who asks, for what: authenticate → resolve the organization → authorize.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use trueno_core::access::{Action, OrgScope, authorize};
use trueno_core::error::{Error, Result};
use trueno_core::id::{CorrelationId, OrganizationId};
use trueno_core::port::{ReadView, TenantStore};

use super::credentials;
use crate::HttpState;
use crate::problem::Problem;

/// Names the organization that a request is about. Without it, it is the one that the user is a
/// member of, where there is just one.
const ORGANIZATION: &str = "trueno-organization";

/// Actions as types, so that a handler says in its signature what it is for, and cannot forget it.
pub(crate) mod acts {
    use trueno_core::access::Action;

    /// An action as a type.
    pub(crate) trait Act: Send + Sync + 'static {
        const ACTION: Action;
    }

    macro_rules! acts {
        ($($name:ident),+ $(,)?) => {
            $(
                pub(crate) struct $name;

                impl Act for $name {
                    const ACTION: Action = Action::$name;
                }
            )+
        };
    }

    acts! {
        Read, Scan, ManageAccounts, WorkFindings, DecideExceptions, ManageSchedules, ManageMembers,
        ReadAudit, Export, EraseOrganization,
    }
}

/// A member who may do what `A` names: the only way of a handler to tenant data (P1).
pub(crate) struct Member<A> {
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) scope: OrgScope,
    action: PhantomData<A>,
}

impl<A> Member<A> {
    /// Opens a consistent view.
    pub(crate) async fn view(&self) -> Result<Box<dyn ReadView>> {
        self.store.read(&self.scope).await
    }
}

impl<A: acts::Act> FromRequestParts<HttpState> for Member<A> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &HttpState,
    ) -> Result<Self, Self::Rejection> {
        let scope = scope(parts, state, A::ACTION).await?;
        Ok(Self {
            store: state.store.clone(),
            scope,
            action: PhantomData,
        })
    }
}

/// The scope in which whoever sent the request may do `action`.
pub(crate) async fn scope(parts: &Parts, state: &HttpState, action: Action) -> Result<OrgScope> {
    let identity = state
        .authenticator
        .authenticate(&credentials(parts))
        .await?;
    let organization = organization(parts)?;
    let scope = authorize(state.store.as_ref(), &identity, organization, action).await?;
    let correlation = parts.extensions.get::<CorrelationId>().copied();
    Ok(match correlation {
        Some(id) => scope.with_correlation_id(id),
        None => scope,
    })
}

fn organization(parts: &Parts) -> Result<Option<OrganizationId>> {
    let mut values = parts.headers.get_all(ORGANIZATION).iter();
    let invalid = |problem| Error::invalid("Trueno-Organization", problem);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| invalid("is not a UUID")),
        (Some(_), Some(_)) => Err(invalid("is given twice")),
    }
}
