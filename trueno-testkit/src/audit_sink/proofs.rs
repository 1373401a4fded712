//! P7: proofs verify offline, with core's verifier alone.

use trueno_core::error::ErrorKind;
use trueno_core::ledger::{verify_consistency, verify_inclusion};

use super::World;
use crate::suite::refused;

/// P7: every entry of every size of the ledger has an inclusion proof that verifies.
pub async fn every_entry_is_proved_in_every_tree(w: World) {
    let organization = w.organization().await;
    let mut heads = Vec::new();
    for _ in 0..9 {
        w.sink.append(&w.events(organization, 1)).await.unwrap();
        heads.push(w.sink.head(organization).await.unwrap());
    }
    let entries = w.sink.entries(organization, 0, 100).await.unwrap();
    for head in &heads {
        for index in 0..head.size {
            let leaf = &entries[usize::try_from(index).unwrap()].leaf;
            let proof = w
                .sink
                .inclusion_proof(organization, index, head.size)
                .await
                .unwrap();
            verify_inclusion(&head.root, head.size, index, leaf, &proof)
                .unwrap_or_else(|error| panic!("P7: {index} of {}: {error:?}", head.size));
            let mut forged = leaf.clone();
            forged.push(b' ');
            let wrong = verify_inclusion(&head.root, head.size, index, &forged, &proof);
            assert!(wrong.is_err(), "P7: a proof fits its own leaf only");
        }
    }
}

/// P7: every earlier head is proved to be a beginning of every later one: nothing was changed,
/// dropped or reordered.
pub async fn every_head_is_a_beginning_of_every_later_one(w: World) {
    let organization = w.organization().await;
    let mut heads = Vec::new();
    for size in [1, 2, 1, 3, 1] {
        w.sink.append(&w.events(organization, size)).await.unwrap();
        heads.push(w.sink.head(organization).await.unwrap());
    }
    for (nth, new) in heads.iter().enumerate() {
        for old in &heads[..=nth] {
            let proof = w
                .sink
                .consistency_proof(organization, old.size, new.size)
                .await
                .unwrap();
            verify_consistency(&old.root, old.size, &new.root, new.size, &proof)
                .unwrap_or_else(|error| panic!("P7: {} in {}: {error:?}", old.size, new.size));
        }
    }
}

/// What lies beyond the ledger is not found.
pub async fn beyond_the_ledger_is_not_found(w: World) {
    let (organization, _) = w.ledger(5).await;
    let beyond = "beyond the ledger";
    for (index, size) in [(0, 6), (5, 5), (4, 4), (9, 9)] {
        let answer = w.sink.inclusion_proof(organization, index, size).await;
        refused(answer, ErrorKind::NotFound, beyond);
    }
    for (old, new) in [(1, 6), (6, 6)] {
        let answer = w.sink.consistency_proof(organization, old, new).await;
        refused(answer, ErrorKind::NotFound, beyond);
    }
    assert!(
        w.sink.consistency_proof(organization, 4, 3).await.is_err(),
        "the wrong way round"
    );
}

/// P7: an entry that was changed behind the sink's back is not shown as if nothing were.
pub async fn a_changed_entry_is_corrupt(w: World) {
    let (organization, events) = w.ledger(6).await;
    let (other, theirs) = w.ledger(2).await;
    let head = w.sink.head(organization).await.unwrap();
    w.tamper(organization, 3).await;
    for (first, limit) in [(0, 100), (3, 1), (2, 3)] {
        let answer = w.sink.entries(organization, first, limit).await;
        refused(answer, ErrorKind::Corrupt, "P7: entry 3 was changed");
    }
    // Delivering the events again mends nothing, whether it is refused or passed over.
    let _ = w.sink.append(&events).await;
    if let Ok(later) = w.sink.head(organization).await {
        assert_eq!(later, head, "P7: the head does not follow the change");
    }
    let answer = w.sink.entries(organization, 3, 1).await;
    refused(answer, ErrorKind::Corrupt, "P7: it stays changed");
    let entries = w.sink.entries(other, 0, 10).await.unwrap();
    assert_eq!(
        entries.len(),
        theirs.len(),
        "P1: another organization's ledger is not touched"
    );
}
