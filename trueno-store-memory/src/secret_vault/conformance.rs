//! The vault against the suite that every vault passes.

use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::id::IdSource;
use trueno_core::port::{SecretVault, TenantStore};
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::{EnvelopeAt, Position, Tamper, VaultHarness};

use super::MemoryVault;
use crate::MemoryStore;

struct Memory {
    ids: IdSource,
    store: MemoryStore,
    vault: MemoryVault,
}

impl Memory {
    async fn new() -> Self {
        let ids = IdSource::seeded(1);
        let store = MemoryStore::new(ManualClock::default().shared(), ids.clone());
        Self {
            ids,
            store,
            vault: MemoryVault::new(),
        }
    }

    fn stored(&self, at: EnvelopeAt) -> Vec<u8> {
        let mut copy = Vec::new();
        self.vault.tamper(at.organization, |envelopes| {
            copy.clone_from(&envelopes[&(at.secret.id, at.secret.version)]);
        });
        copy
    }
}

#[async_trait]
impl VaultHarness for Memory {
    fn vault(&self) -> Arc<dyn SecretVault> {
        Arc::new(self.vault.clone())
    }

    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn tamper(&self, place: EnvelopeAt, tamper: Tamper) {
        let mut bytes = self.stored(place);
        match tamper {
            Tamper::FlipBit(position) => {
                let index = match position {
                    Position::First => 0,
                    Position::Middle => bytes.len() / 2,
                    Position::Last => bytes.len() - 1,
                };
                bytes[index] ^= 1;
            }
            Tamper::ReplaceWith(other) => bytes = self.stored(other),
        }
        self.vault.tamper(place.organization, |envelopes| {
            envelopes.insert((place.secret.id, place.secret.version), bytes);
        });
    }
}

trueno_testkit::secret_vault_conformance!(Memory::new);
