//! Who asks.

use std::fmt;

use async_trait::async_trait;
use axum::http::HeaderMap;
use trueno_core::access::Identity;
use trueno_core::error::Result;
use trueno_core::id::OrganizationId;

/// Proves who sent a request, and says which organization the request is about.
///
/// # Contract
/// - An answer is a proof of the user's identity alone. Whether the user is a member of the
///   organization, and in which role, is looked up afterwards for every request; the organization
///   may therefore come from the client unchecked.
/// - A request without valid credentials is
///   [`Unauthenticated`](trueno_core::error::ErrorKind::Unauthenticated). Whether the user or the
///   organization exists is never told.
/// - **Errors**: messages are shown to the client and hold nothing of the credentials.
/// - **Cancel-safety**: a dropped future leaves nothing behind.
#[async_trait]
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Reads the request's headers.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<(Identity, OrganizationId)>;
}

/// Takes **every** request for one user's: nothing is proved and nothing is asked for.
///
/// Only for a demonstration on one person's machine, on a loopback address and behind
/// [`loopback_only`](crate::loopback_only). It must never face a network: whoever reaches the port
/// is that user.
#[derive(Clone, Copy, Debug)]
pub struct FixedIdentity {
    identity: Identity,
    organization: OrganizationId,
}

impl FixedIdentity {
    /// Every request is this user's, and about this organization.
    #[must_use]
    pub const fn new(identity: Identity, organization: OrganizationId) -> Self {
        Self {
            identity,
            organization,
        }
    }
}

#[async_trait]
impl Authenticator for FixedIdentity {
    async fn authenticate(&self, _headers: &HeaderMap) -> Result<(Identity, OrganizationId)> {
        Ok((self.identity, self.organization))
    }
}
