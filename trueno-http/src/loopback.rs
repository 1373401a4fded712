//! Against DNS rebinding: a page of some site whose name is made to resolve to 127.0.0.1 reaches a
//! loopback port from the visitor's browser, but not under one of loopback's own names.

use std::future::Future;
use std::pin::Pin;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{FromFnLayer, Next, from_fn};
use axum::response::{IntoResponse, Response};
use trueno_core::error::{Error, ErrorKind};

use crate::problem::Problem;

type Checked = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The layer that [`loopback_only`] gives.
pub type LoopbackOnly = FromFnLayer<fn(Request, Next) -> Checked, (), (Request,)>;

/// A layer that passes requests whose host is `localhost`, `127.0.0.1` or `[::1]`, with any port,
/// and answers every other with 403: for a server without authentication on a loopback address.
///
/// It looks at names only. Binding to a loopback address is up to whoever opens the socket.
pub fn loopback_only() -> LoopbackOnly {
    from_fn(check)
}

fn check(request: Request, next: Next) -> Checked {
    Box::pin(async move {
        if names_loopback(&request) {
            return next.run(request).await;
        }
        let message = "this server answers on localhost, 127.0.0.1 and [::1] only";
        Problem::from(Error::new(ErrorKind::Denied, message)).into_response()
    })
}

fn names_loopback(request: &Request) -> bool {
    // With two of them it would be a guess which one somebody else went by.
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    Authority::try_from(host.as_bytes()).is_ok_and(|host| is_loopback(&host))
        && request.uri().authority().is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let mut request = axum::http::Request::get(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn loopback_by_its_own_names_passes() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(names_loopback(&request("/", &[host])), "{host}");
        }
        assert!(names_loopback(&request(
            "http://localhost/",
            &["localhost"]
        )));
    }

    #[test]
    fn every_other_name_is_refused() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "evil@localhost",
            "localhost@evil.example",
            "127.0.0.2",
            "0.0.0.0",
            "[::2]",
            "::1",
            "localhost:8080:9",
        ] {
            assert!(!names_loopback(&request("/", &[host])), "{host}");
        }
        assert!(!names_loopback(&request("/", &[])));
        assert!(!names_loopback(&request(
            "/",
            &["localhost", "evil.example"]
        )));
        assert!(!names_loopback(&request(
            "http://evil.example/",
            &["localhost"]
        )));
    }
}
