//! Audit events, as their organization reads them.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::Action;
use trueno_core::error::Result;
use trueno_core::model::AuditEvent;
use trueno_core::port::tenant_store::AuditReads;
use trueno_core::port::{Page, PageRequest};

use super::cursor::List;
use super::read_view::View;

#[async_trait]
impl AuditReads for View {
    async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>> {
        self.look("read_view.audit_events", |draft| {
            self.scope.permit(Action::ReadAudit)?;
            List {
                name: "audit".into(),
                rows: &draft.audit,
                start: Bound::Unbounded,
            }
            .page(
                page,
                |_| true,
                |_, row: &Arc<AuditEvent>| Some(AuditEvent::clone(row)),
            )
        })
    }
}
