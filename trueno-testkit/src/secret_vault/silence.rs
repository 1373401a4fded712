//! Secrets are in no error, no log line and no Debug output.

use std::error::Error as _;

use trueno_core::error::Error;

use super::World;
use super::bound::closed;
use super::world::secret;
use crate::harness::{Position, Tamper};

const PLAIN: &str = "correct horse battery staple";

#[track_caller]
fn silent(text: &str, what: &str) {
    let bytes = format!("{:?}", PLAIN.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(
        !text.contains(PLAIN) && !text.contains(bytes),
        "P6: {what} tells the secret: {text}"
    );
}

#[track_caller]
fn silent_error(error: &Error, what: &str) {
    silent(
        &format!("{error} {error:?} {:?} {:?}", error.detail(), error.code()),
        what,
    );
    let mut source = error.source();
    while let Some(cause) = source {
        silent(&format!("{cause} {cause:?}"), what);
        source = cause.source();
    }
}

/// P6: neither the vault's Debug output, nor an opened secret's, nor an error tells a secret.
pub async fn nothing_tells_a_secret(w: World) {
    let tenant = w.organization().await;
    let sealed = w.seal(&tenant.secrets, PLAIN).await;
    silent(
        &format!("{:?} {:#?}", w.vault, w.vault),
        "the vault's Debug output",
    );
    let opened = w.vault.open(&tenant.secrets, &sealed).await.unwrap();
    silent(
        &format!("{opened:?} {sealed:?}"),
        "an opened secret's Debug output",
    );

    let twice = w
        .vault
        .seal(&tenant.secrets, sealed.id, sealed.purpose, secret(PLAIN))
        .await;
    silent_error(&twice.unwrap_err(), "a refused seal");
    let newer = w
        .vault
        .rotate(&tenant.secrets, &sealed, secret("x"))
        .await
        .unwrap();
    let stale = w
        .vault
        .rotate(&tenant.secrets, &sealed, secret(PLAIN))
        .await;
    silent_error(&stale.unwrap_err(), "a refused rotation");
    w.tamper(tenant.id, sealed, Tamper::FlipBit(Position::Last))
        .await;
    let error = closed(
        w.vault.open(&tenant.secrets, &sealed).await,
        "P6: a changed envelope",
    );
    silent_error(&error, "a failed opening");
    w.vault.shred(&tenant.secrets).await.unwrap();
    let error = closed(
        w.vault.open(&tenant.secrets, &newer).await,
        "P6: after a shred",
    );
    silent_error(&error, "an opening after a shred");
}
