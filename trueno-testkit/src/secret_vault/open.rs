//! Sealing and opening.

use secrecy::{ExposeSecret as _, SecretSlice};
use trueno_core::error::ErrorKind;
use trueno_core::model::{SecretPurpose, SecretRef};

use super::World;
use super::world::secret;
use crate::suite::refused;

/// What was sealed opens, byte by byte, as version 1 and under its purpose.
pub async fn what_was_sealed_opens(w: World) {
    let tenant = w.organization().await;
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
    for bytes in [b"hunter2".to_vec(), Vec::new(), vec![0], every_byte] {
        for purpose in SecretPurpose::ALL {
            let id = w.id();
            let plain = SecretSlice::from(bytes.clone());
            let sealed = w
                .vault
                .seal(&tenant.secrets, id, *purpose, plain)
                .await
                .unwrap();
            assert_eq!(
                sealed,
                SecretRef {
                    id,
                    version: 1,
                    purpose: *purpose
                }
            );
            let opened = w.vault.open(&tenant.secrets, &sealed).await.unwrap();
            assert!(
                opened.expose_secret() == bytes,
                "{} bytes came back",
                bytes.len()
            );
        }
    }
}

/// A secret's id in use is refused, and what it named stays.
pub async fn a_secret_id_in_use_is_refused(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, "the first").await;
    for purpose in SecretPurpose::ALL {
        let plain = secret("the second");
        let answer = w
            .vault
            .seal(&tenant.secrets, sealed.id, *purpose, plain)
            .await;
        refused(answer, ErrorKind::AlreadyExists, "a secret's id in use");
    }
    assert_eq!(w.open(&tenant.secrets, &sealed).await, "the first");
}

/// What was never sealed is not found: neither the secret nor the version.
pub async fn what_was_never_sealed_is_not_found(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, "hunter2").await;
    let unknown = SecretRef {
        id: w.id(),
        ..sealed
    };
    for missing in [
        unknown,
        SecretRef {
            version: 2,
            ..sealed
        },
        SecretRef {
            version: 0,
            ..sealed
        },
    ] {
        let answer = w.vault.open(&tenant.secrets, &missing).await;
        refused(answer, ErrorKind::NotFound, "what was never sealed");
    }
    let answer = w.vault.rotate(&tenant.secrets, &unknown, secret("x")).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "a secret that was never sealed",
    );
}

/// A member who may not manage secrets neither opens nor changes any.
pub async fn secrets_need_a_scope_to_manage_them(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, "hunter2").await;
    for scope in [&tenant.read, &tenant.scan, &tenant.accounts] {
        let what = "a scope for something else";
        let (id, purpose) = (w.id(), SecretPurpose::Integration);
        let answer = w.vault.seal(scope, id, purpose, secret("x")).await;
        refused(answer, ErrorKind::Denied, what);
        refused(w.vault.open(scope, &sealed).await, ErrorKind::Denied, what);
        let answer = w.vault.rotate(scope, &sealed, secret("x")).await;
        refused(answer, ErrorKind::Denied, what);
        refused(w.vault.rewrap(scope).await, ErrorKind::Denied, what);
        refused(w.vault.shred(scope).await, ErrorKind::Denied, what);
    }
    assert_eq!(
        w.open(&tenant.secrets, &sealed).await,
        "hunter2",
        "nothing changed"
    );
    assert_eq!(w.vault.posture(&tenant.secrets).await.unwrap().sealed, 1);
}
