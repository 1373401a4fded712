//! P1 over the ledger: one case per method that names an organization.

use trueno_core::error::ErrorKind;

use super::World;
use crate::suite::refused;

/// P1: appending to one ledger leaves the others as they were.
pub async fn isolation_append(w: World) {
    let (one, _) = w.ledger(3).await;
    let before = w.sink.head(one).await.unwrap();
    w.ledger(5).await;
    assert_eq!(w.sink.head(one).await.unwrap(), before);
}

/// P1: a head is over its own organization's events alone.
pub async fn isolation_head(w: World) {
    let empty = w.organization().await;
    let before = w.sink.head(empty).await.unwrap();
    w.ledger(3).await;
    assert_eq!(w.sink.head(empty).await.unwrap(), before);
    assert_eq!(before.size, 0);
}

/// P1: entries are its own organization's alone.
pub async fn isolation_entries(w: World) {
    let (one, ones) = w.ledger(3).await;
    let (two, twos) = w.ledger(3).await;
    for (organization, events) in [(one, ones), (two, twos)] {
        let entries = w.sink.entries(organization, 0, 100).await.unwrap();
        let found: Vec<_> = entries.iter().map(|entry| entry.event).collect();
        let wanted: Vec<_> = events.iter().map(|event| event.id).collect();
        assert_eq!(found, wanted);
    }
}

/// P1: what another organization's ledger has is beyond this one's.
pub async fn isolation_inclusion_proof(w: World) {
    w.ledger(5).await;
    let (small, _) = w.ledger(2).await;
    let answer = w.sink.inclusion_proof(small, 3, 5).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "P1: an entry of another's ledger",
    );
}

/// P1: nor are its sizes this one's.
pub async fn isolation_consistency_proof(w: World) {
    w.ledger(5).await;
    let (small, _) = w.ledger(2).await;
    let answer = w.sink.consistency_proof(small, 2, 5).await;
    refused(
        answer,
        ErrorKind::NotFound,
        "P1: a size of another's ledger",
    );
}
