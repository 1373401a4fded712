use std::sync::Arc;

use secrecy::ExposeSecret;
use trueno_core::clock::Clock;
use trueno_core::id::{IdSource, JobId, WorkerSessionId};
use trueno_core::model::{JobPayload, NewJob};
use trueno_core::port::{ClaimRequest, JobQueue, claim_leases};
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fixtures::{self, Tenant};
use trueno_testkit::suite::refused;

use super::*;
use crate::MemoryStore;

const PURPOSE: SecretPurpose = SecretPurpose::Integration;
const TEXT: &str = "correct horse battery staple";

struct Fixture {
    ids: IdSource,
    store: MemoryStore,
    vault: MemoryVault,
}

impl Fixture {
    fn new() -> Self {
        let ids = IdSource::seeded(5);
        let store = MemoryStore::new(ManualClock::default().shared(), ids.clone());
        Self {
            ids,
            store,
            vault: MemoryVault::new(),
        }
    }

    fn id<I: From<uuid::Uuid>>(&self) -> I {
        self.ids.next(ManualClock::default().now())
    }

    async fn organization(&self) -> Tenant {
        fixtures::organization(&self.store, self.id(), self.id())
            .await
            .unwrap()
    }

    async fn seal(&self, tenant: &Tenant) -> SecretRef {
        self.vault
            .seal(&tenant.secrets, self.id(), PURPOSE, secret(TEXT))
            .await
            .unwrap()
    }

    fn bytes(&self, tenant: &Tenant, secret: &SecretRef) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.vault.tamper(tenant.id, |envelopes| {
            bytes.clone_from(&envelopes[&(secret.id, secret.version)]);
        });
        bytes
    }

    fn put(&self, tenant: &Tenant, at: (SecretId, u32), bytes: &[u8]) {
        self.vault.tamper(tenant.id, |envelopes| {
            envelopes.insert(at, bytes.to_vec());
        });
    }
}

fn secret(text: &str) -> SecretSlice<u8> {
    SecretSlice::from(text.as_bytes().to_vec())
}

/// P6: whichever bit of a stored envelope is changed, and wherever it is cut, it does not open,
/// and neither does a rotation build on it nor a rewrap carry it along.
#[tokio::test]
async fn an_envelope_with_any_bit_changed_or_byte_missing_fails_closed() {
    let f = Fixture::new();
    let tenant = f.organization().await;
    let sealed = f.seal(&tenant).await;
    let (good, at) = (f.bytes(&tenant, &sealed), (sealed.id, sealed.version));
    assert!(
        !good.windows(TEXT.len()).any(|part| part == TEXT.as_bytes()),
        "it is sealed"
    );
    let flipped = (0..good.len() * 8).map(|bit| {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        bad
    });
    let cut = (0..good.len()).map(|length| good[..length].to_vec());
    let longer = std::iter::once([good.as_slice(), &[0]].concat());
    for bad in flipped.chain(cut).chain(longer) {
        f.put(&tenant, at, &bad);
        let opened = f.vault.open(&tenant.secrets, &sealed).await.map(drop);
        refused(opened, ErrorKind::Corrupt, "P6: a changed envelope");
        let rotated = f
            .vault
            .rotate(&tenant.secrets, &sealed, secret("new"))
            .await;
        refused(rotated, ErrorKind::Corrupt, "P6: a changed envelope");
    }
    f.put(&tenant, at, &good);
    let opened = f.vault.open(&tenant.secrets, &sealed).await.unwrap();
    assert_eq!(opened.expose_secret(), TEXT.as_bytes());
}

/// P6: an envelope opens at its own place alone: organization, secret, version and purpose.
#[tokio::test]
async fn a_moved_envelope_does_not_open() {
    let f = Fixture::new();
    let (tenant, other) = (f.organization().await, f.organization().await);
    let first = f.seal(&tenant).await;
    let second = f
        .vault
        .rotate(&tenant.secrets, &first, secret("newer"))
        .await
        .unwrap();
    assert_eq!(
        second,
        SecretRef {
            version: 2,
            ..first
        }
    );
    let neighbour = f.seal(&tenant).await;
    let theirs = f
        .vault
        .seal(&other.secrets, first.id, PURPOSE, secret("theirs"))
        .await
        .unwrap();
    assert_eq!(
        theirs, first,
        "an id tells nothing of other organizations (P1)"
    );
    let moved = f.bytes(&tenant, &first);
    for (owner, to, what) in [
        (&tenant, second, "version"),
        (&tenant, neighbour, "secret"),
        (&other, theirs, "organization"),
    ] {
        let before = f.bytes(owner, &to);
        f.put(owner, (to.id, to.version), &moved);
        let opened = f.vault.open(&owner.secrets, &to).await.map(drop);
        refused(
            opened,
            ErrorKind::Corrupt,
            &format!("P6: moved to another {what}"),
        );
        let rewrapped = f.vault.rewrap(&owner.secrets).await;
        refused(
            rewrapped,
            ErrorKind::Corrupt,
            &format!("P6: moved to another {what}"),
        );
        f.put(owner, (to.id, to.version), &before);
    }
    for purpose in SecretPurpose::ALL
        .iter()
        .filter(|purpose| **purpose != PURPOSE)
    {
        let claimed = SecretRef {
            purpose: *purpose,
            ..second
        };
        let opened = f.vault.open(&tenant.secrets, &claimed).await.map(drop);
        refused(opened, ErrorKind::Corrupt, "P6: another purpose");
        let rotated = f.vault.rotate(&tenant.secrets, &claimed, secret("x")).await;
        refused(rotated, ErrorKind::Corrupt, "P6: another purpose");
    }
    assert!(f.vault.open(&tenant.secrets, &second).await.is_ok());
}

/// A rewrap leaves every version as it was under a new key, and the old key opens nothing: the
/// envelopes of before are worthless.
#[tokio::test]
async fn a_rewrap_changes_keys_and_never_secrets() {
    let f = Fixture::new();
    let tenant = f.organization().await;
    assert_eq!(
        f.vault.rewrap(&tenant.secrets).await.unwrap(),
        0,
        "nothing to move"
    );
    let first = f.seal(&tenant).await;
    let second = f
        .vault
        .rotate(&tenant.secrets, &first, secret("newer"))
        .await
        .unwrap();
    let old = f.bytes(&tenant, &first);
    assert_eq!(f.vault.rewrap(&tenant.secrets).await.unwrap(), 2);
    let posture = f.vault.posture(&tenant.read).await.unwrap();
    assert_eq!(posture, VaultPosture::new(2, 0, false));
    for (version, text) in [(&first, TEXT), (&second, "newer")] {
        let opened = f.vault.open(&tenant.secrets, version).await.unwrap();
        assert_eq!(opened.expose_secret(), text.as_bytes());
    }
    let new = f.bytes(&tenant, &first);
    assert_ne!(old[..65], new[..65], "another wrapped key");
    assert_eq!(old[65..], new[65..], "the same sealed secret");
    f.put(&tenant, (first.id, 1), &old);
    let opened = f.vault.open(&tenant.secrets, &first).await.map(drop);
    refused(opened, ErrorKind::Corrupt, "P6: its branch key is gone");
    let posture = f.vault.posture(&tenant.read).await.unwrap();
    assert_eq!(
        posture,
        VaultPosture::new(1, 0, false),
        "and posture counts it no more"
    );
}

/// A version that is not the newest is not rotated, and a shredded organization seals nothing.
#[tokio::test]
async fn shredding_is_final() {
    let f = Fixture::new();
    let (tenant, other) = (f.organization().await, f.organization().await);
    let (first, theirs) = (f.seal(&tenant).await, f.seal(&other).await);
    f.vault
        .rotate(&tenant.secrets, &first, secret("newer"))
        .await
        .unwrap();
    let stale = f.vault.rotate(&tenant.secrets, &first, secret("x")).await;
    refused(stale, ErrorKind::Conflict, "not the newest");
    for _ in 0..2 {
        f.vault.shred(&tenant.secrets).await.unwrap();
    }
    let posture = f.vault.posture(&tenant.read).await.unwrap();
    assert_eq!(posture, VaultPosture::new(0, 0, true));
    let opened = f.vault.open(&tenant.secrets, &first).await.map(drop);
    refused(opened, ErrorKind::Corrupt, "P6: its keys are destroyed");
    let kind = ErrorKind::InvalidTransition;
    let sealed = f
        .vault
        .seal(&tenant.secrets, f.id(), PURPOSE, secret("x"))
        .await;
    refused(sealed, kind, "P6: nothing is sealed again");
    let newest = SecretRef {
        version: 2,
        ..first
    };
    let rotated = f.vault.rotate(&tenant.secrets, &newest, secret("x")).await;
    refused(rotated, kind, "P6: nor rotated");
    refused(
        f.vault.rewrap(&tenant.secrets).await,
        kind,
        "P6: nor rewrapped",
    );
    assert!(
        f.vault.open(&other.secrets, &theirs).await.is_ok(),
        "P1: others are not touched"
    );
}

/// Secrets are for scopes that manage them, and opened for a processor too.
#[tokio::test]
async fn a_scope_for_something_else_opens_nothing() {
    let f = Fixture::new();
    let tenant = f.organization().await;
    let sealed = f.seal(&tenant).await;
    for scope in [&tenant.read, &tenant.scan, &tenant.accounts] {
        let kind = ErrorKind::Denied;
        refused(f.vault.open(scope, &sealed).await.map(drop), kind, "open");
        refused(
            f.vault.seal(scope, f.id(), PURPOSE, secret("x")).await,
            kind,
            "seal",
        );
        refused(
            f.vault.rotate(scope, &sealed, secret("x")).await,
            kind,
            "rotate",
        );
        refused(f.vault.rewrap(scope).await, kind, "rewrap");
        refused(f.vault.shred(scope).await, kind, "shred");
    }
    let job: JobId = f.id();
    let payload = JobPayload {
        version: 1,
        body: serde_json::Value::Null,
    };
    let new = NewJob::new(job, "test".parse().unwrap(), payload).unwrap();
    f.store.enqueue(&tenant.scan, vec![new]).await.unwrap();
    let session: WorkerSessionId = f.id();
    let request = ClaimRequest::new(session, "worker", vec!["test".parse().unwrap()], 1);
    let lease = claim_leases(&f.store, &request).await.unwrap().remove(0);
    let opened = f.vault.open(lease.scope(), &sealed).await.unwrap();
    assert_eq!(opened.expose_secret(), TEXT.as_bytes());
    refused(
        f.vault.shred(lease.scope()).await,
        ErrorKind::Denied,
        "a lease writes no secrets",
    );
}

/// P6: neither Debug nor an error shows anything of a secret.
#[tokio::test]
async fn nothing_shows_a_secret() {
    let f = Fixture::new();
    let tenant = f.organization().await;
    let sealed = f.seal(&tenant).await;
    f.put(&tenant, (sealed.id, 1), TEXT.as_bytes());
    let error = f
        .vault
        .open(&tenant.secrets, &sealed)
        .await
        .map(drop)
        .unwrap_err();
    let shared: Arc<dyn SecretVault> = Arc::new(f.vault.clone());
    for shown in [
        format!("{error:?}"),
        format!("{error}"),
        format!("{:?} {shared:?}", f.vault),
    ] {
        assert!(!shown.contains(TEXT) && !shown.contains("horse"), "{shown}");
    }
    assert_eq!(format!("{:?}", f.vault), "MemoryVault { .. }");
}
