//! The ledger against the suite that every sink passes.

use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::clock::Clock;
use trueno_core::id::{IdSource, OrganizationId};
use trueno_core::port::AuditSink;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::SinkHarness;

use super::MemoryLedger;

struct Memory {
    ids: IdSource,
    ledger: MemoryLedger,
}

impl Memory {
    async fn new() -> Self {
        Self {
            ids: IdSource::seeded(1),
            ledger: MemoryLedger::new(),
        }
    }
}

#[async_trait]
impl SinkHarness for Memory {
    fn sink(&self) -> Arc<dyn AuditSink> {
        Arc::new(self.ledger.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn organization(&self) -> OrganizationId {
        self.ids.next(ManualClock::default().now())
    }

    async fn tamper(&self, organization: OrganizationId, index: u64) {
        self.ledger
            .tamper(organization, usize::try_from(index).unwrap(), |entry| {
                *entry.leaf.last_mut().unwrap() ^= 1;
            });
    }
}

trueno_testkit::audit_sink_conformance!(Memory::new);
