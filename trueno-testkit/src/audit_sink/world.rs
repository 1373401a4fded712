//! A sink, and what cases do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use trueno_core::clock::Clock as _;
use trueno_core::id::{IdSource, OrganizationId};
use trueno_core::model::{Actor, AuditEvent, AuditTarget};
use trueno_core::port::AuditSink;
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::harness::SinkHarness;

/// One case's sink, with helpers.
pub struct World {
    /// The sink.
    pub sink: Arc<dyn AuditSink>,
    harness: Box<dyn SinkHarness>,
    ids: IdSource,
    made: AtomicU64,
}

impl World {
    /// The world of a fresh harness.
    pub async fn new(harness: impl SinkHarness + 'static) -> Self {
        let (sink, ids) = (harness.sink(), harness.ids());
        Self {
            sink,
            ids,
            harness: Box::new(harness),
            made: AtomicU64::new(0),
        }
    }

    /// A new id.
    pub fn id<I: From<Uuid>>(&self) -> I {
        self.ids.next(ManualClock::default().now())
    }

    /// A new organization.
    pub async fn organization(&self) -> OrganizationId {
        self.harness.organization().await
    }

    /// A new event of an organization, unlike every other.
    pub fn event(&self, organization: OrganizationId) -> AuditEvent {
        let nth = self.made.fetch_add(1, Ordering::Relaxed);
        AuditEvent {
            id: self.id(),
            organization,
            occurred_at: ManualClock::default().now() + Duration::from_secs(nth),
            actor: Actor::Member { user: self.id() },
            action: "scan.requested".to_owned(),
            targets: vec![AuditTarget {
                kind: "scan".to_owned(),
                id: format!("scan {nth} \u{20ac}"),
            }],
            details: [("nth".to_owned(), json!(nth))].into_iter().collect(),
        }
    }

    /// `count` new events of an organization.
    pub fn events(&self, organization: OrganizationId, count: usize) -> Vec<AuditEvent> {
        (0..count).map(|_| self.event(organization)).collect()
    }

    /// A new organization with `count` events appended.
    pub async fn ledger(&self, count: usize) -> (OrganizationId, Vec<AuditEvent>) {
        let organization = self.organization().await;
        let events = self.events(organization, count);
        self.sink.append(&events).await.unwrap();
        (organization, events)
    }

    /// Changes a stored leaf behind the sink's back.
    pub async fn tamper(&self, organization: OrganizationId, index: u64) {
        self.harness.tamper(organization, index).await;
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}
