//! The vault in memory: sealed envelopes, and the branch keys that wrap their data keys.

mod cipher;
mod envelope;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use secrecy::SecretSlice;
use trueno_core::access::{Action, Authority, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, SecretId};
use trueno_core::model::{SecretPurpose, SecretRef};
use trueno_core::port::{SecretVault, VaultPosture};

use envelope::{Binding, BranchKey, Envelope};

/// Secrets in memory, each version sealed under a data key of its own (P6). Clones share it.
///
/// An organization's branch key wraps its data keys and lives in this process only, in memory that
/// is wiped when the key is dropped: what was sealed is gone with the process. Writing takes a
/// scope for [`Action::ManageSecrets`]; opening takes one too, or a processor's. The vault does not
/// see the queue: that a processor's lease still holds is for the store's doors to check.
#[derive(Clone, Default)]
pub struct MemoryVault {
    branches: Arc<Mutex<HashMap<OrganizationId, Branch>>>,
}

/// What the vault keeps of one organization.
#[derive(Default)]
struct Branch {
    /// The newest branch key; `None` before the first secret, and once shredded.
    key: Option<BranchKey>,
    shredded: bool,
    /// Envelopes as stored bytes, by secret and version.
    envelopes: BTreeMap<(SecretId, u32), Vec<u8>>,
}

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(
        &self,
        operation: &'static str,
        scope: &OrgScope,
        step: impl FnOnce(&mut Branch, OrganizationId) -> Result<T>,
    ) -> Result<T> {
        let organization = scope.organization();
        let mut branches = self.branches.lock();
        step(branches.entry(organization).or_default(), organization)
            .map_err(|error| error.with_operation(operation))
    }

    /// What somebody with the memory in hand could do to the stored envelopes.
    #[cfg(test)]
    fn tamper(
        &self,
        organization: OrganizationId,
        change: impl FnOnce(&mut BTreeMap<(SecretId, u32), Vec<u8>>),
    ) {
        change(
            &mut self
                .branches
                .lock()
                .entry(organization)
                .or_default()
                .envelopes,
        );
    }
}

#[async_trait]
impl SecretVault for MemoryVault {
    async fn seal(
        &self,
        scope: &OrgScope,
        id: SecretId,
        purpose: SecretPurpose,
        secret: SecretSlice<u8>,
    ) -> Result<SecretRef> {
        self.with("secret_vault.seal", scope, |branch, organization| {
            scope.require(Action::ManageSecrets)?;
            branch.require_keys()?;
            if branch.newest(id).is_some() {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "the secret's id is in use",
                ));
            }
            branch.seal(
                organization,
                SecretRef {
                    id,
                    version: 1,
                    purpose,
                },
                &secret,
            )
        })
    }

    async fn open(&self, scope: &OrgScope, secret: &SecretRef) -> Result<SecretSlice<u8>> {
        self.with("secret_vault.open", scope, |branch, organization| {
            if !matches!(scope.authority(), Authority::Lease(_)) {
                scope.require(Action::ManageSecrets)?;
            }
            branch.open(organization, secret)
        })
    }

    async fn rotate(
        &self,
        scope: &OrgScope,
        current: &SecretRef,
        secret: SecretSlice<u8>,
    ) -> Result<SecretRef> {
        self.with("secret_vault.rotate", scope, |branch, organization| {
            scope.require(Action::ManageSecrets)?;
            let newest = branch.newest(current.id).ok_or_else(not_found)?;
            branch.require_keys()?;
            if newest != current.version {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the secret has another newest version; read it and try again",
                ));
            }
            // The purpose is the caller's word until the envelope confirms it.
            branch.open(organization, current)?;
            let version = newest.checked_add(1).ok_or_else(|| {
                Error::new(ErrorKind::Exhausted, "the secret has no versions left")
            })?;
            branch.seal(
                organization,
                SecretRef {
                    version,
                    ..*current
                },
                &secret,
            )
        })
    }

    /// All envelopes are moved or none: one that does not open is [`Corrupt`](ErrorKind::Corrupt),
    /// and the old branch key stays. Otherwise it is wiped.
    async fn rewrap(&self, scope: &OrgScope) -> Result<u64> {
        self.with("secret_vault.rewrap", scope, |branch, organization| {
            scope.require(Action::ManageSecrets)?;
            branch.require_keys()?;
            branch.rewrap(organization)
        })
    }

    /// Wipes the branch key. The envelopes stay, worth nothing, as they would in a backup.
    async fn shred(&self, scope: &OrgScope) -> Result<()> {
        self.with("secret_vault.shred", scope, |branch, _| {
            scope.require(Action::ManageSecrets)?;
            branch.key = None;
            branch.shredded = true;
            Ok(())
        })
    }

    async fn posture(&self, scope: &OrgScope) -> Result<VaultPosture> {
        self.with("secret_vault.posture", scope, |branch, organization| {
            let Some(key) = &branch.key else {
                return Ok(VaultPosture::new(0, 0, branch.shredded));
            };
            let unwraps = |((id, version), bytes): &(&(SecretId, u32), &Vec<u8>)| {
                let envelope = Envelope::parse(bytes);
                envelope.is_ok_and(|envelope| envelope.unwraps(key, organization, *id, *version))
            };
            // A rewrap moves every version and wipes the old key: none stays behind.
            Ok(VaultPosture::new(
                branch.envelopes.iter().filter(unwraps).count() as u64,
                0,
                false,
            ))
        })
    }
}

impl Branch {
    fn require_keys(&self) -> Result<()> {
        if self.shredded {
            let message = "the organization's keys are destroyed: nothing can be sealed any more";
            return Err(Error::new(ErrorKind::InvalidTransition, message));
        }
        Ok(())
    }

    fn newest(&self, id: SecretId) -> Option<u32> {
        self.envelopes
            .range((id, 0)..=(id, u32::MAX))
            .next_back()
            .map(|((_, version), _)| *version)
    }

    fn seal(
        &mut self,
        organization: OrganizationId,
        secret: SecretRef,
        plain: &SecretSlice<u8>,
    ) -> Result<SecretRef> {
        let key = match &self.key {
            Some(key) => key,
            None => self.key.insert(BranchKey::generate(1)?),
        };
        let envelope = Envelope::seal(key, &Binding::new(organization, &secret), plain)?;
        self.envelopes
            .insert((secret.id, secret.version), envelope.to_bytes());
        Ok(secret)
    }

    fn open(&self, organization: OrganizationId, secret: &SecretRef) -> Result<SecretSlice<u8>> {
        let bytes = self
            .envelopes
            .get(&(secret.id, secret.version))
            .ok_or_else(not_found)?;
        let key = self.key.as_ref().ok_or_else(envelope::corrupt)?;
        Envelope::parse(bytes)?.open(key, &Binding::new(organization, secret))
    }

    fn rewrap(&mut self, organization: OrganizationId) -> Result<u64> {
        let Some(old) = &self.key else { return Ok(0) };
        let new = old.next()?;
        let mut moved = BTreeMap::new();
        for ((id, version), bytes) in &self.envelopes {
            let envelope = Envelope::parse(bytes)?;
            let rewrapped = envelope.rewrap(old, &new, organization, *id, *version)?;
            moved.insert((*id, *version), rewrapped.to_bytes());
        }
        self.envelopes = moved;
        self.key = Some(new);
        Ok(self.envelopes.len() as u64)
    }
}

fn not_found() -> Error {
    Error::not_found("secret")
}

/// Shows that it is there, and nothing of what it holds.
impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVault").finish_non_exhaustive()
    }
}
