//! What requests are taken apart into. Each refuses with a [`Problem`].

mod body;
mod credentials;
mod member;
mod query;
mod system;
mod version;

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use trueno_core::error::{Error, Result};
use trueno_core::id::ScanId;

pub(crate) use body::JsonBody;
pub(crate) use credentials::{COOKIE_NAME, credentials};
pub(crate) use member::{Member, acts};
pub(crate) use query::{Query, list_query, named, page, parsed};
pub(crate) use system::System;
pub(crate) use version::{IfMatch, Versioned, precondition};

use crate::problem::Problem;

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
