//! What requests are taken apart into. Each refuses with a [`Problem`].

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use trueno_core::access::{Action, OrgScope, authorize};
use trueno_core::error::{Error, Result};
use trueno_core::id::ScanId;
use trueno_core::port::{Cursor, PageRequest, ReadView, TenantStore};

use crate::HttpState;
use crate::problem::Problem;

/// A member who may read: the only way of a handler to tenant data (P1).
pub(crate) struct Reader {
    store: Arc<dyn TenantStore>,
    scope: OrgScope,
}

impl Reader {
    /// Opens a consistent view.
    pub(crate) async fn view(&self) -> Result<Box<dyn ReadView>> {
        self.store.read(&self.scope).await
    }
}

impl FromRequestParts<HttpState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &HttpState,
    ) -> Result<Self, Self::Rejection> {
        let (identity, organization) = state.authenticator.authenticate(&parts.headers).await?;
        let store = state.store.clone();
        let scope = authorize(store.as_ref(), &identity, organization, Action::Read).await?;
        Ok(Self { store, scope })
    }
}

/// The `{id}` of a path.
pub(crate) struct IdInPath<I>(pub(crate) I);

impl<I, S> FromRequestParts<S> for IdInPath<I>
where
    I: FromStr<Err = Error>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::invalid("id", "is not text"))?;
        Ok(Self(text.parse()?))
    }
}

/// The id of a scan in a path.
pub(crate) type ScanInPath = IdInPath<ScanId>;

/// `limit` and `cursor` of a list.
pub(crate) struct PageOfList(pub(crate) PageRequest);

/// Items of a page where the client does not say.
const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageOfList {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Query(query) = Query::<PageQuery>::from_request_parts(parts, state)
            .await
            .map_err(|refused| Error::invalid("query", &refused.body_text()))?;
        let limit = match query.limit {
            None => DEFAULT_LIMIT,
            // Zero is out of range as well: one message for every limit that is not one.
            Some(text) => text.parse().unwrap_or(0),
        };
        let cursor = query
            .cursor
            .map(|text| text.parse::<Cursor>())
            .transpose()?;
        Ok(Self(PageRequest::first(limit)?.after(cursor)))
    }
}
