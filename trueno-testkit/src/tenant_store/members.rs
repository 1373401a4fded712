//! Members: who is one, in which role, and who decides that.

use std::sync::Arc;

use tokio::task::JoinError;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{EventDraft, Member, Membership, Role};
use trueno_core::port::PageRequest;

use super::World;
use super::paging::every_page;
use crate::fixtures::Tenant;
use crate::suite::{near, refused};

pub(super) async fn add(w: &World, scope: &OrgScope, user: UserId, role: Role) -> Result<Member> {
    let mut unit = w.store.begin(scope).await?;
    let member = unit.insert_member(user, role).await?;
    unit.commit(EventDraft::new("member.added", "member", user))
        .await?;
    Ok(member)
}

pub(super) async fn set(
    w: &World,
    scope: &OrgScope,
    member: &Member,
    role: Role,
) -> Result<Member> {
    let (user, version) = (member.user, member.version);
    let mut unit = w.store.begin(scope).await?;
    let member = unit.set_member_role(user, version, role).await?;
    unit.commit(EventDraft::new("member.role_set", "member", user))
        .await?;
    Ok(member)
}

pub(super) async fn remove(w: &World, scope: &OrgScope, member: &Member) -> Result<()> {
    let (user, version) = (member.user, member.version);
    let mut unit = w.store.begin(scope).await?;
    unit.remove_member(user, version).await?;
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
        assert_eq!(member.version, 1, "as it was added");
        assert_eq!(w.read_member(tenant, member.user).await, member);
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
    let added = add(&w, &tenant.members, user, Role::Analyst).await.unwrap();
    assert_eq!(
        (added.user, added.role, added.version),
        (user, Role::Analyst, 1)
    );
    allowed(Action::Scan).await.unwrap();
    refused(
        allowed(Action::ReadAudit).await,
        ErrorKind::Denied,
        "an analyst",
    );
    let mut now = added;
    for role in [Role::Approver, Role::Viewer, Role::Viewer, Role::Admin] {
        let changed = set(&w, &tenant.members, &now, role).await.unwrap();
        let wanted = Member {
            role,
            version: now.version + 1,
            ..now
        };
        assert_eq!(changed, wanted, "the role alone changed");
        assert!(members(&w, &tenant).await.contains(&wanted));
        assert_eq!(w.read_member(&tenant, user).await, wanted);
        now = wanted;
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
    let leaves = w.read_member(&tenant, user).await;
    let (one, other) = (w.member(&tenant, Role::Admin).await, w.organization().await);
    assert_eq!(w.store.memberships(user).await.unwrap().len(), 1);
    remove(&w, &tenant.members, &leaves).await.unwrap();
    assert_eq!(w.store.memberships(user).await.unwrap(), [], "it is out");
    let mut wanted = vec![(tenant.owner, Role::Owner), (one, Role::Admin)];
    wanted.sort_unstable_by_key(|(user, _)| *user);
    assert_eq!(roles(&w, &tenant).await, wanted);
    for (user, who) in [
        (user, "a former member"),
        (w.id(), "nobody's id"),
        (other.owner, "P1: another organization's member"),
    ] {
        let missing = Member {
            user,
            ..leaves.clone()
        };
        let answer = remove(&w, &tenant.members, &missing).await;
        refused(answer, ErrorKind::NotFound, who);
        let answer = set(&w, &tenant.members, &missing, Role::Viewer).await;
        refused(answer, ErrorKind::NotFound, who);
        let answer = w.view(&tenant).await.member(user).await;
        refused(answer, ErrorKind::NotFound, who);
    }
    assert_eq!(roles(&w, &tenant).await, wanted, "as it was");
    add(&w, &tenant.members, user, Role::Viewer).await.unwrap();
    assert_eq!(w.store.memberships(user).await.unwrap().len(), 1);
}

/// Who is a member is not added again, in whatever role: what is there stays as it is.
pub async fn a_member_is_added_once(w: World) {
    let tenant = w.organization().await;
    w.member(&tenant, Role::Analyst).await;
    let before = members(&w, &tenant).await;
    for member in &before {
        for role in [member.role, Role::Viewer, Role::Owner] {
            let again = add(&w, &tenant.members, member.user, role).await;
            refused(again, ErrorKind::AlreadyExists, "a member");
        }
    }
    assert_eq!(members(&w, &tenant).await, before, "as it was");
}

/// Optimistic concurrency: a change of another version than the present one is a conflict, one of
/// somebody who is no member finds nothing.
pub async fn a_change_of_an_old_member_is_a_conflict(w: World) {
    let tenant = w.organization().await;
    let user = w.member(&tenant, Role::Analyst).await;
    let old = w.read_member(&tenant, user).await;
    let present = set(&w, &tenant.members, &old, Role::Approver).await;
    let present = present.unwrap();
    let future = Member {
        version: present.version + 1,
        ..present.clone()
    };
    let missing = Member {
        user: w.id(),
        ..present.clone()
    };
    for (row, kind, what) in [
        (&old, ErrorKind::Conflict, "an old version"),
        (&future, ErrorKind::Conflict, "a version not there yet"),
        (&missing, ErrorKind::NotFound, "one that is not there"),
    ] {
        for role in [Role::Admin, Role::Approver, Role::Owner] {
            let answer = set(&w, &tenant.members, row, role).await;
            refused(answer, kind, what);
        }
        refused(remove(&w, &tenant.members, row).await, kind, what);
    }
    assert_eq!(w.read_member(&tenant, user).await, present, "as it was");
    // The rule that one owner stays is asked about a member as it was read.
    let owner = w.read_member(&tenant, tenant.owner).await;
    let old = Member {
        version: owner.version + 1,
        ..owner.clone()
    };
    let answer = set(&w, &tenant.members, &old, Role::Viewer).await;
    refused(answer, ErrorKind::Conflict, "the last owner");
    let answer = remove(&w, &tenant.members, &old).await;
    refused(answer, ErrorKind::Conflict, "the last owner");
    assert_eq!(w.read_member(&tenant, tenant.owner).await, owner);
}

/// Who was removed and is added again is not taken for the member that somebody read before: no
/// version comes back, not even within one unit of work.
pub async fn a_members_version_never_comes_back(w: World) {
    let tenant = w.organization().await;
    let user = w.member(&tenant, Role::Analyst).await;
    let mut seen = vec![w.read_member(&tenant, user).await];
    let changed = set(&w, &tenant.members, &seen[0], Role::Approver).await;
    seen.push(changed.unwrap());
    for at_once in [false, true, false] {
        let last = seen.last().unwrap().clone();
        let again = if at_once {
            w.change(&tenant.members, async |unit| {
                unit.remove_member(user, last.version).await?;
                unit.insert_member(user, Role::Viewer).await
            })
            .await
        } else {
            remove(&w, &tenant.members, &last).await.unwrap();
            w.member(&tenant, Role::Viewer).await;
            add(&w, &tenant.members, user, Role::Viewer).await
        };
        let again = again.unwrap();
        assert!(again.version > last.version, "{again:?} after {last:?}");
        for old in &seen {
            let answer = set(&w, &tenant.members, old, Role::Admin).await;
            refused(answer, ErrorKind::Conflict, "a former membership");
            let answer = remove(&w, &tenant.members, old).await;
            refused(answer, ErrorKind::Conflict, "a former membership");
        }
        assert_eq!(w.read_member(&tenant, user).await, again, "as it was");
        seen.push(again);
    }
}

/// Of several who change a member at the same time, as they all read it, one is applied; of several
/// who add the same user, one does.
pub async fn of_two_changes_of_a_member_at_once_one_is_applied(w: World) {
    let w = Arc::new(w);
    let tenant = w.organization().await;
    for round in 0..6 {
        let user = w.id();
        let adds = (0..3).map(|_| {
            let (w, scope) = (Arc::clone(&w), tenant.members);
            tokio::spawn(async move { add(&w, &scope, user, Role::Analyst).await })
        });
        let added = one_of(
            futures::future::join_all(adds).await,
            ErrorKind::AlreadyExists,
        );
        assert_eq!(w.read_member(&tenant, user).await, added);
        let changes = (0..3).map(|nth| {
            let (w, scope, added) = (Arc::clone(&w), tenant.members, added.clone());
            tokio::spawn(async move {
                if round % 2 == 1 && nth == 0 {
                    // Gone is gone for who comes second.
                    let removed = remove(&w, &scope, &added).await;
                    removed.map(|()| None)
                } else {
                    let role = [Role::Viewer, Role::Approver, Role::Admin][nth];
                    set(&w, &scope, &added, role).await.map(Some)
                }
            })
        });
        let mut applied = Vec::new();
        for answer in futures::future::join_all(changes).await {
            match answer.unwrap() {
                Ok(changed) => applied.push(changed),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound),
                    "who came second: {error:?}"
                ),
            }
        }
        assert_eq!(applied.len(), 1, "exactly one was applied: {applied:?}");
        let now = members(&w, &tenant).await;
        let now = now.into_iter().find(|member| member.user == user);
        assert_eq!(now, applied[0], "the one that was applied");
        if let Some(now) = now {
            assert_eq!(now.version, added.version + 1, "changed once");
        }
    }
}

/// The one answer that was applied; whoever came second was told so.
#[track_caller]
fn one_of(
    answers: Vec<std::result::Result<Result<Member>, JoinError>>,
    second: ErrorKind,
) -> Member {
    let mut applied = None;
    for answer in answers {
        match answer.unwrap() {
            Ok(member) => assert!(applied.replace(member).is_none(), "one is applied"),
            lost => drop(refused(lost, second, "who came second")),
        }
    }
    applied.expect("one is applied")
}

/// P2: a unit of work that is given up adds and removes nobody.
pub async fn a_dropped_unit_of_work_changes_no_member(w: World) {
    let tenant = w.organization().await;
    let member = w.member(&tenant, Role::Viewer).await;
    let before = members(&w, &tenant).await;
    let stranger = w.id();
    let mut unit = w.store.begin(&tenant.members).await.unwrap();
    unit.insert_member(stranger, Role::Admin).await.unwrap();
    let changed = unit.set_member_role(member, 1, Role::Admin).await.unwrap();
    unit.remove_member(member, changed.version).await.unwrap();
    drop(unit);
    assert_eq!(members(&w, &tenant).await, before, "P2: as it was");
    assert_eq!(w.store.memberships(stranger).await.unwrap(), []);
}

/// Only an owner makes owners, and changes or removes them; an admin does so with everybody else.
pub async fn only_owners_decide_about_owners(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let admin = w.scope_of(&team, Role::Admin, Action::ManageMembers).await;
    let before = members(&w, tenant).await;
    let now = async |user| w.read_member(tenant, user).await;
    let (owner, viewer) = (
        now(tenant.owner).await,
        now(team.member(Role::Viewer)).await,
    );
    let what = "an admin about an owner";
    let answer = add(&w, &admin, w.id(), Role::Owner).await;
    refused(answer, ErrorKind::Denied, what);
    for (member, role) in [
        (&viewer, Role::Owner),
        (&now(team.member(Role::Admin)).await, Role::Owner),
        (&owner, Role::Viewer),
        (&owner, Role::Owner),
    ] {
        let answer = set(&w, &admin, member, role).await;
        refused(answer, ErrorKind::Denied, what);
    }
    let answer = remove(&w, &admin, &owner).await;
    refused(answer, ErrorKind::Denied, what);
    assert_eq!(members(&w, tenant).await, before, "as it was");
    let viewer = set(&w, &admin, &viewer, Role::Admin).await.unwrap();
    remove(&w, &admin, &viewer).await.unwrap();

    let second = add(&w, &tenant.members, w.id(), Role::Owner).await.unwrap();
    let answer = remove(&w, &admin, &second).await;
    refused(
        answer,
        ErrorKind::Denied,
        "an admin about one of two owners",
    );
    let scope = w.scope(tenant, second.user, Action::ManageMembers).await;
    let owner = set(&w, &scope, &owner, Role::Admin).await.unwrap();
    remove(&w, &scope, &owner).await.unwrap();
}

/// One owner stays: the last one is neither removed nor made something else, not even by itself.
pub async fn one_owner_stays(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let before = roles(&w, tenant).await;
    let check = async |owner| {
        let scope = w.scope(tenant, owner, Action::ManageMembers).await;
        let owner = w.read_member(tenant, owner).await;
        for role in [Role::Admin, Role::Viewer] {
            let answer = set(&w, &scope, &owner, role).await;
            refused(answer, ErrorKind::InvalidInput, "the last owner");
        }
        let answer = remove(&w, &scope, &owner).await;
        refused(answer, ErrorKind::InvalidInput, "the last owner");
        set(&w, &scope, &owner, Role::Owner).await.unwrap()
    };
    let first = check(tenant.owner).await;
    assert_eq!(roles(&w, tenant).await, before, "as it was");
    let second = w.member(tenant, Role::Owner).await;
    remove(&w, &tenant.members, &first).await.unwrap();
    check(second).await;
}

/// One owner stays also where two of them act at the same time.
pub async fn two_owners_do_not_remove_each_other(w: World) {
    let w = Arc::new(w);
    for round in 0..4 {
        let tenant = w.organization().await;
        let second = w.member(&tenant, Role::Owner).await;
        let scope = w.scope(&tenant, second, Action::ManageMembers).await;
        let first = w.read_member(&tenant, tenant.owner).await;
        let second = w.read_member(&tenant, second).await;
        let acts = [(scope, first), (tenant.members, second)].map(|(scope, member)| {
            let w = Arc::clone(&w);
            tokio::spawn(async move {
                if round % 2 == 0 {
                    remove(&w, &scope, &member).await
                } else {
                    set(&w, &scope, &member, Role::Viewer).await.map(drop)
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
