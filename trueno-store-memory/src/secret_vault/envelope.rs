//! Envelopes: a secret under a data key of its own, and that key under the branch key.
//!
//! Stored as bytes, of fixed width but for the last field:
//!
//! ```text
//! format (1: 0x01) · branch key generation (4, big-endian)
//! nonce (12) · wrapped data key and tag (48)
//! nonce (12) · sealed secret and tag (16 and more)
//! ```
//!
//! The data key is bound to organization, secret, version and branch key; the secret is bound to
//! organization, secret, version and purpose. Both are recomputed from scope and reference when an
//! envelope is opened, and never read from it.

use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{OrganizationId, SecretId};
use trueno_core::model::SecretRef;

use super::cipher::{self, KEY, NONCE, Sealed, TAG, expose, random_key, seal};

pub(super) use super::cipher::corrupt;

const FORMAT: u8 = 1;
const WRAPPED: usize = KEY + TAG;

/// The key that wraps an organization's data keys. Wiped when dropped; never shown.
pub(super) struct BranchKey {
    generation: u32,
    key: SecretBox<[u8; KEY]>,
}

impl BranchKey {
    pub(super) fn generate(generation: u32) -> Result<Self> {
        Ok(Self {
            generation,
            key: random_key()?,
        })
    }

    /// The key after this one.
    pub(super) fn next(&self) -> Result<Self> {
        let generation = self.generation.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Exhausted,
                "the organization has no branch keys left",
            )
        })?;
        Self::generate(generation)
    }
}

/// What an envelope is bound to.
pub(super) struct Binding {
    /// Organization, secret and version.
    place: Vec<u8>,
    /// The same and the purpose.
    whole: Vec<u8>,
}

impl Binding {
    pub(super) fn new(organization: OrganizationId, secret: &SecretRef) -> Self {
        let place = place(organization, secret.id, secret.version);
        let purpose = secret.purpose.as_str();
        let whole = [b"trueno secret v1\0", place.as_slice(), purpose.as_bytes()].concat();
        Self { place, whole }
    }
}

/// Fields of fixed width, so that none runs into the next.
fn place(organization: OrganizationId, id: SecretId, version: u32) -> Vec<u8> {
    let mut place = Vec::with_capacity(36);
    place.extend_from_slice(organization.as_uuid().as_bytes());
    place.extend_from_slice(id.as_uuid().as_bytes());
    place.extend_from_slice(&version.to_be_bytes());
    place
}

fn wrap_context(place: &[u8], generation: u32) -> Vec<u8> {
    [b"trueno data key v1\0", place, &generation.to_be_bytes()].concat()
}

/// One sealed version of a secret.
pub(super) struct Envelope {
    generation: u32,
    data_key: Sealed,
    secret: Sealed,
}

impl Envelope {
    /// Seals `plain` under a new data key.
    pub(super) fn seal(
        branch: &BranchKey,
        binding: &Binding,
        plain: &SecretSlice<u8>,
    ) -> Result<Self> {
        let data_key = random_key()?;
        let context = wrap_context(&binding.place, branch.generation);
        Ok(Self {
            generation: branch.generation,
            secret: seal(expose(&data_key), &binding.whole, plain.expose_secret())?,
            data_key: seal(expose(&branch.key), &context, expose(&data_key))?,
        })
    }

    pub(super) fn open(&self, branch: &BranchKey, binding: &Binding) -> Result<SecretSlice<u8>> {
        let data_key = self.data_key(branch, &binding.place)?;
        let secret = &self.secret;
        cipher::open(
            data_key.expose_secret(),
            &binding.whole,
            &secret.nonce,
            &secret.bytes,
        )
    }

    /// The same secret, its data key wrapped by another branch key.
    pub(super) fn rewrap(
        self,
        old: &BranchKey,
        new: &BranchKey,
        organization: OrganizationId,
        id: SecretId,
        version: u32,
    ) -> Result<Self> {
        let place = place(organization, id, version);
        let data_key = self.data_key(old, &place)?;
        let context = wrap_context(&place, new.generation);
        let data_key = seal(expose(&new.key), &context, data_key.expose_secret())?;
        Ok(Self {
            generation: new.generation,
            data_key,
            secret: self.secret,
        })
    }

    fn data_key(&self, branch: &BranchKey, place: &[u8]) -> Result<SecretSlice<u8>> {
        if self.generation != branch.generation {
            return Err(corrupt());
        }
        let (key, context) = (expose(&branch.key), wrap_context(place, branch.generation));
        cipher::open(key, &context, &self.data_key.nonce, &self.data_key.bytes)
    }

    /// Whether its data key can be had.
    pub(super) fn unwraps(
        &self,
        branch: &BranchKey,
        organization: OrganizationId,
        id: SecretId,
        version: u32,
    ) -> bool {
        self.data_key(branch, &place(organization, id, version))
            .is_ok()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [
            &[FORMAT],
            self.generation.to_be_bytes().as_slice(),
            &self.data_key.nonce,
            &self.data_key.bytes,
            &self.secret.nonce,
            &self.secret.bytes,
        ]
        .concat()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let fields = || {
            let rest = bytes.strip_prefix(&[FORMAT])?;
            let (generation, rest) = rest.split_first_chunk::<4>()?;
            let (wrap_nonce, rest) = rest.split_first_chunk::<NONCE>()?;
            let (wrapped, rest) = rest.split_first_chunk::<WRAPPED>()?;
            let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
            Some(Self {
                generation: u32::from_be_bytes(*generation),
                data_key: Sealed {
                    nonce: *wrap_nonce,
                    bytes: wrapped.to_vec(),
                },
                secret: Sealed {
                    nonce: *nonce,
                    bytes: sealed.to_vec(),
                },
            })
        };
        fields().ok_or_else(corrupt)
    }
}
