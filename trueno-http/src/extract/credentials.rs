//! What a request shows to prove who sent it.

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use trueno_core::access::Credentials;

/// The cookie that has a browser's token.
pub(crate) const COOKIE_NAME: &str = "trueno_token";

/// The bearer token of the request (RFC 6750). A browser's cookie counts too where the request only
/// reads: a browser sends it along with what other sites have it ask for, so it proves nothing of who
/// wants a change.
pub(crate) fn credentials(parts: &Parts) -> Credentials {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let token = match bearer(&parts.headers) {
        Shown::Token(token) => Some(token),
        Shown::Nothing if reads => cookie(&parts.headers),
        Shown::Nothing | Shown::Nonsense => None,
    };
    token.map_or(Credentials::Absent, |token| {
        Credentials::Bearer(token.to_owned().into())
    })
}

enum Shown<'a> {
    Nothing,
    Nonsense,
    Token(&'a str),
}

fn bearer(headers: &HeaderMap) -> Shown<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), next) = (values.next(), values.next()) else {
        return Shown::Nothing;
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") && next.is_none());
    token.map_or(Shown::Nonsense, |(_, token)| Shown::Token(token.trim()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, token)| token)
}
