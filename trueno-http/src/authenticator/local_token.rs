//! One token for one user.

use std::fmt;

use async_trait::async_trait;
use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use trueno_core::access::{Authenticator, Credentials, Identity};
use trueno_core::error::{Error, ErrorKind, Result};

/// Whoever shows the token is the one user: for a server on its user's own machine, which prints
/// the token at its start, and behind [`loopback_only`](crate::loopback_only).
pub struct LocalToken {
    token: SecretString,
    identity: Identity,
}

impl LocalToken {
    /// A new token of 256 bits from the operating system's random source: 52 characters of
    /// lower-case base32.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] where the operating system gives no random bits.
    pub fn generate(identity: Identity) -> Result<Self> {
        let mut bits = [0_u8; 32];
        getrandom::fill(&mut bits).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the system gave no random bits").with_source(source)
        })?;
        let token = BASE32_NOPAD.encode(&bits).to_ascii_lowercase();
        Ok(Self {
            token: token.into(),
            identity,
        })
    }

    /// The token, to show its user once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.token.expose_secret()
    }
}

impl fmt::Debug for LocalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalToken")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Authenticator for LocalToken {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Identity> {
        let shown = match credentials {
            Credentials::Bearer(token) => token.expose_secret().as_bytes(),
            _ => {
                return Err(unauthenticated(
                    "show the token that the server printed at its start",
                ));
            }
        };
        // How long it takes tells nothing but the length, which is no secret.
        if bool::from(shown.ct_eq(self.expose().as_bytes())) {
            Ok(self.identity)
        } else {
            Err(unauthenticated(
                "the token is not the one that the server printed at its start",
            ))
        }
    }
}

fn unauthenticated(message: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trueno_core::id::UserId;

    #[tokio::test]
    async fn only_the_token_proves_anything() {
        let user = UserId::from_uuid(uuid::Uuid::from_u128(7));
        let identity = Identity::authenticated(user);
        let (ours, other) = (
            LocalToken::generate(identity).unwrap(),
            LocalToken::generate(identity).unwrap(),
        );
        let bearer = |token: &str| Credentials::Bearer(token.to_owned().into());
        assert_eq!(ours.expose().len(), 52);
        let known = ours.authenticate(&bearer(ours.expose())).await;
        assert_eq!(known.unwrap(), identity);
        for wrong in [
            Credentials::Absent,
            bearer(""),
            bearer(other.expose()),
            bearer(&ours.expose()[1..]),
            bearer(&ours.expose().to_uppercase()),
        ] {
            let error = ours.authenticate(&wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        }
        assert!(!format!("{ours:?}").contains(ours.expose()));
    }
}
