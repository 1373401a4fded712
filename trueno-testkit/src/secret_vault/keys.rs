//! Versions and keys: rotate, rewrap, shred.

use std::sync::Arc;

use trueno_core::error::ErrorKind;
use trueno_core::model::{SecretPurpose, SecretRef};
use trueno_core::port::VaultPosture;

use super::World;
use super::bound::closed;
use super::world::secret;
use crate::harness::{Position, Tamper};
use crate::suite::refused;

/// A rotation seals the next version; older ones still open.
pub async fn a_rotation_makes_the_next_version(w: World) {
    let tenant = w.organization().await;
    let mut versions = vec![w.seal(&tenant.secrets, "version 1").await];
    for version in 2..=4_u32 {
        let newest = versions[versions.len() - 1];
        let plain = secret(&format!("version {version}"));
        let next = w
            .vault
            .rotate(&tenant.secrets, &newest, plain)
            .await
            .unwrap();
        assert_eq!(next, SecretRef { version, ..newest });
        versions.push(next);
    }
    for sealed in versions {
        let wanted = format!("version {}", sealed.version);
        assert_eq!(w.open(&tenant.secrets, &sealed).await, wanted);
    }
    assert_eq!(w.vault.posture(&tenant.secrets).await.unwrap().sealed, 4);
}

/// Only the newest version is rotated: any other one is a conflict, and nothing is sealed.
pub async fn only_the_newest_version_is_rotated(w: World) {
    let tenant = w.organization().await;
    let first = w.seal(&tenant.secrets, "version 1").await;
    let second = w
        .vault
        .rotate(&tenant.secrets, &first, secret("version 2"))
        .await
        .unwrap();
    let future = SecretRef {
        version: 3,
        ..first
    };
    for stale in [first, future] {
        let answer = w
            .vault
            .rotate(&tenant.secrets, &stale, secret("lost"))
            .await;
        refused(
            answer,
            ErrorKind::Conflict,
            "a version that is not the newest",
        );
    }
    assert_eq!(w.open(&tenant.secrets, &second).await, "version 2");
    refused(
        w.vault.open(&tenant.secrets, &future).await,
        ErrorKind::NotFound,
        "never sealed",
    );
}

/// Of rotations of the same version at the same time, one is applied.
pub async fn of_concurrent_rotations_one_is_applied(w: World) {
    let tenant = w.organization().await;
    let first = w.seal(&tenant.secrets, "version 1").await;
    let w = Arc::new(w);
    let rotations = (0..4).map(|nth| {
        let (w, scope) = (Arc::clone(&w), tenant.secrets);
        tokio::spawn(async move {
            let text = format!("version 2 of {nth}");
            w.vault
                .rotate(&scope, &first, secret(&text))
                .await
                .map(|next| (next, text))
        })
    });
    let mut applied = Vec::new();
    for answer in futures::future::join_all(rotations).await {
        match answer.unwrap() {
            Ok(next) => applied.push(next),
            lost => {
                refused(lost, ErrorKind::Conflict, "who came second");
            }
        }
    }
    assert_eq!(applied.len(), 1, "exactly one was applied");
    let (next, text) = &applied[0];
    assert_eq!(
        &w.open(&tenant.secrets, next).await,
        text,
        "what was answered is what was sealed"
    );
}

/// A rewrap changes keys and never secrets: what opened before opens after, under the newest key.
pub async fn a_rewrap_changes_keys_and_never_secrets(w: World) {
    let tenant = w.organization().await;
    assert_eq!(
        w.vault.rewrap(&tenant.secrets).await.unwrap(),
        0,
        "nothing to move"
    );
    let first = w.seal(&tenant.secrets, "version 1").await;
    let second = w
        .vault
        .rotate(&tenant.secrets, &first, secret("version 2"))
        .await
        .unwrap();
    let other = w.seal(&tenant.secrets, "another").await;
    for _ in 0..2 {
        assert_eq!(
            w.vault.rewrap(&tenant.secrets).await.unwrap(),
            3,
            "every version was moved"
        );
        assert_eq!(w.open(&tenant.secrets, &first).await, "version 1");
        assert_eq!(w.open(&tenant.secrets, &second).await, "version 2");
        assert_eq!(w.open(&tenant.secrets, &other).await, "another");
        let posture = w.vault.posture(&tenant.secrets).await.unwrap();
        assert_eq!(posture, VaultPosture::new(3, 0, false), "none is behind");
    }
}

/// P6: a rewrap does not launder a changed envelope.
pub async fn a_rewrap_mends_nothing(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, "hunter2").await;
    w.tamper(tenant.id, sealed, Tamper::FlipBit(Position::Last))
        .await;
    let answer = w.vault.rewrap(&tenant.secrets).await;
    if let Err(error) = answer {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "P6: {error:?}");
    }
    let answer = w.vault.open(&tenant.secrets, &sealed).await;
    refused(answer, ErrorKind::Corrupt, "P6: it stays what it was");
}

/// P6: shredding is final: afterwards nothing of the organization opens, and nothing is sealed.
pub async fn shredding_is_final(w: World) {
    let tenant = w.organization().await;
    let first = w.seal(&tenant.secrets, "version 1").await;
    let second = w
        .vault
        .rotate(&tenant.secrets, &first, secret("version 2"))
        .await
        .unwrap();
    for _ in 0..2 {
        w.vault.shred(&tenant.secrets).await.unwrap();
        for sealed in [&first, &second] {
            closed(
                w.vault.open(&tenant.secrets, sealed).await,
                "P6: after a shred",
            );
        }
        let (id, purpose) = (w.id(), SecretPurpose::Integration);
        let seal = w
            .vault
            .seal(&tenant.secrets, id, purpose, secret("x"))
            .await;
        let rotate = w.vault.rotate(&tenant.secrets, &second, secret("x")).await;
        for answer in [seal, rotate] {
            let Err(error) = answer else {
                panic!("P6: something was sealed after a shred")
            };
            assert!(error.certainly_not_applied(), "{error:?}");
        }
        assert!(
            w.vault.rewrap(&tenant.secrets).await.is_err(),
            "P6: there is no key to move"
        );
        let posture = w.vault.posture(&tenant.secrets).await.unwrap();
        assert_eq!(posture, VaultPosture::new(0, 0, true));
    }
}

/// An organization without a secret can be shredded too, and stays shredded.
pub async fn an_empty_organization_can_be_shredded(w: World) {
    let tenant = w.organization().await;
    let posture = w.vault.posture(&tenant.secrets).await.unwrap();
    assert_eq!(posture, VaultPosture::new(0, 0, false));
    w.vault.shred(&tenant.secrets).await.unwrap();
    let (id, purpose) = (w.id(), SecretPurpose::Integration);
    let answer = w
        .vault
        .seal(&tenant.secrets, id, purpose, secret("x"))
        .await;
    assert!(answer.is_err(), "P6: nothing can be sealed");
}
