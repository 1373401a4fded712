//! Members: who is one, in which role, and who decides that.

use std::sync::Arc;

use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{EventDraft, Member, Membership, Role};
use trueno_core::port::PageRequest;

use super::World;
use super::paging::every_page;
use crate::fixtures::Tenant;
use crate::suite::{near, refused};

pub(super) async fn set(w: &World, scope: &OrgScope, user: UserId, role: Role) -> Result<Member> {
    let mut unit = w.store.begin(scope).await?;
    let member = unit.set_member(user, role).await?;
    unit.commit(EventDraft::new("member.set", "member", user))
        .await?;
    Ok(member)
}

pub(super) async fn remove(w: &World, scope: &OrgScope, user: UserId) -> Result<()> {
    let mut unit = w.store.begin(scope).await?;
    unit.remove_member(user).await?;
    unit.commit(EventDraft::new("member.removed", "member", user))
        .await
        .map(drop)
}

pub(super) async fn members(w: &World, tenant: &Tenant) -> Vec<Member> {
    let mut view = w.view(tenant).await;
    view.members(&PageRequest::largest()).await.unwrap().items
}

async fn roles(w: &World, tenant: &Tenant) -> Vec<(UserId, Role)> {
    let members = members(w, tenant).await;
    members.iter().map(|m| (m.user, m.role)).collect()
}

/// An organization reads itself and its members, by user, each once.
pub async fn an_organization_reads_itself_and_its_members(w: World) {
    let before = w.now().await;
    let team = w.team().await;
    let after = w.now().await;
    let tenant = &team.tenant;
    w.team().await;
    let organization = w.view(tenant).await.organization().await.unwrap();
    assert_eq!(organization.id, tenant.id);
    assert_eq!(organization.name, format!("Organization {}", tenant.id));
    near(
        organization.created_at,
        before,
        after,
        "when it was created",
    );
    let mut wanted: Vec<_> = Role::ALL.iter().map(|r| (team.member(*r), *r)).collect();
    wanted.sort_unstable_by_key(|(user, _)| *user);
    assert_eq!(roles(&w, tenant).await, wanted);
    for member in members(&w, tenant).await {
        near(member.created_at, before, after, "when it became a member");
    }
    for limit in [1, 2, 5] {
        let mut view = w.view(tenant).await;
        let found = every_page(limit, async |page| view.members(&page).await).await;
        let found: Vec<_> = found.iter().map(|m| (m.user, m.role)).collect();
        assert_eq!(found, wanted, "in pages of {limit}");
    }
}

/// A member is added and changes role: from the commit on, requests are authorized accordingly.
/// How long somebody is a member does not depend on the role.
pub async fn a_members_role_decides_from_the_commit_on(w: World) {
    let tenant = w.organization().await;
    let user = w.id();
    let allowed = async |action| {
        let identity = Identity::authenticated(user);
        authorize(&*w.store, &identity, tenant.id, action)
            .await
            .map(drop)
    };
    refused(
        allowed(Action::Read).await,
        ErrorKind::NotFound,
        "no member",
    );
    let added = set(&w, &tenant.members, user, Role::Analyst).await.unwrap();
    assert_eq!((added.user, added.role), (user, Role::Analyst));
    allowed(Action::Scan).await.unwrap();
    refused(
        allowed(Action::ReadAudit).await,
        ErrorKind::Denied,
        "an analyst",
    );
    for role in [Role::Approver, Role::Viewer, Role::Viewer, Role::Admin] {
        let changed = set(&w, &tenant.members, user, role).await.unwrap();
        let wanted = Member {
            role,
            ..added.clone()
        };
        assert_eq!(changed, wanted, "the role alone changed");
        assert!(members(&w, &tenant).await.contains(&wanted));
        let membership = Membership {
            organization: tenant.id,
            user,
            role,
        };
        assert_eq!(w.store.memberships(user).await.unwrap(), [membership]);
    }
    allowed(Action::ReadAudit).await.unwrap();
}

/// A removed member is out from the commit on, and may be added again.
pub async fn a_removed_member_is_out(w: World) {
    let tenant = w.organization().await;
    let user = w.member(&tenant, Role::Admin).await;
    let (one, other) = (w.member(&tenant, Role::Admin).await, w.organization().await);
    assert_eq!(w.store.memberships(user).await.unwrap().len(), 1);
    remove(&w, &tenant.members, user).await.unwrap();
    assert_eq!(w.store.memberships(user).await.unwrap(), [], "it is out");
    let mut wanted = vec![(tenant.owner, Role::Owner), (one, Role::Admin)];
    wanted.sort_unstable_by_key(|(user, _)| *user);
    assert_eq!(roles(&w, &tenant).await, wanted);
    for (user, who) in [
        (user, "a former member"),
        (w.id(), "nobody's id"),
        (other.owner, "P1: another organization's member"),
    ] {
        let answer = remove(&w, &tenant.members, user).await;
        refused(answer, ErrorKind::NotFound, who);
    }
    assert_eq!(roles(&w, &tenant).await, wanted, "as it was");
    set(&w, &tenant.members, user, Role::Viewer).await.unwrap();
    assert_eq!(w.store.memberships(user).await.unwrap().len(), 1);
}

/// P2: a unit of work that is given up adds and removes nobody.
pub async fn a_dropped_unit_of_work_changes_no_member(w: World) {
    let tenant = w.organization().await;
    let member = w.member(&tenant, Role::Viewer).await;
    let before = members(&w, &tenant).await;
    let stranger = w.id();
    let mut unit = w.store.begin(&tenant.members).await.unwrap();
    unit.set_member(stranger, Role::Admin).await.unwrap();
    unit.set_member(member, Role::Admin).await.unwrap();
    unit.remove_member(member).await.unwrap();
    drop(unit);
    assert_eq!(members(&w, &tenant).await, before, "P2: as it was");
    assert_eq!(w.store.memberships(stranger).await.unwrap(), []);
}

/// Only an owner makes owners, and changes or removes them; an admin does so with everybody else.
pub async fn only_owners_decide_about_owners(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let admin = w.scope_of(&team, Role::Admin, Action::ManageMembers).await;
    let (second, viewer) = (w.id(), team.member(Role::Viewer));
    let before = members(&w, tenant).await;
    for (user, role) in [
        (w.id(), Role::Owner),
        (viewer, Role::Owner),
        (team.member(Role::Admin), Role::Owner),
        (tenant.owner, Role::Viewer),
        (tenant.owner, Role::Owner),
    ] {
        let answer = set(&w, &admin, user, role).await;
        refused(answer, ErrorKind::Denied, "an admin about an owner");
    }
    let answer = remove(&w, &admin, tenant.owner).await;
    refused(answer, ErrorKind::Denied, "an admin about an owner");
    assert_eq!(members(&w, tenant).await, before, "as it was");
    set(&w, &admin, viewer, Role::Admin).await.unwrap();
    remove(&w, &admin, viewer).await.unwrap();

    set(&w, &tenant.members, second, Role::Owner).await.unwrap();
    let answer = remove(&w, &admin, second).await;
    refused(
        answer,
        ErrorKind::Denied,
        "an admin about one of two owners",
    );
    let scope = w.scope(tenant, second, Action::ManageMembers).await;
    set(&w, &scope, tenant.owner, Role::Admin).await.unwrap();
    remove(&w, &scope, tenant.owner).await.unwrap();
}

/// One owner stays: the last one is neither removed nor made something else, not even by itself.
pub async fn one_owner_stays(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let before = members(&w, tenant).await;
    let check = async |owner| {
        let scope = w.scope(tenant, owner, Action::ManageMembers).await;
        for role in [Role::Admin, Role::Viewer] {
            let answer = set(&w, &scope, owner, role).await;
            refused(answer, ErrorKind::InvalidInput, "the last owner");
        }
        let answer = remove(&w, &scope, owner).await;
        refused(answer, ErrorKind::InvalidInput, "the last owner");
        set(&w, &scope, owner, Role::Owner).await.unwrap();
    };
    check(tenant.owner).await;
    assert_eq!(members(&w, tenant).await, before, "as it was");
    let second = w.member(tenant, Role::Owner).await;
    remove(&w, &tenant.members, tenant.owner).await.unwrap();
    check(second).await;
}

/// One owner stays also where two of them act at the same time.
pub async fn two_owners_do_not_remove_each_other(w: World) {
    let w = Arc::new(w);
    for round in 0..4 {
        let tenant = w.organization().await;
        let second = w.member(&tenant, Role::Owner).await;
        let scope = w.scope(&tenant, second, Action::ManageMembers).await;
        let pairs = [(scope, tenant.owner), (tenant.members, second)];
        let acts = pairs.map(|(scope, user)| {
            let w = Arc::clone(&w);
            tokio::spawn(async move {
                if round % 2 == 0 {
                    remove(&w, &scope, user).await
                } else {
                    set(&w, &scope, user, Role::Viewer).await.map(drop)
                }
            })
        });
        let mut applied = 0;
        for answer in futures::future::join_all(acts).await {
            match answer.unwrap() {
                Ok(()) => applied += 1,
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Conflict | ErrorKind::InvalidInput | ErrorKind::Denied
                    ),
                    "who came second: {error:?}"
                ),
            }
        }
        assert_eq!(applied, 1, "one came first, and one owner stays");
        let owners = members(&w, &tenant).await;
        let owners = owners.iter().filter(|m| m.role == Role::Owner).count();
        assert_eq!(owners, 1, "one owner stays");
    }
}
