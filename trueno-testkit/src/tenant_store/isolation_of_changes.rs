//! P1 over what members change: one case per method.
//!
//! Another organization's ids are answered like missing ones; and of two organizations that share
//! every id only the one whose scope it is changes.

use trueno_core::access::{Action, OrgScope};
use trueno_core::error::Result;
use trueno_core::id::{ExceptionId, FindingId, ScheduleId, UserId};
use trueno_core::model::{ExceptionStatus, FindingStatus, NewComment, Role, ScheduleStatus};
use trueno_core::port::UnitOfWork;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::members::members;
use super::twins::{Twin, alike, everything, foreign, twins};

/// Changes something of the second twin, and checks that the first sees nothing of it.
async fn only_its_own(
    w: &World,
    scope: impl Fn(&Twin) -> OrgScope,
    change: impl AsyncFnOnce(&Twin, &mut dyn UnitOfWork) -> Result<()>,
) -> Twin {
    let (one, two) = twins(w).await;
    let (before, own) = (everything(w, &one).await, everything(w, &two).await);
    w.change(&scope(&two), async |unit| change(&two, unit).await)
        .await
        .unwrap();
    assert_eq!(
        everything(w, &one).await,
        before,
        "P1: the twin's rows are other rows"
    );
    assert_ne!(everything(w, &two).await, own, "its own rows changed");
    two
}

fn nowhere(w: &World) -> FindingId {
    FindingId::of(w.id(), "no/such/key")
}

/// P1: `step_finding`.
pub async fn isolation_step_finding(w: World) {
    let f = foreign(&w).await;
    let step = async |id: FindingId| {
        w.change(&f.other.findings, async |unit| {
            unit.step_finding(id, 1, FindingStep::Acknowledge).await
        })
        .await
    };
    alike(step(f.finding).await, step(nowhere(&w)).await);
    let before = w.read_finding(&f.owner, f.finding).await;
    assert_eq!(before.status, FindingStatus::New, "P1: as it was");
    only_its_own(
        &w,
        |twin| twin.tenant.findings,
        async |twin, unit| {
            unit.step_finding(twin.finding(), 1, FindingStep::Start)
                .await
                .map(drop)
        },
    )
    .await;
}

/// P1: `assign_finding`, also to a member of both.
pub async fn isolation_assign_finding(w: World) {
    let f = foreign(&w).await;
    let assign = async |id: FindingId| {
        w.change(&f.other.findings, async |unit| {
            unit.assign_finding(id, 1, Some(f.other.owner)).await
        })
        .await
    };
    alike(assign(f.finding).await, assign(nowhere(&w)).await);
    let before = w.read_finding(&f.owner, f.finding).await;
    assert_eq!(before.assignee, None, "P1: as it was");
    let assign_to = async |user: UserId| {
        w.change(&f.owner.findings, async |unit| {
            unit.assign_finding(f.finding, 1, Some(user)).await
        })
        .await
    };
    alike(assign_to(f.other.owner).await, assign_to(w.id()).await);
    only_its_own(
        &w,
        |twin| twin.tenant.findings,
        async |twin, unit| {
            unit.assign_finding(twin.finding(), 1, Some(twin.member))
                .await
                .map(drop)
        },
    )
    .await;
}

/// P1: `add_comment`: finds no finding of another organization, whose comments' ids are free.
pub async fn isolation_add_comment(w: World) {
    let f = foreign(&w).await;
    let comment = async |id: FindingId| {
        let new = NewComment::new(w.id(), id, "a comment").unwrap();
        w.change(&f.other.findings, async |unit| unit.add_comment(new).await)
            .await
    };
    alike(comment(f.finding).await, comment(nowhere(&w)).await);
    let id = w.id();
    only_its_own(
        &w,
        |twin| twin.tenant.findings,
        async |twin, unit| {
            let new = NewComment::new(id, twin.finding(), "a comment").unwrap();
            unit.add_comment(new).await.map(drop)
        },
    )
    .await;
}

/// P1: `request_exception`: finds no finding of another organization, whose exceptions' ids are
/// free and whose findings' exceptions do not count.
pub async fn isolation_request_exception(w: World) {
    let f = foreign(&w).await;
    let request = async |id: FindingId| {
        let new = w.new_exception(id).await;
        w.request(&f.other.findings, new).await
    };
    alike(request(f.finding).await, request(nowhere(&w)).await);
    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    w.decide(&two.decides, &two.exception, ExceptionDecision::Withdraw)
        .await
        .unwrap();
    let new = w.new_exception(two.finding()).await;
    w.request(&two.tenant.findings, new).await.unwrap();
    assert_eq!(everything(&w, &one).await, before, "P1: as it was");
}

/// P1: `decide_exception`, and what it does to the finding.
pub async fn isolation_decide_exception(w: World) {
    let f = foreign(&w).await;
    let decide = async |id: ExceptionId| {
        w.change(&f.other.findings, async |unit| {
            unit.decide_exception(id, 1, ExceptionDecision::Approve)
                .await
        })
        .await
    };
    alike(decide(f.exception.id).await, decide(w.id()).await);
    let mut view = w.view(&f.owner).await;
    let before = view.exception(f.exception.id).await.unwrap();
    assert_eq!(before.status, ExceptionStatus::Requested, "P1: as it was");
    let approved = only_its_own(
        &w,
        |twin| twin.decides,
        async |twin, unit| {
            let decision = ExceptionDecision::Approve;
            unit.decide_exception(twin.exception.id, 1, decision)
                .await
                .map(drop)
        },
    )
    .await;
    let finding = w.read_finding(&approved.tenant, approved.finding()).await;
    assert_eq!(finding.status, FindingStatus::Suppressed);
}

/// P1: `insert_schedule`: finds no account of another organization, whose schedules' ids are free.
pub async fn isolation_insert_schedule(w: World) {
    let f = foreign(&w).await;
    let insert = async |account| {
        let new = w.new_schedule(account);
        w.change(&f.other.schedules, async |unit| {
            unit.insert_schedule(new).await
        })
        .await
    };
    alike(insert(f.account).await, insert(w.id()).await);
    only_its_own(
        &w,
        |twin| twin.tenant.schedules,
        async |twin, unit| {
            let new = w.new_schedule(twin.run.account.id);
            unit.insert_schedule(new).await.map(drop)
        },
    )
    .await;
}

/// P1: `set_schedule_status`.
pub async fn isolation_set_schedule_status(w: World) {
    let f = foreign(&w).await;
    let pause = async |id: ScheduleId| {
        w.change(&f.other.schedules, async |unit| {
            unit.set_schedule_status(id, 1, ScheduleStatus::Paused)
                .await
        })
        .await
    };
    alike(pause(f.schedule.id).await, pause(w.id()).await);
    let mut view = w.view(&f.owner).await;
    let before = view.schedule(f.schedule.id).await.unwrap();
    assert_eq!(before, f.schedule, "P1: as it was");
    only_its_own(
        &w,
        |twin| twin.tenant.schedules,
        async |twin, unit| {
            unit.set_schedule_status(twin.schedule.id, 1, ScheduleStatus::Paused)
                .await
                .map(drop)
        },
    )
    .await;
}

/// P1: `remove_schedule`.
pub async fn isolation_remove_schedule(w: World) {
    let f = foreign(&w).await;
    let remove = async |id: ScheduleId| {
        w.change(&f.other.schedules, async |unit| {
            unit.remove_schedule(id, 1).await
        })
        .await
    };
    alike(remove(f.schedule.id).await, remove(w.id()).await);
    only_its_own(
        &w,
        |twin| twin.tenant.schedules,
        async |twin, unit| unit.remove_schedule(twin.schedule.id, 1).await,
    )
    .await;
}

/// P1: `insert_member`: another organization's members are strangers like any other.
pub async fn isolation_insert_member(w: World) {
    let f = foreign(&w).await;
    let before = members(&w, &f.owner).await;
    only_its_own(
        &w,
        |twin| twin.tenant.members,
        async |_, unit| {
            for user in [f.owner.owner, w.id()] {
                let added = unit.insert_member(user, Role::Viewer).await?;
                assert_eq!((added.role, added.version), (Role::Viewer, 1), "P1");
            }
            Ok(())
        },
    )
    .await;
    assert_eq!(members(&w, &f.owner).await, before, "P1: as it was");
}

/// P1: `set_member_role` changes the role in its own organization alone.
pub async fn isolation_set_member_role(w: World) {
    let f = foreign(&w).await;
    let set = async |user: UserId| {
        w.change(&f.other.members, async |unit| {
            unit.set_member_role(user, 1, Role::Viewer).await
        })
        .await
    };
    alike(set(f.owner.owner).await, set(w.id()).await);
    let two = only_its_own(
        &w,
        |twin| twin.tenant.members,
        async |twin, unit| {
            unit.set_member_role(twin.member, 1, Role::Viewer)
                .await
                .map(drop)
        },
    )
    .await;
    let roles = w.store.memberships(two.member).await.unwrap();
    let there = |m: &&trueno_core::model::Membership| m.organization == two.tenant.id;
    for membership in &roles {
        let wanted = if there(&membership) {
            Role::Viewer
        } else {
            Role::Approver
        };
        assert_eq!(membership.role, wanted, "P1: {membership:?}");
    }
    assert_eq!(roles.len(), 2);
}

/// P1: `remove_member` ends the membership in its own organization alone, and what the member was
/// assigned to in another one stays.
pub async fn isolation_remove_member(w: World) {
    let f = foreign(&w).await;
    let remove = async |user: UserId| {
        w.change(&f.other.members, async |unit| {
            unit.remove_member(user, 1).await
        })
        .await
    };
    alike(remove(f.owner.owner).await, remove(w.id()).await);
    assert_eq!(members(&w, &f.owner).await.len(), 1, "P1: as it was");
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        w.change(&twin.tenant.findings, async |unit| {
            unit.assign_finding(twin.finding(), 1, Some(twin.member))
                .await
        })
        .await
        .unwrap();
    }
    let before = everything(&w, &one).await;
    w.change(&two.tenant.members, async |unit| {
        unit.remove_member(two.member, 1).await
    })
    .await
    .unwrap();
    assert_eq!(everything(&w, &one).await, before, "P1: as it was");
    let unassigned = w.read_finding(&two.tenant, two.finding()).await;
    assert_eq!(unassigned.assignee, None);
}

/// P1: `erase_organization` erases its own alone, also where another one shares every id.
pub async fn isolation_erase_organization(w: World) {
    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    let owner = two.tenant.owner;
    let scope = w.scope(&two.tenant, owner, Action::EraseOrganization).await;
    w.change(&scope, async |unit| unit.erase_organization().await)
        .await
        .unwrap();
    assert_eq!(everything(&w, &one).await, before, "P1: as it was");
    w.find(&one.run, &["vol-2"]).await;
    let left = w.store.memberships(one.member).await.unwrap();
    assert_eq!(left.len(), 1, "a member of both is one of the other still");
    assert_eq!(left[0].organization, one.tenant.id);
}
