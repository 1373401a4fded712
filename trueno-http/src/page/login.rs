//! A browser's way in: a link with the token, once, then a cookie.

use axum::extract::{OriginalUri, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use trueno_core::access::Credentials;
use trueno_core::error::Error;

use super::links::Links;
use crate::HttpState;
use crate::extract::{COOKIE_NAME, Query};
use crate::problem::Problem;

#[derive(Deserialize)]
pub(crate) struct Login {
    token: Option<String>,
}

/// Takes `?token=` out of a page's address: where it proves something, the browser keeps it as a
/// cookie and asks again without, so that it stays in no history and no referrer.
pub(crate) async fn login(
    State(state): State<HttpState>,
    OriginalUri(uri): OriginalUri,
    Query(login): Query<Login>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = login.token else {
        return next.run(request).await;
    };
    let cookie = match proved(&state, token).await {
        Ok(cookie) => cookie,
        Err(error) => return Problem::from(error).into_response(),
    };
    let home = Links::from_root(uri.path()).home;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(SET_COOKIE, cookie);
    headers.insert(
        LOCATION,
        HeaderValue::try_from(home).unwrap_or(HeaderValue::from_static("./")),
    );
    response
}

/// The cookie that keeps a token which proves something.
async fn proved(state: &HttpState, token: String) -> Result<HeaderValue, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if !token.chars().all(plain) {
        return Err(Error::invalid("token", "has characters that no token has"));
    }
    // No lifetime: it ends with the browser's session. Strict: no other site has it sent along.
    let cookie = format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/");
    state
        .authenticator
        .authenticate(&Credentials::Bearer(token.into()))
        .await?;
    let mut cookie = HeaderValue::try_from(cookie)
        .map_err(|_| Error::invalid("token", "has characters that no token has"))?;
    cookie.set_sensitive(true);
    Ok(cookie)
}
