//! How much of the workers an organization gets, as an operator sets it.

use serde_json::json;
use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::model::{Concurrency, EventDraft, OrganizationLimits, QueueTarget};

use super::World;
use crate::suite::refused;

/// The limits are those that were set last, and nothing is left of the ones before; nobody has set
/// any: a weight of 1 and no caps.
pub async fn limits_are_what_was_set_last(w: World) {
    let tenant = w.organization().await;
    let none = OrganizationLimits::default();
    assert_eq!(w.queue.limits(tenant.id).await.unwrap(), none);
    let weighty = none.with_weight(1_000).unwrap();
    let all = none.with_weight(7).unwrap();
    let all = all.with_max_running(1_000_000).unwrap();
    let all = all.with_max_live(1_000_000).unwrap();
    let narrow = none.with_max_running(1).unwrap();
    let short = none.with_max_live(1).unwrap();
    for limits in [all, weighty, all, narrow, short, none] {
        for _ in 0..2 {
            w.queue.set_limits(tenant.id, &limits).await.unwrap();
            let kept = w.queue.limits(tenant.id).await.unwrap();
            assert_eq!(kept, limits);
        }
    }
}

/// A cap of zero is refused before it gets to a queue, with what to do instead: an organization that
/// begins nothing would be one whose jobs wait without anybody knowing why.
pub async fn a_cap_of_zero_is_refused(w: World) {
    let tenant = w.organization().await;
    let limits = OrganizationLimits::default();
    let pause = "needs at least 1: to stop an organization, pause it";
    for (zero, field) in [
        (limits.with_max_running(0), "max_running"),
        (limits.with_max_live(0), "max_live"),
    ] {
        let error = refused(zero, ErrorKind::InvalidInput, "a cap of zero");
        assert_eq!(error.to_string(), format!("{field}: {pause}"));
    }
    let unread = json!({"weight": 1, "max_running": 0, "max_live": null});
    assert!(serde_json::from_value::<OrganizationLimits>(unread).is_err());
    for key in [
        Concurrency::new("account", 0).map(drop),
        limits.with_weight(0).map(drop),
    ] {
        let error = refused(key, ErrorKind::InvalidInput, "a cap of zero");
        assert!(error.to_string().contains("needs 1 to"), "{error}");
    }
    assert_eq!(w.queue.limits(tenant.id).await.unwrap(), limits);
}

/// Nobody sets limits for, pauses or resumes an organization that is not there.
pub async fn an_unknown_organization_is_not_found(w: World) {
    w.organization().await;
    refuses(&w, w.id()).await;
}

async fn refuses(w: &World, organization: trueno_core::id::OrganizationId) {
    let limits = OrganizationLimits::default().with_weight(2).unwrap();
    let set = w.queue.set_limits(organization, &limits).await;
    refused(set, ErrorKind::NotFound, "no such organization");
    let target = QueueTarget::Organization(organization);
    let pause = w.queue.pause(&target).await;
    refused(pause, ErrorKind::NotFound, "no such organization");
    let resume = w.queue.resume(&target).await;
    refused(resume, ErrorKind::NotFound, "no such organization");
}

/// With an organization go its limits and its pause.
pub async fn an_erased_organization_keeps_no_limits(w: World) {
    let (erased, other) = (w.organization().await, w.organization().await);
    let limits = OrganizationLimits::default().with_max_running(1).unwrap();
    for tenant in [&erased, &other] {
        w.queue.set_limits(tenant.id, &limits).await.unwrap();
        for _ in 0..2 {
            w.enqueue(tenant, w.job()).await;
        }
    }
    assert_eq!(w.drain(10).await.len(), 2, "one of each runs");
    let target = QueueTarget::Organization(erased.id);
    w.queue.pause(&target).await.unwrap();
    let scope = w
        .scope(&erased, erased.owner, Action::EraseOrganization)
        .await;
    let mut unit = w.store.begin(&scope).await.unwrap();
    unit.erase_organization().await.unwrap();
    let event = EventDraft::new("organization.erased", "organization", erased.id);
    unit.commit(event).await.unwrap();

    let left = w.queue.limits(erased.id).await.unwrap();
    assert_eq!(left, OrganizationLimits::default());
    refuses(&w, erased.id).await;
    let stats = w.queue.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.running), (1, 1), "the other's");
    assert_eq!(w.queue.limits(other.id).await.unwrap(), limits);
    assert_eq!(w.drained().await, [], "the other's is full still");
}
