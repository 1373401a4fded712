//! Audit events on their way to the ledger.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use trueno_core::id::AuditEventId;
use trueno_core::model::AuditEvent;

/// Staged events in the order in which their changes committed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last: u64,
    events: BTreeMap<u64, Arc<AuditEvent>>,
    places: HashMap<AuditEventId, u64>,
}

impl Outbox {
    pub(crate) fn stage(&mut self, events: Vec<Arc<AuditEvent>>) {
        for event in events {
            self.last += 1;
            self.places.insert(event.id, self.last);
            self.events.insert(self.last, event);
        }
    }

    pub(crate) fn oldest(&self, limit: usize) -> Vec<AuditEvent> {
        let oldest = self.events.values().take(limit);
        oldest.map(|event| AuditEvent::clone(event)).collect()
    }

    pub(crate) fn forget(&mut self, events: &[AuditEventId]) {
        for event in events {
            if let Some(place) = self.places.remove(event) {
                self.events.remove(&place);
            }
        }
    }
}
