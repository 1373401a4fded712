//! The store as the suites take it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::clock::Clock;
use trueno_core::id::IdSource;
use trueno_core::port::{JobQueue, TenantStore};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::StoreHarness;

/// A new store, with a clock that is moved by hand.
pub(crate) struct Memory {
    pub(crate) clock: ManualClock,
    ids: IdSource,
    store: MemoryStore,
}

impl Memory {
    pub(crate) async fn new() -> Self {
        let (clock, ids) = (ManualClock::default(), IdSource::seeded(1));
        let store = MemoryStore::new(clock.shared(), ids.clone());
        Self { clock, ids, store }
    }
}

#[async_trait]
impl StoreHarness for Memory {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.store.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}
