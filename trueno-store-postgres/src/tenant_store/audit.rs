//! Audit events, as their organization reads them.

use async_trait::async_trait;
use sqlx::QueryBuilder;
use trueno_core::access::Action;
use trueno_core::error::Result;
use trueno_core::id::OrganizationId;
use trueno_core::model::AuditEvent;
use trueno_core::port::tenant_store::AuditReads;
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::view::PgReadView;
use super::{events, paging};
use crate::encode::RowExt as _;
use crate::transaction::Tx;

const LIST: &str = "audit events";

#[async_trait]
impl AuditReads for PgReadView {
    async fn audit_events(&mut self, page: &PageRequest) -> Result<Page<AuditEvent>> {
        let permitted = self.scope.permit(Action::ReadAudit);
        let listed = match permitted {
            Ok(()) => audit_events(&mut self.tx, self.scope.organization(), page).await,
            Err(denied) => Err(denied),
        };
        listed.map_err(|error| error.with_operation("tenant_store.audit_events"))
    }
}

/// Newest first.
async fn audit_events(
    tx: &mut Tx,
    organization: OrganizationId,
    page: &PageRequest,
) -> Result<Page<AuditEvent>> {
    let mut query = QueryBuilder::new(
        "select organization_id, id, occurred_at, actor_kind, actor_id, action, targets, details
         from audit_staged where organization_id = ",
    );
    query.push_bind(organization.as_uuid());
    if let Some(id) = paging::after::<Uuid>(LIST, page)? {
        query.push(" and id < ").push_bind(id);
    }
    query.push(" order by id desc");
    paging::fetch(tx, LIST, query, page, events::decode, |row| {
        row.id::<Uuid>("id")
    })
    .await
}
