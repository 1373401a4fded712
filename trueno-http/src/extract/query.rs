//! Query strings: what is not known is refused by its name.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Cursor, PageRequest};

use crate::problem::Problem;

/// The parameters of a query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let text = parts.uri.query().unwrap_or_default();
        if let Some(field) = not_utf8(text) {
            return Err(Error::invalid(&field, "is not UTF-8").into());
        }
        let axum::extract::Query(query) =
            axum::extract::Query::<T>::from_request_parts(parts, state)
                .await
                .map_err(|refused| Error::invalid("query", &refused.body_text()))?;
        Ok(Self(query))
    }
}

/// The first parameter of which the value is not UTF-8, or the name: what reads a query (`form_urlencoded`)
/// puts U+FFFD in its place, which is another value.
fn not_utf8(query: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (decoded(name), decoded(value)) {
            (Ok(_), Ok(_)) => None,
            (Ok(name), Err(_)) => Some(name),
            (Err(_), _) => Some("query".to_owned()),
        }
    })
}

/// Items of a page where the client does not say.
const DEFAULT_LIMIT: usize = 50;

/// The page that `limit` and `cursor` name.
pub(crate) fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<PageRequest> {
    let limit = match limit {
        None => DEFAULT_LIMIT,
        // Zero is out of range as well: one message for every limit that is not one.
        Some(text) => text.parse().unwrap_or(0),
    };
    let cursor = cursor.map(str::parse::<Cursor>).transpose()?;
    Ok(PageRequest::first(limit)?.after(cursor))
}

/// A parameter as what it stands for. What is wrong with it is told under the parameter's own name.
pub(crate) fn parsed<T: FromStr<Err = Error>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>> {
    text.map(|text| named(field, text.parse())).transpose()
}

/// Tells what is wrong with `field` under its own name.
pub(crate) fn named<T>(field: &str, parsed: Result<T>) -> Result<T> {
    parsed.map_err(|error| {
        if error.kind() != ErrorKind::InvalidInput {
            return error;
        }
        let text = error.to_string();
        let problem = text
            .split_once(": ")
            .map_or(text.as_str(), |(_, told)| told);
        Error::invalid(field, problem).with_source(error)
    })
}

/// Makes the query of a list: its filters, `limit` and `cursor`, all of them text until they are
/// parsed, so that a wrong one is told in the same words everywhere.
macro_rules! list_query {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(crate) struct $name {
            $($(#[$field_meta])* $field: Option<String>,)*
            /// Items of a page at the most: 1 to 1000, 50 by default.
            #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
            limit: Option<String>,
            /// Where the page begins: `next` of the one before.
            cursor: Option<String>,
        }

        impl $name {
            /// The page that is asked for.
            pub(crate) fn page(
                &self,
            ) -> trueno_core::error::Result<trueno_core::port::PageRequest> {
                $crate::extract::page(self.limit.as_deref(), self.cursor.as_deref())
            }
        }
    };
}

pub(crate) use list_query;
