//! Errors as problem details (RFC 9457): the one mapping of [`ErrorKind`] to a status.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use trueno_core::error::{Error, ErrorKind, RetryAdvice};

/// An answer that tells what went wrong, in words that the client may read.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem of HTTP's own, which no [`ErrorKind`] stands for.
    pub(crate) const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            code,
            detail: Cow::Borrowed(detail),
            retry_after_seconds: None,
        }
    }

    /// Nothing is at this path.
    pub(crate) fn no_route() -> Self {
        Error::new(ErrorKind::NotFound, "nothing is at this path").into()
    }

    /// The path is there; the `Allow` header says for which methods.
    pub(crate) const fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "the path does not take this method",
        )
    }
}

const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::StaleLease
        | ErrorKind::InvalidTransition => StatusCode::CONFLICT,
        ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable
        | ErrorKind::Exhausted
        | ErrorKind::Cancelled
        | ErrorKind::Serialization
        | ErrorKind::Deadlock => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        // Config, Corrupt, Unsupported, Unexpected, and kinds that are new: the server's own.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status(error.kind());
        if status.is_server_error() {
            // The source chain and the detail are for the log alone.
            tracing::error!(?error, "a request failed");
        } else {
            tracing::debug!(?error, "a request was refused");
        }
        Self {
            status,
            code: error.kind().code(),
            detail: Cow::Owned(error.to_string()),
            retry_after_seconds: match error.retry() {
                RetryAdvice::After(wait) => Some(wait.as_secs().max(1)),
                _ => None,
            },
        }
    }
}

/// Problem details (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body {
    /// `about:blank`: the title is the status's own, and `code` tells problems apart.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What went wrong, where, and how to mend it.
    detail: String,
    /// Which kind of problem it is: stable, for programs.
    code: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code,
        };
        // Text and a number: this serializes.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 asks for a challenge with every 401.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The whole mapping, so that a change of it is seen in review.
    #[test]
    fn kinds_have_the_status_that_a_client_expects() {
        for (kind, expected) in [
            (ErrorKind::InvalidInput, 400),
            (ErrorKind::Config, 500),
            (ErrorKind::NotFound, 404),
            (ErrorKind::AlreadyExists, 409),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Serialization, 503),
            (ErrorKind::Deadlock, 503),
            (ErrorKind::StaleLease, 409),
            (ErrorKind::InvalidTransition, 409),
            (ErrorKind::Denied, 403),
            (ErrorKind::Unauthenticated, 401),
            (ErrorKind::Throttled, 429),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Timeout, 504),
            (ErrorKind::Exhausted, 503),
            (ErrorKind::StorageFull, 507),
            (ErrorKind::Cancelled, 503),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::Unsupported, 500),
            (ErrorKind::Unexpected, 500),
        ] {
            assert_eq!(status(kind).as_u16(), expected, "{}", kind.code());
        }
    }

    #[test]
    fn what_only_a_log_may_hold_stays_out() {
        let error = Error::new(ErrorKind::Unavailable, "the store does not answer")
            .with_detail("10.0.0.7:5432")
            .with_source("password authentication failed")
            .with_retry(RetryAdvice::After(Duration::from_millis(200)));
        let problem = Problem::from(error);
        assert_eq!(problem.detail, "the store does not answer");
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn a_missing_proof_of_identity_is_challenged() {
        let problem = Problem::from(Error::new(ErrorKind::Unauthenticated, "no token"));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
