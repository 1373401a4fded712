//! Appending and reading back.

use std::sync::Arc;

use trueno_core::error::ErrorKind;
use trueno_core::id::AuditEventId;
use trueno_core::ledger::Tree;
use trueno_core::model::AuditEvent;
use trueno_core::port::LedgerEntry;

use super::World;
use crate::suite::refused;

/// Root of the empty tree: SHA-256 of nothing (RFC 6962, section 2.1).
const EMPTY_ROOT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[track_caller]
fn assert_entries(entries: &[LedgerEntry], first: u64, events: &[AuditEvent]) {
    assert_eq!(entries.len(), events.len(), "P7: every event is there once");
    for (index, (entry, event)) in (first..).zip(entries.iter().zip(events)) {
        assert_eq!(
            (entry.index, entry.event),
            (index, event.id),
            "P7: in order, without a gap"
        );
        assert_eq!(
            entry.leaf,
            event.canonical().unwrap(),
            "P7: leaf {index} is canonical JSON"
        );
    }
}

/// P7: a ledger's entries are its events, in order, as canonical JSON; its head is the RFC 6962
/// tree over them.
pub async fn entries_are_the_events_in_order(w: World) {
    let (organization, mut events) = w.ledger(3).await;
    for size in [1, 4, 9] {
        let more = w.events(organization, size);
        w.sink.append(&more).await.unwrap();
        events.extend(more);
        let entries = w.sink.entries(organization, 0, 100).await.unwrap();
        assert_entries(&entries, 0, &events);
        let mut tree = Tree::default();
        for entry in &entries {
            tree.append(&entry.leaf).unwrap();
        }
        let head = w.sink.head(organization).await.unwrap();
        assert_eq!(head.size, events.len() as u64);
        assert_eq!(
            head.root,
            tree.root(head.size).unwrap(),
            "P7: the root is over these leaves"
        );
    }
}

/// An empty ledger has size 0 and the empty tree's root, whether or not anybody knows of it.
pub async fn an_empty_ledger_has_the_empty_root(w: World) {
    let organization = w.organization().await;
    w.sink.append(&[]).await.unwrap();
    let head = w.sink.head(organization).await.unwrap();
    assert_eq!((head.size, head.root.to_string().as_str()), (0, EMPTY_ROOT));
    assert_eq!(w.sink.entries(organization, 0, 10).await.unwrap(), []);
}

/// Entries are read from any index on, no more than were asked for. The end is an empty answer, so
/// that a follower can ask for what comes next; beyond it there is nothing.
pub async fn entries_are_read_from_anywhere(w: World) {
    let (organization, events) = w.ledger(7).await;
    for (first, limit) in [(0, 3), (3, 3), (6, 3), (0, 7), (0, 1_000), (5, 1)] {
        let entries = w.sink.entries(organization, first, limit).await.unwrap();
        let from = usize::try_from(first).unwrap();
        assert_entries(
            &entries,
            first,
            &events[from..events.len().min(from + limit)],
        );
    }
    assert_eq!(w.sink.entries(organization, 7, 3).await.unwrap(), []);
    let answer = w.sink.entries(organization, 8, 3).await;
    refused(answer, ErrorKind::NotFound, "an index beyond the ledger");
}

/// An event that is there already is not appended again: delivery is at least once.
pub async fn appending_again_changes_nothing(w: World) {
    let (organization, mut events) = w.ledger(4).await;
    let head = w.sink.head(organization).await.unwrap();
    w.sink.append(&events).await.unwrap();
    w.sink.append(&events[1..3]).await.unwrap();
    assert_eq!(
        w.sink.head(organization).await.unwrap(),
        head,
        "P7: nothing changed"
    );

    let new = w.event(organization);
    let overlapping = [
        events[3].clone(),
        new.clone(),
        events[0].clone(),
        new.clone(),
    ];
    w.sink.append(&overlapping).await.unwrap();
    events.push(new);
    let entries = w.sink.entries(organization, 0, 100).await.unwrap();
    assert_entries(&entries, 0, &events);
}

/// A batch may have events of several organizations: each ledger has its own, in their order (P1).
pub async fn a_batch_is_spread_over_its_ledgers(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let (ones, twos) = (w.events(one, 4), w.events(two, 4));
    let mixed: Vec<AuditEvent> = ones
        .iter()
        .zip(&twos)
        .flat_map(|(a, b)| [a.clone(), b.clone()])
        .collect();
    w.sink.append(&mixed).await.unwrap();
    for (organization, events) in [(one, ones), (two, twos)] {
        let entries = w.sink.entries(organization, 0, 100).await.unwrap();
        assert_entries(&entries, 0, &events);
    }
}

/// P7: with many writers at once every event is there once, and each batch keeps its order.
pub async fn concurrent_batches_keep_their_order(w: World) {
    const BATCH: usize = 5;
    let organization = w.organization().await;
    let batches: Vec<_> = (0..6).map(|_| w.events(organization, BATCH)).collect();
    let w = Arc::new(w);
    // Each batch is delivered twice, as after a lost answer.
    let writers = batches.iter().chain(&batches).map(|batch| {
        let (w, batch) = (Arc::clone(&w), batch.clone());
        tokio::spawn(async move { w.sink.append(&batch).await })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap().unwrap();
    }
    let entries = w.sink.entries(organization, 0, 1_000).await.unwrap();
    let order: Vec<AuditEventId> = entries.iter().map(|entry| entry.event).collect();
    assert_eq!(order.len(), batches.len() * BATCH, "P7: every event once");
    for batch in &batches {
        let places = batch
            .iter()
            .map(|event| order.iter().position(|id| *id == event.id));
        let places: Vec<usize> = places.map(|place| place.expect("it is there")).collect();
        assert!(
            places.is_sorted(),
            "P7: a batch keeps its order: {places:?}"
        );
    }
}

/// P2: of a batch, an organization's events are there as a whole or not at all, to every reader.
pub async fn a_batch_is_appended_as_a_whole(w: World) {
    const BATCH: u64 = 8;
    let organization = w.organization().await;
    let batches: Vec<_> = (0..10).map(|_| w.events(organization, 8)).collect();
    let w = Arc::new(w);
    let writer = tokio::spawn({
        let w = Arc::clone(&w);
        async move {
            for batch in batches {
                w.sink.append(&batch).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    loop {
        let finished = writer.is_finished();
        let size = w.sink.head(organization).await.unwrap().size;
        assert_eq!(size % BATCH, 0, "P2: a reader saw part of a batch");
        if finished {
            assert_eq!(
                size,
                10 * BATCH,
                "what was answered for is in every later head"
            );
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

/// An append that was given up was applied or not; delivering it again makes it whole.
pub async fn a_dropped_append_is_delivered_again(w: World) {
    let (organization, mut events) = w.ledger(2).await;
    for polls in 0..8 {
        let batch = w.events(organization, 3);
        drop(crate::suite::dropped_after(polls, w.sink.append(&batch)).await);
        w.sink.append(&batch).await.unwrap();
        events.extend(batch);
    }
    let entries = w.sink.entries(organization, 0, 1_000).await.unwrap();
    assert_entries(&entries, 0, &events);
}
