//! Organizations, memberships, and the way from a user to a scope.

use trueno_core::access::{Action, Identity, authorize};
use trueno_core::error::ErrorKind;
use trueno_core::id::OrganizationId;
use trueno_core::model::{Actor, EventDraft, Membership, NewOrganization, Role};

use super::World;
use crate::suite::{near, refused};

/// An organization is created with its first owner, and the event that says so (P2).
pub async fn an_organization_is_created_with_its_owner(w: World) {
    let (id, owner) = (w.id(), w.id());
    let name = "Größe & Söhne \u{1f30d}";
    let event = EventDraft::new("organization.created", "organization", id);
    let before = w.now().await;
    let new = NewOrganization::new(id, name, owner).unwrap();
    let created = w
        .store
        .create_organization(new, event.clone())
        .await
        .unwrap();
    let after = w.now().await;
    assert_eq!((created.id, created.name.as_str()), (id, name));
    near(
        created.created_at,
        before,
        after,
        "when the organization was created",
    );
    let wanted = [Membership {
        organization: id,
        user: owner,
        role: Role::Owner,
    }];
    assert_eq!(w.store.memberships(owner).await.unwrap(), wanted);

    let staged = w.staged().await;
    assert_eq!(staged.len(), 1, "P2: one change, one event");
    assert_eq!(
        (staged[0].organization, staged[0].action.as_str()),
        (id, event.action)
    );
    assert_eq!(
        staged[0].actor,
        Actor::Member { user: owner },
        "its owner created it"
    );
    assert_eq!(staged[0].targets, event.targets);
    near(staged[0].occurred_at, before, after, "when it happened");
}

/// P1: an owner is authorized for every action; for a user who is no member, the organization is
/// not there, as one that does not exist.
pub async fn an_owner_gets_a_scope_and_nobody_else_does(w: World) {
    let tenant = w.organization().await;
    let other = w.organization().await;
    let stranger = Identity::authenticated(other.owner);
    for action in Action::ALL {
        let owner = Identity::authenticated(tenant.owner);
        let scope = authorize(&*w.store, &owner, tenant.id, *action)
            .await
            .unwrap();
        assert_eq!(scope.organization(), tenant.id);
        assert_eq!(scope.actor(), Actor::Member { user: tenant.owner });
        let foreign = authorize(&*w.store, &stranger, tenant.id, *action).await;
        let foreign = refused(foreign, ErrorKind::NotFound, "P1: to a non-member");
        let missing = authorize(&*w.store, &stranger, w.id::<OrganizationId>(), *action).await;
        let missing = refused(missing, ErrorKind::NotFound, "no organization");
        assert_eq!(
            foreign.to_string(),
            missing.to_string(),
            "P1: they read the same"
        );
    }
}

/// A user may be a member of several organizations, and of none.
pub async fn a_user_may_be_a_member_of_several(w: World) {
    let owner = w.id();
    let one = w.organization_of(w.id(), owner).await;
    let two = w.organization_of(w.id(), owner).await;
    let mut found: Vec<_> = w
        .store
        .memberships(owner)
        .await
        .unwrap()
        .iter()
        .map(|m| m.organization)
        .collect();
    found.sort_unstable();
    assert_eq!(found, [one.id, two.id]);
    assert_eq!(
        w.store.memberships(w.id()).await.unwrap(),
        [],
        "an unknown user"
    );
}

/// An organization's id in use is refused, and nothing changes: no member, no event (P2).
pub async fn isolation_create_organization(w: World) {
    let tenant = w.organization().await;
    w.forget_staged().await;
    let intruder = w.id();
    let new = NewOrganization::new(tenant.id, "Takeover", intruder).unwrap();
    let event = EventDraft::new("organization.created", "organization", tenant.id);
    let answer = w.store.create_organization(new, event).await;
    refused(
        answer,
        ErrorKind::AlreadyExists,
        "an organization's id in use",
    );
    assert_eq!(
        w.store.memberships(intruder).await.unwrap(),
        [],
        "P1: nobody got in"
    );
    assert_eq!(
        w.store.memberships(tenant.owner).await.unwrap().len(),
        1,
        "nobody was put out"
    );
    assert_eq!(w.staged().await, [], "P2: nothing happened, so no event");
}
