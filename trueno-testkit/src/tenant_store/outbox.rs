//! The outbox: every event on its way to the ledger, in order, until it is forgotten.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trueno_core::model::{AuditEvent, EventDraft};

use super::World;
use crate::fixtures::Tenant;

/// Events that tell their order by a detail.
fn numbered(writer: u64, nth: u64) -> EventDraft {
    EventDraft::new("test.numbered", "writer", writer)
        .with_detail("writer", writer)
        .with_detail("nth", nth)
}

async fn commit(w: &World, tenant: &Tenant, event: EventDraft) {
    let mut unit = w.begin_accounts(tenant).await;
    unit.insert_account(w.new_account()).await.unwrap();
    unit.commit(event).await.unwrap();
}

fn numbers(events: &[AuditEvent], writer: u64) -> Vec<u64> {
    let number = |event: &AuditEvent, key: &str| event.details.get(key).and_then(Value::as_u64);
    events
        .iter()
        .filter(|event| number(event, "writer") == Some(writer))
        .filter_map(|event| number(event, "nth"))
        .collect()
}

/// P7: events come in the order of their commits, oldest first, no more than were asked for, again
/// and again until they are forgotten.
pub async fn events_come_in_order_until_forgotten(w: World) {
    let tenant = w.organization().await;
    w.forget_staged().await;
    for nth in 1..=5 {
        commit(&w, &tenant, numbered(1, nth)).await;
    }
    let first = w.store.staged(3).await.unwrap();
    assert_eq!(numbers(&first, 1), [1, 2, 3]);
    assert_eq!(
        w.store.staged(3).await.unwrap(),
        first,
        "at least once: again until forgotten"
    );

    let ids: Vec<_> = first.iter().map(|event| event.id).collect();
    w.store.forget(&ids[..2]).await.unwrap();
    assert_eq!(
        numbers(&w.staged().await, 1),
        [3, 4, 5],
        "what was forgotten, and only that"
    );
    w.store.forget(&ids).await.unwrap();
    w.store.forget(&[w.id()]).await.unwrap();
    w.store.forget(&[]).await.unwrap();
    assert_eq!(
        numbers(&w.staged().await, 1),
        [4, 5],
        "unknown ids are passed over"
    );
}

/// The outbox has the events of every organization, each under its own name.
pub async fn isolation_staged(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    w.forget_staged().await;
    for nth in 1..=3 {
        commit(&w, &one, numbered(1, nth)).await;
        commit(&w, &two, numbered(2, nth)).await;
    }
    assert_eq!(numbers(&w.staged_of(&one).await, 1), [1, 2, 3]);
    let misnamed = numbers(&w.staged_of(&one).await, 2);
    assert!(
        misnamed.is_empty(),
        "P1: another's events under this name: {misnamed:?}"
    );
    assert_eq!(numbers(&w.staged_of(&two).await, 2), [1, 2, 3]);
    assert_eq!(w.staged().await.len(), 6);
}

/// P7: it is the commit that counts for the order, not when a unit of work was opened or wrote.
pub async fn the_commit_decides_the_order(w: World) {
    let w = Arc::new(w);
    let tenant = w.organization().await;
    w.forget_staged().await;
    let mut early = w.begin_accounts(&tenant).await;
    early.insert_account(w.new_account()).await.unwrap();
    let late = tokio::spawn({
        let (w, tenant) = (Arc::clone(&w), tenant.clone());
        async move { commit(&w, &tenant, numbered(1, 1)).await }
    });
    // A store that lets one unit of work wait for another is slow, not wrong: then the early one
    // commits first.
    tokio::pin!(late);
    let overtook = match tokio::time::timeout(Duration::from_secs(5), &mut late).await {
        Ok(committed) => {
            committed.unwrap();
            true
        }
        Err(_) => false,
    };
    let nth = if overtook { 2 } else { 0 };
    early.commit(numbered(1, nth)).await.unwrap();
    if !overtook {
        late.await.unwrap();
    }
    let wanted = if overtook { [1, 2] } else { [0, 1] };
    assert_eq!(
        numbers(&w.staged_of(&tenant).await, 1),
        wanted,
        "P7: in the order of the commits"
    );
}

/// P7: with many writers at once, each one's events keep their order, and none is lost or doubled.
pub async fn concurrent_writers_keep_their_order(w: World) {
    const WRITERS: u64 = 4;
    let tenant = w.organization().await;
    w.forget_staged().await;
    let w = Arc::new(w);
    let writers = (0..WRITERS).map(|writer| {
        let (w, tenant) = (Arc::clone(&w), tenant.clone());
        tokio::spawn(async move {
            for nth in 0..8 {
                commit(&w, &tenant, numbered(writer, nth)).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let staged = w.staged_of(&tenant).await;
    for writer in 0..WRITERS {
        assert_eq!(
            numbers(&staged, writer),
            (0..8).collect::<Vec<_>>(),
            "P7: writer {writer}"
        );
    }
}
