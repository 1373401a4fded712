//! P6: an envelope opens where it was sealed, as it was sealed, and nowhere else.

use secrecy::SecretSlice;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{SecretPurpose, SecretRef};

use super::World;
use super::world::secret;
use crate::harness::{EnvelopeAt, Position, Tamper};
use crate::suite::refused;

/// P6: an envelope with one bit changed, wherever it is, does not open; its neighbours do.
pub async fn a_changed_bit_does_not_open(w: World) {
    let tenant = w.organization().await;
    let neighbour = w.seal(&tenant.secrets, "neighbour").await;
    for position in [Position::First, Position::Middle, Position::Last] {
        let sealed = w.seal(&tenant.secrets, "hunter2").await;
        w.tamper(tenant.id, sealed, Tamper::FlipBit(position)).await;
        let answer = w.vault.open(&tenant.secrets, &sealed).await;
        refused(answer, ErrorKind::Corrupt, "P6: one bit changed");
        assert_eq!(w.open(&tenant.secrets, &neighbour).await, "neighbour");
    }
}

/// P6: an envelope that was moved to another secret, version or purpose does not open there.
pub async fn a_moved_envelope_does_not_open(w: World) {
    let tenant = w.organization().await;
    let source = w.seal(&tenant.secrets, "the secret").await;
    let from = Tamper::ReplaceWith(EnvelopeAt {
        organization: tenant.id,
        secret: source,
    });

    let other = w.seal(&tenant.secrets, "another").await;
    w.tamper(tenant.id, other, from).await;
    let answer = w.vault.open(&tenant.secrets, &other).await;
    refused(answer, ErrorKind::Corrupt, "P6: moved to another secret");

    let next = w
        .vault
        .rotate(&tenant.secrets, &source, secret("the next"))
        .await
        .unwrap();
    w.tamper(tenant.id, next, from).await;
    let answer = w.vault.open(&tenant.secrets, &next).await;
    refused(answer, ErrorKind::Corrupt, "P6: moved to another version");

    let (id, purpose) = (w.id(), SecretPurpose::Provider);
    let elsewhere = w
        .vault
        .seal(&tenant.secrets, id, purpose, secret("x"))
        .await
        .unwrap();
    w.tamper(tenant.id, elsewhere, from).await;
    let answer = w.vault.open(&tenant.secrets, &elsewhere).await;
    refused(answer, ErrorKind::Corrupt, "P6: moved to another purpose");
    assert_eq!(
        w.open(&tenant.secrets, &source).await,
        "the secret",
        "it opens at its own place"
    );
}

/// P1, P6: an envelope that was moved to another organization does not open there, not even in the
/// place of the same secret.
pub async fn an_envelope_moved_to_another_organization_does_not_open(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let source = w.seal(&one.secrets, "the secret").await;
    let mine = secret("my own");
    let place = w
        .vault
        .seal(&two.secrets, source.id, source.purpose, mine)
        .await
        .unwrap();
    assert_eq!(
        place, source,
        "P1: the id is free, so the names are the same"
    );
    let from = EnvelopeAt {
        organization: one.id,
        secret: source,
    };
    w.tamper(two.id, place, Tamper::ReplaceWith(from)).await;
    let answer = w.vault.open(&two.secrets, &place).await;
    refused(
        answer,
        ErrorKind::Corrupt,
        "P1, P6: another organization's envelope",
    );
    assert_eq!(w.open(&one.secrets, &source).await, "the secret");
}

/// P6: a reference with another purpose than the envelope's opens nothing.
pub async fn another_purpose_opens_nothing(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, "hunter2").await;
    for purpose in SecretPurpose::ALL
        .iter()
        .filter(|purpose| **purpose != sealed.purpose)
    {
        let misnamed = SecretRef {
            purpose: *purpose,
            ..sealed
        };
        closed(
            w.vault.open(&tenant.secrets, &misnamed).await,
            "P6: another purpose",
        );
        let answer = w
            .vault
            .rotate(&tenant.secrets, &misnamed, secret("x"))
            .await;
        assert!(
            answer.is_err(),
            "P6: nor is it rotated under another purpose"
        );
    }
    assert_eq!(w.open(&tenant.secrets, &sealed).await, "hunter2");
    assert_eq!(
        w.vault.posture(&tenant.secrets).await.unwrap().sealed,
        1,
        "nothing was sealed"
    );
}

/// Fails closed: as corrupt where the envelope is there and does not open, or as not there.
#[track_caller]
pub(super) fn closed(answer: Result<SecretSlice<u8>>, what: &str) -> Error {
    let Err(error) = answer else {
        panic!("{what}: it opened")
    };
    let kind = error.kind();
    assert!(
        matches!(kind, ErrorKind::Corrupt | ErrorKind::NotFound),
        "{what}: {error:?}"
    );
    error
}
