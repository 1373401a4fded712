//! Versions of rows as entity tags (RFC 9110): who changes a row says which version it read.
//!
//! They are for that alone. No answer may be kept (`no-store`) and none is compared with what a client
//! kept, so a finding's tag may stay while the time of the latest look at it moves.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::model::Version;

use crate::problem::Problem;

/// The version that the client read, from `If-Match`.
pub(crate) struct IfMatch(pub(crate) Version);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let mut values = parts.headers.get_all(IF_MATCH).iter();
        let (value, next) = (values.next(), values.next());
        let Some(value) = value else {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition_required",
                "If-Match: has to have the ETag of what you read, such as \"3\"",
            ));
        };
        value
            .to_str()
            .ok()
            .filter(|_| next.is_none())
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Error::invalid(
                    "If-Match",
                    "needs one ETag as the server gave it, such as \"3\"",
                )
                .into()
            })
    }
}

/// What a write of a versioned row answers where the row changed since: 412, not 409.
pub(crate) fn precondition(error: Error) -> Problem {
    if error.kind() == ErrorKind::Conflict {
        Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "it changed since you read it; read it again and decide anew",
        )
    } else {
        error.into()
    }
}

/// One row, with its version as `ETag`.
pub(crate) struct Versioned<T>(pub(crate) Version, pub(crate) T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.1).into_response();
        // Digits and quotes: always a header value.
        if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", self.0)) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}
