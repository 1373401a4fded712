//! Entering an organization: the only file that does.
//!
//! `functions/context.sql` has the other half, and says what the construction gives. The app
//! signs with a key derived from the installation's key file; a processor shows its lease.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use trueno_core::access::{Authority, OrgScope};
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::OrganizationId;
use trueno_core::port::LeaseRef;
use trueno_core::vault::{Key, KeyFile};
use zeroize::Zeroizing;

use crate::error::{self, sqlstate};
use crate::transaction::Tx;

const LABEL: &str = "trueno context key v1";
const BLOCK: usize = 64;

/// The key that this process signs contexts with.
pub(crate) struct ContextKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

/// The blocks that the database verifies with (RFC 2104).
pub(crate) struct Pads {
    pub(crate) key_id: String,
    pub(crate) inner: Zeroizing<Vec<u8>>,
    pub(crate) outer: Zeroizing<Vec<u8>>,
}

impl ContextKey {
    /// Derived from the newest key of the file, for one schema.
    pub(crate) fn newest(keys: &KeyFile, schema: &str) -> Self {
        Self::derived(keys.newest(), schema)
    }

    /// Derived from `key`, for one schema.
    pub(crate) fn derived(key: &Key, schema: &str) -> Self {
        Self {
            id: key.id().to_owned(),
            bytes: key.derive(LABEL, schema.as_bytes()),
        }
    }

    /// Its id: not secret.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What the database keeps of it.
    pub(crate) fn pads(&self) -> Pads {
        let pad = |with: u8| {
            let mut block = Zeroizing::new(vec![with; BLOCK]);
            for (byte, key) in block.iter_mut().zip(self.bytes.iter()) {
                *byte ^= key;
            }
            block
        };
        Pads {
            key_id: self.id.clone(),
            inner: pad(0x36),
            outer: pad(0x5c),
        }
    }

    fn sign(&self, tx: &Tx, organization: OrganizationId) -> Result<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the context key has a wrong length")
                .with_source(source)
        })?;
        for text in [&self.id, &tx.invoker] {
            let length = u32::try_from(text.len()).map_err(|source| {
                Error::new(ErrorKind::Config, "the database role's name is too long")
                    .with_source(source)
            })?;
            mac.update(&length.to_be_bytes());
            mac.update(text.as_bytes());
        }
        mac.update(organization.as_uuid().as_bytes());
        mac.update(&tx.stamp);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl std::fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Enters a member's organization, with a signature.
pub(crate) async fn enter(tx: &mut Tx, key: &ContextKey, scope: &OrgScope) -> Result<()> {
    match scope.authority() {
        Authority::Member { .. } => enter_organization(tx, key, scope.organization()).await,
        _ => Err(Error::new(
            ErrorKind::Denied,
            "a lease is no key to the app's role",
        )),
    }
}

/// Tries the key on an organization that nobody has.
pub(crate) async fn probe(tx: &mut Tx, key: &ContextKey) -> Result<()> {
    enter_organization(tx, key, OrganizationId::from_uuid(uuid::Uuid::nil())).await
}

async fn enter_organization(
    tx: &mut Tx,
    key: &ContextKey,
    organization: OrganizationId,
) -> Result<()> {
    let mac = key.sign(tx, organization)?;
    let query = tx.query("select enter($1, $2, $3)");
    query
        .bind(&key.id)
        .bind(organization.as_uuid())
        .bind(mac)
        .execute(tx.connection())
        .await
        .map_err(|source| unknown_key(key, error::statement(source)))?;
    Ok(())
}

/// What was signed just now, for this very transaction, is refused only where the database does not
/// know the key: it is the key file that is wrong, not the caller.
fn unknown_key(key: &ContextKey, error: Error) -> Error {
    if error.code() != Some(sqlstate::BAD_CONTEXT) {
        return error;
    }
    Error::new(
        ErrorKind::Config,
        format!(
            "key file: the database does not know the key {}: if it was retired, restart with the \
             present key file, otherwise run `trueno migrate` with this one",
            key.id()
        ),
    )
    .with_applied(Applied::No)
    .with_code(sqlstate::BAD_CONTEXT.to_owned())
    .with_source(error)
}

/// Enters the organization of a lease, and keeps the job from changing hands until the transaction
/// ends (P3). Done again before a commit, it says whether the lease still holds.
pub(crate) async fn enter_lease(tx: &mut Tx, lease: LeaseRef) -> Result<()> {
    let query = tx.query("select enter_lease($1, $2, $3, $4)");
    with_lease(query, lease)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Enters the organization of a lease for a view, without a lock.
pub(crate) async fn enter_lease_to_read(tx: &mut Tx, lease: LeaseRef) -> Result<()> {
    let query = tx.query("select enter_lease_to_read($1, $2, $3, $4)");
    with_lease(query, lease)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Whether a lease can still end its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It holds; the organization was entered and the job is locked.
    Held,
    /// It ended the job before; nothing was entered.
    Settled,
}

/// Enters the organization of a lease to end its job.
pub(crate) async fn enter_lease_to_finish(tx: &mut Tx, lease: LeaseRef) -> Result<Ending> {
    use sqlx::Row as _;
    let query = tx.query("select enter_lease_to_finish($1, $2, $3, $4) as settled");
    let row = with_lease(query, lease)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let settled: bool = row.try_get("settled").map_err(error::statement)?;
    Ok(if settled {
        Ending::Settled
    } else {
        Ending::Held
    })
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn with_lease(query: Query<'_>, lease: LeaseRef) -> Query<'_> {
    query
        .bind(lease.organization.as_uuid())
        .bind(lease.job.as_uuid())
        .bind(lease.token.as_uuid())
        .bind(lease.session.as_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn the_pads_give_the_same_mac_as_the_key() {
        let key = ContextKey::derived(&Key::new("k", [7; 32]).unwrap(), "trueno");
        let mut mac = Hmac::<Sha256>::new_from_slice(&*key.bytes).unwrap();
        mac.update(b"message");
        let pads = key.pads();
        let inner = Sha256::digest([&pads.inner[..], b"message"].concat());
        let outer = Sha256::digest([&pads.outer[..], &inner[..]].concat());
        assert_eq!(outer[..], mac.finalize().into_bytes()[..]);
    }

    #[test]
    fn schemas_have_keys_of_their_own_and_debug_shows_none() {
        let key = Key::new("k", [7; 32]).unwrap();
        let (one, two) = (
            ContextKey::derived(&key, "a"),
            ContextKey::derived(&key, "b"),
        );
        assert_ne!(*one.bytes, *two.bytes);
        assert_eq!(format!("{one:?}"), "ContextKey { id: \"k\", .. }");
    }
}
