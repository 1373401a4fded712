//! Audit events, as their organization reads them.

use std::collections::BTreeSet;

use trueno_core::access::{Action, allows};
use trueno_core::error::ErrorKind;
use trueno_core::model::{AuditEvent, Role};
use trueno_core::port::PageRequest;

use super::World;
use super::paging::every_page;
use crate::suite::refused;

/// Every audit event comes, newest first, each once and as it was staged; also once the ledger has
/// it and the outbox forgot it.
pub async fn audit_events_come_newest_first_and_stay(w: World) {
    let tenant = w.organization().await;
    let other = w.organization().await;
    for _ in 0..3 {
        w.account(&tenant).await;
        w.account(&other).await;
    }
    let mut wanted: Vec<AuditEvent> = w.staged_of(&tenant).await;
    wanted.sort_by_key(|event| std::cmp::Reverse(event.id));
    assert_eq!(wanted.len(), 7);
    for forgotten in [0, 3, 7] {
        let ids: Vec<_> = wanted.iter().rev().map(|event| event.id).collect();
        w.store.forget(&ids[..forgotten]).await.unwrap();
        assert_eq!(w.staged_of(&tenant).await.len(), 7 - forgotten);
        for limit in [1, 3, 7, 1_000] {
            let mut view = w.view(&tenant).await;
            let found = every_page(limit, async |page| view.audit_events(&page).await).await;
            assert_eq!(found, wanted, "{forgotten} forgotten, in pages of {limit}");
        }
    }
}

/// A view has the audit events of what was committed when it was opened, and no later ones.
pub async fn a_view_has_the_audit_events_of_its_moment(w: World) {
    let tenant = w.organization().await;
    let mut view = w.view(&tenant).await;
    w.account(&tenant).await;
    let page = PageRequest::largest();
    let actions = |events: Vec<AuditEvent>| -> BTreeSet<String> {
        events.into_iter().map(|event| event.action).collect()
    };
    let set = |actions: &[&str]| actions.iter().map(|a| (*a).to_owned()).collect();
    let found = actions(view.audit_events(&page).await.unwrap().items);
    assert_eq!(found, set(&["organization.created"]));
    let mut view = w.view(&tenant).await;
    let found = actions(view.audit_events(&page).await.unwrap().items);
    let wanted = [
        "cloud_account.changed",
        "cloud_account.connected",
        "organization.created",
    ];
    assert_eq!(found, set(&wanted));
}

/// Only roles that may read who did what do so, and no lease does; a view goes on after it said so.
pub async fn only_some_roles_read_audit_events(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let page = PageRequest::largest();
    for role in Role::ALL {
        let scope = w.scope_of(&team, *role, Action::Read).await;
        let mut view = w.store.read(&scope).await.unwrap();
        let answer = view.audit_events(&page).await;
        if allows(*role, Action::ReadAudit) {
            assert_eq!(answer.unwrap().items.len(), 5, "{role}");
        } else {
            refused(answer, ErrorKind::Denied, &format!("the role {role}"));
            let organization = view.organization().await.unwrap();
            assert_eq!(organization.id, tenant.id, "the view goes on");
        }
    }
    let run = w.running_scan(tenant).await;
    let mut view = w.store.read(run.lease.scope()).await.unwrap();
    let answer = view.audit_events(&page).await;
    refused(answer, ErrorKind::Denied, "a lease");
    assert_eq!(view.scan(run.scan).await.unwrap().id, run.scan);
}
