//! The first step: who asks.

use async_trait::async_trait;
use secrecy::SecretString;

use super::Identity;
use crate::error::Result;

/// What a client showed to prove who it is. Never logged: secrets have no Debug.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing.
    Absent,
    /// A bearer token (RFC 6750).
    Bearer(SecretString),
}

/// Proves who asks: the first step of authenticate → resolve the organization → authorize → scope.
///
/// # Contract
/// - An answer is a proof of the user's identity alone. Whether the user is a member of an
///   organization, and in which role, is looked up afterwards, for every request, by
///   [`authorize`](super::authorize).
/// - Credentials that prove nothing, absent ones included, are
///   [`Unauthenticated`](crate::error::ErrorKind::Unauthenticated). Whether the user exists is
///   never told.
/// - **Secrets**: tokens are compared in constant time. Messages are shown to the client and hold
///   nothing of the credentials.
/// - **Cancel-safety**: a dropped future leaves nothing behind.
#[async_trait]
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    /// Proves the identity that `credentials` stand for.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Identity>;
}
