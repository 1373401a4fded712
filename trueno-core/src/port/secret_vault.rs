//! The port to secrets at rest.

use async_trait::async_trait;
use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};

use crate::access::OrgScope;
use crate::error::Result;
use crate::id::SecretId;
use crate::model::{SecretPurpose, SecretRef};

/// How an organization's secrets stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VaultPosture {
    /// Secret versions that can be opened.
    pub sealed: u64,
    /// Of those, how many are wrapped by a branch key that is not the newest.
    pub behind: u64,
    /// True once the organization's keys are destroyed.
    pub shredded: bool,
}

impl VaultPosture {
    /// A posture with these counts.
    #[must_use]
    pub const fn new(sealed: u64, behind: u64, shredded: bool) -> Self {
        Self {
            sealed,
            behind,
            shredded,
        }
    }
}

/// Keeps secrets as AES-256-GCM envelopes bound to organization, secret, version and purpose (P6).
///
/// # Contract
/// - **Bound**: `open` recomputes what an envelope is bound to from the scope and the reference;
///   an envelope that was moved to another organization, secret, version or purpose does not open.
/// - **Fails closed**: any doubt (a changed byte, a missing key, a shredded organization) is an
///   error and never a partial answer: [`Corrupt`](crate::error::ErrorKind::Corrupt) where the
///   envelope is there and does not open, [`NotFound`](crate::error::ErrorKind::NotFound) where
///   there is none for this organization, which is all that a foreign scope learns.
/// - **Rights**: every method but `posture` needs a scope for
///   [`ManageSecrets`](crate::access::Action::ManageSecrets); `open` takes a lease's scope too.
/// - **Versions**: `seal` makes version 1, `rotate` the next one; older versions open until shredded.
/// - **Rewrap** changes keys and never secrets: what opened before opens after.
/// - **Shred is final**: afterwards nothing of the organization opens, and nothing can be sealed.
/// - **Secrets** are in `secrecy` types and never in an error, a log or a Debug output.
/// - **Cancel-safety**: a dropped write was applied or not; read back by `posture`.
#[async_trait]
pub trait SecretVault: Send + Sync + std::fmt::Debug {
    /// Seals a new secret as version 1. Fails with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists) for an id in use.
    async fn seal(
        &self,
        scope: &OrgScope,
        id: SecretId,
        purpose: SecretPurpose,
        secret: SecretSlice<u8>,
    ) -> Result<SecretRef>;

    /// Opens one version.
    async fn open(&self, scope: &OrgScope, secret: &SecretRef) -> Result<SecretSlice<u8>>;

    /// Seals a new value as the next version after `current`, which must be the newest:
    /// [`Conflict`](crate::error::ErrorKind::Conflict) otherwise.
    async fn rotate(
        &self,
        scope: &OrgScope,
        current: &SecretRef,
        secret: SecretSlice<u8>,
    ) -> Result<SecretRef>;

    /// Moves the organization to a new branch key. Answers how many versions were moved.
    async fn rewrap(&self, scope: &OrgScope) -> Result<u64>;

    /// Destroys the organization's keys.
    async fn shred(&self, scope: &OrgScope) -> Result<()>;

    /// How the organization's secrets stand.
    async fn posture(&self, scope: &OrgScope) -> Result<VaultPosture>;
}
