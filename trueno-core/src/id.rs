//! Identifiers: one macro, one scheme (time-ordered UUIDs, RFC 9562 version 7).
//!
//! An id is only an id: it has no arithmetic, no `Deref` and no `Default`, and two kinds never mix.
//! [`IdSource`] makes them; a seeded source makes the same ids again, so a run can be replayed.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Error, Result};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident => $label:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes over an id that was made elsewhere (read back from a store, or derived).
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The id as a UUID, for adapters to store.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Uuid::try_parse(text).map(Self).map_err(|source| {
                    Error::invalid(concat!($label, " id"), "is not a UUID").with_source(source)
                })
            }
        }
    )*};
}

ids! {
    /// An organization: a customer's workspace, the tenant.
    OrganizationId => "organization";
    /// A user, who may be a member of several organizations.
    UserId => "user";
    /// A connected cloud account.
    CloudAccountId => "cloud account";
    /// A scan, the business record.
    ScanId => "scan";
    /// A job, the queue record that runs a scan. Ordered by time of creation.
    JobId => "job";
    /// One worker process's session with the queue; never used again after it expired.
    WorkerSessionId => "worker session";
    /// The fence token of a lease: every claim has a new one.
    LeaseToken => "lease token";
    /// An audit event. Doubles as its idempotency key on the way to an audit sink.
    AuditEventId => "audit event";
    /// A secret in the vault.
    SecretId => "secret";
    /// A finding: the same for the same account and key, see [`FindingId::of`].
    FindingId => "finding";
    /// A comment on a finding.
    CommentId => "comment";
    /// An exception from a finding.
    ExceptionId => "exception";
    /// A schedule of scans.
    ScheduleId => "schedule";
    /// What ties a request to its log lines, its jobs and theirs. Often made by somebody else: it is no
    /// proof of anything, and need not be unique.
    CorrelationId => "correlation";
}

impl FindingId {
    /// The id of the finding with this key in this account, in every adapter and at any time:
    /// [`derived`] from both, under the label `trueno finding v1`.
    #[must_use]
    pub fn of(account: CloudAccountId, key: &str) -> Self {
        derived(
            "trueno finding v1",
            &[account.as_uuid().as_bytes(), key.as_bytes()],
        )
    }
}

/// Makes time-ordered ids from a time and random bits. Cloning shares the source.
#[derive(Clone)]
pub struct IdSource {
    seeded: Option<Arc<Mutex<StdRng>>>,
}

impl IdSource {
    /// Ids from the operating system's random source.
    #[must_use]
    pub fn random() -> Self {
        Self { seeded: None }
    }

    /// The same ids for the same seed and times: for tests and simulations only, since anybody who
    /// knows the seed can guess them.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seeded: Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))),
        }
    }

    /// A new id whose time part is `now`.
    #[must_use]
    pub fn next<I: From<Uuid>>(&self, now: Timestamp) -> I {
        let mut bits = [0_u8; 10];
        self.fill(&mut bits);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        I::from(uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid())
    }

    /// A number in `0.0..1.0`, for jitter.
    #[must_use]
    pub fn unit(&self) -> f64 {
        let mut bits = [0_u8; 4];
        self.fill(&mut bits);
        f64::from(u32::from_le_bytes(bits)) / (f64::from(u32::MAX) + 1.0)
    }

    fn fill(&self, bits: &mut [u8]) {
        match &self.seeded {
            Some(rng) => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill_bytes(bits),
            // The thread's generator is reseeded from the operating system and cannot fail.
            None => rand::rng().fill_bytes(bits),
        }
    }
}

impl fmt::Debug for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.seeded.is_some() {
            "IdSource(seeded)"
        } else {
            "IdSource(random)"
        })
    }
}

/// An id that is the same for the same `parts`, whenever and wherever it is made: RFC 9562
/// version 8 over SHA-256 of `label` and the length-prefixed parts.
///
/// For the few things whose identity comes from what they are (a connection is its organization,
/// account and role); everything else takes [`IdSource::next`].
#[must_use]
pub fn derived<I: From<Uuid>>(label: &str, parts: &[&[u8]]) -> I {
    let mut hash = Sha256::new();
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    I::from(Uuid::new_v8(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_source_repeats_itself_and_orders_by_time() {
        let (a, b) = (IdSource::seeded(7), IdSource::seeded(7));
        let early = Timestamp::from_second(1_000).unwrap();
        let late = Timestamp::from_second(2_000).unwrap();
        let first: JobId = a.next(early);
        assert_eq!(first, b.next::<JobId>(early));
        assert!(first < a.next(late), "ids order by their time");
        assert_ne!(a.next::<JobId>(late), a.next::<JobId>(late));
    }

    #[test]
    fn derived_ids_depend_on_where_one_part_ends() {
        let one: CloudAccountId = derived("x", &[b"ab", b"c"]);
        let two: CloudAccountId = derived("x", &[b"a", b"bc"]);
        assert_ne!(one, two);
        assert_eq!(one, derived("x", &[b"ab", b"c"]));
        assert_eq!(one.as_uuid().get_version_num(), 8);
    }

    #[test]
    fn text_that_is_no_id_says_which_id_it_should_have_been() {
        let error = "nonsense".parse::<ScanId>().unwrap_err();
        assert_eq!(error.to_string(), "scan id: is not a UUID");
    }
}
