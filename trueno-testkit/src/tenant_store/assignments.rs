//! Who is to deal with a finding.

use trueno_core::access::Action;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{
    Actor, ChangeOfFinding, EventDraft, Finding, FindingChange, FindingStatus, Role,
};

use super::World;
use super::lifecycle::same_history;
use crate::fixtures::Tenant;
use crate::suite::refused;

pub(super) async fn assign(
    w: &World,
    tenant: &Tenant,
    finding: &Finding,
    to: impl Into<Option<UserId>>,
) -> Result<Finding> {
    let (id, to) = (finding.id, to.into());
    let mut unit = w.store.begin(&tenant.findings).await?;
    let assigned = unit.assign_finding(id, finding.version, to).await?;
    unit.commit(EventDraft::new("finding.assigned", "finding", id))
        .await?;
    Ok(assigned)
}

fn assignee(
    of: &Finding,
    by: UserId,
    from: impl Into<Option<UserId>>,
    to: impl Into<Option<UserId>>,
) -> FindingChange {
    FindingChange {
        finding: of.id,
        version: of.version,
        occurred_at: of.last_seen_at,
        actor: Actor::Member { user: by },
        what: ChangeOfFinding::Assignee {
            from: from.into(),
            to: to.into(),
        },
    }
}

/// A finding is assigned to a member, to another one and to nobody; its history says so, but not
/// where nothing changed. Its status stays.
pub async fn a_finding_is_assigned(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let new = w.new_finding(tenant).await;
    let mut wanted = w.history(tenant, new.id).await;
    let (viewer, analyst) = (team.member(Role::Viewer), team.member(Role::Analyst));
    let mut now = new.clone();
    for to in [Some(viewer), Some(analyst), Some(analyst), None, None] {
        let assigned = assign(&w, tenant, &now, to).await.unwrap();
        assert_eq!((assigned.assignee, assigned.status), (to, new.status));
        assert_eq!(w.read_finding(tenant, new.id).await, assigned);
        if assigned.assignee != now.assignee {
            assert_eq!(assigned.version, now.version + 1, "the row changed");
            wanted.push(assignee(&assigned, tenant.owner, now.assignee, to));
        }
        same_history(&w.history(tenant, new.id).await, &wanted);
        now = assigned;
    }
    let assigned = assign(&w, tenant, &now, viewer).await.unwrap();
    let run = w
        .running_scan_of(
            tenant,
            w.view(tenant).await.account(new.account).await.unwrap(),
        )
        .await;
    w.find(&run, &["vol-1"]).await;
    w.resolve(&run, &["vol-1"]).await;
    let resolved = w.read_finding(tenant, new.id).await;
    assert_eq!(
        (resolved.status, resolved.assignee),
        (FindingStatus::Resolved, assigned.assignee),
        "a look changes nobody's assignment"
    );
}

/// Only members are assigned: to somebody else the organization has no such member.
pub async fn only_members_are_assigned(w: World) {
    let (tenant, other) = (w.organization().await, w.organization().await);
    let new = w.new_finding(&tenant).await;
    let former = w.member(&tenant, Role::Analyst).await;
    w.change(&tenant.members, async |unit| {
        unit.remove_member(former, 1).await
    })
    .await
    .unwrap();
    for (user, who) in [
        (w.id(), "nobody's id"),
        (other.owner, "P1: another organization's member"),
        (former, "a former member"),
    ] {
        let answer = assign(&w, &tenant, &new, user).await;
        refused(answer, ErrorKind::NotFound, who);
    }
    assert_eq!(w.read_finding(&tenant, new.id).await, new, "as it was");
}

/// When a member is removed nobody is assigned to what the member was, and the history says by
/// whom; what others are assigned to stays.
pub async fn a_removed_member_is_assigned_to_nothing(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let (leaves, stays) = (team.member(Role::Analyst), team.member(Role::Approver));
    let mut findings = Vec::new();
    for to in [leaves, leaves, stays] {
        let new = w.new_finding(tenant).await;
        findings.push(assign(&w, tenant, &new, to).await.unwrap());
    }
    let admin = team.member(Role::Admin);
    let scope = w.scope(tenant, admin, Action::ManageMembers).await;
    w.change(&scope, async |unit| unit.remove_member(leaves, 1).await)
        .await
        .unwrap();
    for before in &findings[..2] {
        let after = w.read_finding(tenant, before.id).await;
        assert_eq!(
            (after.assignee, after.version),
            (None, before.version + 1),
            "nobody deals with it"
        );
        assert_eq!(after.status, before.status);
        let history = w.history(tenant, before.id).await;
        same_history(&history[2..], &[assignee(&after, admin, leaves, None)]);
    }
    let other = w.read_finding(tenant, findings[2].id).await;
    assert_eq!(other, findings[2], "what others are assigned to stays");
}
