//! Audit events, as their organization reads them.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::AuditEvent;
use crate::port::{Page, PageRequest};

/// Reads of audit events.
#[async_trait]
pub trait AuditReads {
    /// Every audit event of the organization, newest first (by id, which is time-ordered), whether
    /// or not a ledger has it yet. Needs a role that allows
    /// [`ReadAudit`](crate::access::Action::ReadAudit); otherwise
    /// [`Denied`](crate::error::ErrorKind::Denied).
    async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>>;
}
