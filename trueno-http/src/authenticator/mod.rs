//! Authenticators for one person's machine. A service brings its own:
//! [`trueno_core::access::Authenticator`].

mod local_token;

use async_trait::async_trait;
use trueno_core::access::{Authenticator, Credentials, Identity};
use trueno_core::error::Result;

pub use local_token::LocalToken;

/// Takes **every** request for one user's: nothing is proved and nothing is asked for.
///
/// Only for tests and for a demonstration on one person's machine, on a loopback address and behind
/// [`loopback_only`](crate::loopback_only). It must never face a network: whoever reaches the port
/// is that user.
#[derive(Clone, Copy, Debug)]
pub struct FixedIdentity(Identity);

impl FixedIdentity {
    /// Every request is this user's.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self(identity)
    }
}

#[async_trait]
impl Authenticator for FixedIdentity {
    async fn authenticate(&self, _credentials: &Credentials) -> Result<Identity> {
        Ok(self.0)
    }
}
