//! Whoever operates the server, by the token that it was given.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use trueno_core::access::Credentials;
use trueno_core::error::{Error, ErrorKind};
use trueno_core::runtime::Scheduler;

use super::credentials;
use crate::HttpState;
use crate::problem::Problem;

/// The scheduler, for whoever shows the system's token. A server without one has nothing at the path.
pub(crate) struct System(pub(crate) Arc<Scheduler>);

impl FromRequestParts<HttpState> for System {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        let system = state.system.as_ref().ok_or_else(Problem::no_route)?;
        let wanted = system.token.expose().as_bytes();
        // How long it takes tells nothing but the length, which is no secret.
        let is_shown = match credentials(parts) {
            Credentials::Bearer(shown) => {
                bool::from(shown.expose_secret().as_bytes().ct_eq(wanted))
            }
            _ => false,
        };
        if is_shown {
            Ok(Self(system.scheduler.clone()))
        } else {
            let message = "show the token that the server was given for this";
            Err(Error::new(ErrorKind::Unauthenticated, message).into())
        }
    }
}
