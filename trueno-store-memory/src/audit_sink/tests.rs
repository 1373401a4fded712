use serde_json::Map;
use trueno_core::clock::Clock;
use trueno_core::id::IdSource;
use trueno_core::ledger::verify_consistency;
use trueno_core::model::{Actor, AuditTarget};
use trueno_testkit::clock::ManualClock;
use trueno_testkit::suite::refused;

use super::*;

struct Fixture {
    ids: IdSource,
    ledger: MemoryLedger,
}

impl Fixture {
    fn new() -> Self {
        Self {
            ids: IdSource::seeded(3),
            ledger: MemoryLedger::new(),
        }
    }

    fn id<I: From<uuid::Uuid>>(&self) -> I {
        self.ids.next(ManualClock::default().now())
    }

    fn event(&self, organization: OrganizationId) -> AuditEvent {
        AuditEvent {
            id: self.id(),
            organization,
            occurred_at: ManualClock::default().now(),
            actor: Actor::System,
            action: "test.done".to_owned(),
            targets: vec![AuditTarget {
                kind: "test".to_owned(),
                id: "it".to_owned(),
            }],
            details: Map::new(),
        }
    }

    async fn of_length(&self, length: usize) -> OrganizationId {
        let organization = self.id();
        let events: Vec<_> = (0..length).map(|_| self.event(organization)).collect();
        self.ledger.append(&events).await.unwrap();
        organization
    }
}

/// P7: an entry whose byte was changed, whichever, is not shown and not proved; others still are.
#[tokio::test]
async fn a_changed_byte_of_an_entry_is_corrupt() {
    let f = Fixture::new();
    let organization = f.of_length(5).await;
    let length = f.ledger.entries(organization, 2, 1).await.unwrap()[0]
        .leaf
        .len();
    for at in 0..length {
        f.ledger
            .tamper(organization, 2, |entry| entry.leaf[at] ^= 1);
        let answer = f.ledger.entries(organization, 0, 10).await;
        refused(answer, ErrorKind::Corrupt, "P7: it is among them");
        let answer = f.ledger.inclusion_proof(organization, 2, 5).await;
        refused(answer, ErrorKind::Corrupt, "P7: it is the one");
        assert_eq!(
            f.ledger.entries(organization, 3, 10).await.unwrap().len(),
            2
        );
        f.ledger
            .tamper(organization, 2, |entry| entry.leaf[at] ^= 1);
    }
    assert_eq!(
        f.ledger.entries(organization, 0, 10).await.unwrap().len(),
        5
    );
}

/// P7: an entry put in another's place is not shown either.
#[tokio::test]
async fn swapped_entries_are_corrupt() {
    let f = Fixture::new();
    let organization = f.of_length(3).await;
    let entries = f.ledger.entries(organization, 0, 3).await.unwrap();
    f.ledger.tamper(organization, 0, |entry| {
        entry.leaf.clone_from(&entries[1].leaf)
    });
    f.ledger.tamper(organization, 1, |entry| {
        entry.leaf.clone_from(&entries[0].leaf)
    });
    let answer = f.ledger.entries(organization, 0, 1).await;
    refused(answer, ErrorKind::Corrupt, "P7: out of order");
}

/// P7: an entry that names another event than its leaf is not shown.
#[tokio::test]
async fn an_entry_under_another_events_name_is_corrupt() {
    let f = Fixture::new();
    let organization = f.of_length(2).await;
    let forged = f.id();
    f.ledger
        .tamper(organization, 1, |entry| entry.event = forged);
    let answer = f.ledger.entries(organization, 1, 1).await;
    refused(answer, ErrorKind::Corrupt, "P7: another name");
}

/// P7: one id stands for one event. Another event under it is refused, with all that came with it.
#[tokio::test]
async fn another_event_under_the_same_id_is_refused() {
    let f = Fixture::new();
    let (one, two) = (f.of_length(2).await, f.of_length(1).await);
    let event = f.event(one);
    let mut forged = event.clone();
    forged.action = "test.forged".to_owned();
    let batch = [f.event(two), event.clone(), forged.clone()];
    let answer = f.ledger.append(&batch).await;
    refused(answer, ErrorKind::AlreadyExists, "P7: within a batch");
    f.ledger
        .append(&[event.clone(), event.clone()])
        .await
        .unwrap();
    refused(
        f.ledger.append(&[forged]).await,
        ErrorKind::AlreadyExists,
        "P7: later on",
    );
    assert_eq!(f.ledger.head(one).await.unwrap().size, 3, "the event once");
    assert_eq!(
        f.ledger.head(two).await.unwrap().size,
        1,
        "nothing of a refused batch"
    );
}

/// What an older head proved, the newer one still does.
#[tokio::test]
async fn a_head_grows_out_of_the_one_before() {
    let f = Fixture::new();
    let organization = f.of_length(3).await;
    let old = f.ledger.head(organization).await.unwrap();
    let more: Vec<_> = (0..4).map(|_| f.event(organization)).collect();
    f.ledger.append(&more).await.unwrap();
    let new = f.ledger.head(organization).await.unwrap();
    let proof = f
        .ledger
        .consistency_proof(organization, old.size, new.size)
        .await
        .unwrap();
    verify_consistency(&old.root, old.size, &new.root, new.size, &proof).unwrap();
    let answer = f.ledger.entries(organization, 8, 1).await;
    refused(answer, ErrorKind::NotFound, "beyond the ledger");
    assert_eq!(f.ledger.entries(organization, 7, 1).await.unwrap(), []);
}
