//! Audit events on their way to the ledger.

use std::collections::{BTreeMap, HashMap};

use trueno_core::id::AuditEventId;
use trueno_core::model::AuditEvent;

/// Staged events in the order in which their changes committed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last: u64,
    events: BTreeMap<u64, AuditEvent>,
    places: HashMap<AuditEventId, u64>,
}

impl Outbox {
    pub(crate) fn stage(&mut self, events: Vec<AuditEvent>) {
        for event in events {
            self.last += 1;
            self.places.insert(event.id, self.last);
            self.events.insert(self.last, event);
        }
    }

    pub(crate) fn oldest(&self, limit: usize) -> Vec<AuditEvent> {
        self.events.values().take(limit).cloned().collect()
    }

    pub(crate) fn forget(&mut self, events: &[AuditEventId]) {
        for event in events {
            if let Some(place) = self.places.remove(event) {
                self.events.remove(&place);
            }
        }
    }
}
