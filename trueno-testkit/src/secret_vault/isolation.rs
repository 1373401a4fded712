//! P1 over the vault: one case per method.

use trueno_core::error::ErrorKind;
use trueno_core::port::VaultPosture;

use super::World;
use super::world::secret;
use crate::suite::refused;

/// P1: ids of another organization's secrets are free, and both stay apart.
pub async fn isolation_seal(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.seal(&one.secrets, "theirs").await;
    let plain = secret("mine");
    let mine = w
        .vault
        .seal(&two.secrets, theirs.id, theirs.purpose, plain)
        .await
        .unwrap();
    assert_eq!(mine, theirs, "P1: the same name, another secret");
    assert_eq!(w.open(&one.secrets, &theirs).await, "theirs");
    assert_eq!(w.open(&two.secrets, &mine).await, "mine");
}

/// P1: another organization's secret is not there to be opened.
pub async fn isolation_open(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.seal(&one.secrets, "theirs").await;
    let missing = trueno_core::model::SecretRef {
        id: w.id(),
        ..theirs
    };
    let foreign = w.vault.open(&two.secrets, &theirs).await;
    let foreign = refused(
        foreign,
        ErrorKind::NotFound,
        "P1: another organization's secret",
    );
    let missing = w.vault.open(&two.secrets, &missing).await;
    let missing = refused(missing, ErrorKind::NotFound, "no secret");
    assert_eq!(
        foreign.to_string(),
        missing.to_string(),
        "P1: existence is not told"
    );
}

/// P1: nor to be rotated.
pub async fn isolation_rotate(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.seal(&one.secrets, "theirs").await;
    let answer = w.vault.rotate(&two.secrets, &theirs, secret("x")).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "P1: another organization's secret",
    );
    assert_eq!(w.vault.posture(&one.secrets).await.unwrap().sealed, 1);
}

/// P1: a rewrap moves its own organization's versions alone.
pub async fn isolation_rewrap(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.seal(&one.secrets, "theirs").await;
    assert_eq!(w.vault.rewrap(&two.secrets).await.unwrap(), 0);
    assert_eq!(w.open(&one.secrets, &theirs).await, "theirs");
}

/// P1: a shred destroys its own organization's keys alone.
pub async fn isolation_shred(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.seal(&one.secrets, "theirs").await;
    w.seal(&two.secrets, "mine").await;
    w.vault.shred(&two.secrets).await.unwrap();
    assert_eq!(w.open(&one.secrets, &theirs).await, "theirs");
    let posture = w.vault.posture(&one.secrets).await.unwrap();
    assert_eq!(
        posture,
        VaultPosture::new(1, 0, false),
        "P1: theirs stand as they stood"
    );
}

/// P1: a posture counts its own organization's secrets alone.
pub async fn isolation_posture(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    w.seal(&one.secrets, "theirs").await;
    let posture = w.vault.posture(&two.secrets).await.unwrap();
    assert_eq!(posture, VaultPosture::new(0, 0, false));
}
