//! Audit events: what was done, by whom, to what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{AuditEventId, OrganizationId};
use crate::model::Actor;

/// What an event was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTarget {
    /// Such as `scan` or `cloud_account`.
    pub kind: String,
    /// The target's id.
    pub id: String,
}

/// What the caller says of an event; the store adds id, time, organization and actor, which come
/// from the scope and cannot be forged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// What was done, such as `scan.requested`.
    pub action: &'static str,
    /// What it was done to: at least one.
    pub targets: Vec<AuditTarget>,
    /// More to know. Never a secret.
    pub details: Map<String, Value>,
}

impl EventDraft {
    /// An event about one target.
    pub fn new(action: &'static str, kind: &str, id: impl ToString) -> Self {
        Self {
            action,
            targets: vec![AuditTarget {
                kind: kind.to_owned(),
                id: id.to_string(),
            }],
            details: Map::new(),
        }
    }

    /// One more target.
    #[must_use]
    pub fn with_target(mut self, kind: &str, id: impl ToString) -> Self {
        self.targets.push(AuditTarget {
            kind: kind.to_owned(),
            id: id.to_string(),
        });
        self
    }

    /// One more thing to know.
    #[must_use]
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// An audit event as it is staged with its change and appended to the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its id, the idempotency key on the way to the sink.
    pub id: AuditEventId,
    /// Whose history it belongs to.
    pub organization: OrganizationId,
    /// When it happened, by the store's clock.
    pub occurred_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub targets: Vec<AuditTarget>,
    /// More to know.
    pub details: Map<String, Value>,
}

impl AuditEvent {
    /// The event as RFC 8785 canonical JSON: the bytes that the ledger hashes.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] where a value cannot be written as JSON.
    pub fn canonical(&self) -> Result<Vec<u8>> {
        serde_json_canonicalizer::to_vec(self).map_err(|source| {
            Error::new(
                ErrorKind::Unexpected,
                "the audit event cannot be written as JSON",
            )
            .with_source(source)
        })
    }
}
