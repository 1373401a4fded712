//! A vault, and what cases do with it.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};
use trueno_core::access::OrgScope;
use trueno_core::id::{IdSource, OrganizationId};
use trueno_core::model::{SecretPurpose, SecretRef};
use trueno_core::port::SecretVault;
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::fixtures::{self, Tenant};
use crate::harness::{EnvelopeAt, Tamper, VaultHarness};
use trueno_core::clock::Clock as _;

/// One case's vault, with helpers.
pub struct World {
    /// The vault.
    pub vault: Arc<dyn SecretVault>,
    harness: Box<dyn VaultHarness>,
    ids: IdSource,
}

impl World {
    /// The world of a fresh harness.
    pub async fn new(harness: impl VaultHarness + 'static) -> Self {
        Self {
            vault: harness.vault(),
            ids: harness.ids(),
            harness: Box::new(harness),
        }
    }

    /// A new id.
    pub fn id<I: From<Uuid>>(&self) -> I {
        self.ids.next(ManualClock::default().now())
    }

    /// A new organization and its owner's scopes.
    pub async fn organization(&self) -> Tenant {
        let (store, id, owner) = (self.harness.store(), self.id(), self.id());
        fixtures::organization(&*store, id, owner).await.unwrap()
    }

    /// Seals `text` as an integration's token.
    pub async fn seal(&self, scope: &OrgScope, text: &str) -> SecretRef {
        let (id, purpose) = (self.id(), SecretPurpose::Integration);
        self.vault
            .seal(scope, id, purpose, secret(text))
            .await
            .unwrap()
    }

    /// Opens a version that has to open.
    pub async fn open(&self, scope: &OrgScope, secret: &SecretRef) -> String {
        let opened = self.vault.open(scope, secret).await.unwrap();
        String::from_utf8(opened.expose_secret().to_vec()).unwrap()
    }

    /// Changes a stored envelope behind the vault's back.
    pub async fn tamper(&self, organization: OrganizationId, secret: SecretRef, tamper: Tamper) {
        self.harness
            .tamper(
                EnvelopeAt {
                    organization,
                    secret,
                },
                tamper,
            )
            .await;
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// `text` as a secret.
#[must_use]
pub(super) fn secret(text: &str) -> SecretSlice<u8> {
    SecretSlice::from(text.as_bytes().to_vec())
}
