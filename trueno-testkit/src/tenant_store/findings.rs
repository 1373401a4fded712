//! What members do with findings: the steps of its machine.

use std::sync::Arc;

use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::id::FindingId;
use trueno_core::model::{
    Actor, EventDraft, ExceptionStatus, Finding, FindingStatus, NewComment, Role,
};
use trueno_core::port::{PageRequest, UnitOfWork};
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::assignments::assign;
use super::lifecycle::{same_history, status};
use super::paging::every_page;
use crate::fixtures::finding_id;
use crate::suite::{near, refused};

/// A member's steps go through the machine: each counts the version up by one and adds to the
/// history who took it and when. One that the machine does not allow changes nothing.
pub async fn a_members_steps_go_through_the_machine(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let analyst = team.member(Role::Analyst);
    let scope = w.scope(tenant, analyst, Action::WorkFindings).await;
    let mut now = w.new_finding(tenant).await;
    let mut wanted = w.history(tenant, now.id).await;
    for (step, to) in [
        (FindingStep::PutBack, None),
        (FindingStep::Acknowledge, Some(FindingStatus::Acknowledged)),
        (FindingStep::Acknowledge, None),
        (FindingStep::Start, Some(FindingStatus::InProgress)),
        (FindingStep::Start, None),
        (FindingStep::Acknowledge, Some(FindingStatus::Acknowledged)),
        (FindingStep::PutBack, Some(FindingStatus::Open)),
        (FindingStep::Start, Some(FindingStatus::InProgress)),
        (FindingStep::PutBack, Some(FindingStatus::Open)),
    ] {
        let before = w.now().await;
        let answer = w.step(&scope, &now, step).await;
        let Some(to) = to else {
            let what = format!("{step:?} of what is {}", now.status);
            refused(answer, ErrorKind::InvalidTransition, &what);
            assert_eq!(w.read_finding(tenant, now.id).await, now, "{what}");
            continue;
        };
        let stepped = answer.unwrap();
        assert_eq!((stepped.status, stepped.version), (to, now.version + 1));
        let untouched = Finding {
            status: now.status,
            version: now.version,
            ..stepped.clone()
        };
        assert_eq!(untouched, now, "nothing but its status changed");
        assert_eq!(w.read_finding(tenant, now.id).await, stepped);
        wanted.push(status(
            &stepped,
            Actor::Member { user: analyst },
            now.status,
            to,
        ));
        let history = w.history(tenant, now.id).await;
        same_history(&history, &wanted);
        let moment = history.last().unwrap().occurred_at;
        near(moment, before, w.now().await, "when the step was taken");
        now = stepped;
    }
}

/// What is resolved takes no step of a member.
pub async fn what_is_resolved_takes_no_step(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    w.scan_of(&tenant, &account, &["vol-1"], &["vol-1"]).await;
    let id = finding_id(account.id, "vol-1");
    let resolved = w.read_finding(&tenant, id).await;
    for step in [
        FindingStep::Acknowledge,
        FindingStep::Start,
        FindingStep::PutBack,
    ] {
        let answer = w.step(&tenant.findings, &resolved, step).await;
        refused(answer, ErrorKind::InvalidTransition, "P8: it is gone");
    }
    assert_eq!(w.read_finding(&tenant, id).await, resolved, "as it was");
}

/// Optimistic concurrency: a change of another version than the present one is a conflict, also
/// where a scan changed the row since, and one of a missing finding finds nothing.
pub async fn a_change_of_an_old_finding_is_a_conflict(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let id = finding_id(account.id, "vol-1");
    let old = w.read_finding(&tenant, id).await;
    w.scan_of(&tenant, &account, &["vol-1"], &[]).await;
    let present = w.read_finding(&tenant, id).await;
    let future = Finding {
        version: present.version + 1,
        ..present.clone()
    };
    let missing = Finding {
        id: FindingId::of(account.id, "no/such/key"),
        ..present.clone()
    };
    for (row, kind, what) in [
        (&old, ErrorKind::Conflict, "an old version"),
        (&future, ErrorKind::Conflict, "a version not there yet"),
        (&missing, ErrorKind::NotFound, "a finding that is not there"),
    ] {
        let step = FindingStep::Acknowledge;
        refused(w.step(&tenant.findings, row, step).await, kind, what);
        refused(assign(&w, &tenant, row, tenant.owner).await, kind, what);
    }
    assert_eq!(w.read_finding(&tenant, id).await, present, "as it was");
    assert_eq!(w.history(&tenant, id).await.len(), 2);
}

/// Optimistic concurrency: of changes of the same version at the same time, one is applied.
pub async fn of_concurrent_steps_one_is_applied(w: World) {
    let tenant = w.organization().await;
    let new = w.new_finding(&tenant).await;
    let w = Arc::new(w);
    let steps = (0..4).map(|_| {
        let (w, tenant, new) = (Arc::clone(&w), tenant.clone(), new.clone());
        tokio::spawn(async move {
            w.step(&tenant.findings, &new, FindingStep::Acknowledge)
                .await
        })
    });
    let mut applied = 0;
    for answer in futures::future::join_all(steps).await {
        match answer.unwrap() {
            Ok(_) => applied += 1,
            lost => drop(refused(lost, ErrorKind::Conflict, "who came second")),
        }
    }
    assert_eq!(applied, 1, "exactly one was applied");
    let read = w.read_finding(&tenant, new.id).await;
    assert_eq!(
        (read.status, read.version),
        (FindingStatus::Acknowledged, new.version + 1)
    );
    assert_eq!(w.history(&tenant, new.id).await.len(), 2, "one step, once");
}

/// The history comes oldest first, each row once, whatever the size of the pages.
pub async fn a_history_comes_in_pages(w: World) {
    let tenant = w.organization().await;
    let mut now = w.new_finding(&tenant).await;
    let other = w.new_finding(&tenant).await;
    for step in [
        FindingStep::Acknowledge,
        FindingStep::Start,
        FindingStep::PutBack,
    ] {
        now = w.step(&tenant.findings, &now, step).await.unwrap();
        now = assign(&w, &tenant, &now, tenant.owner).await.unwrap();
        now = assign(&w, &tenant, &now, None).await.unwrap();
    }
    let whole = w.history(&tenant, now.id).await;
    let versions: Vec<_> = whole.iter().map(|change| change.version).collect();
    assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "oldest first");
    for limit in [1, 3, 5, 10] {
        let mut view = w.view(&tenant).await;
        let found = every_page(limit, async |page| {
            view.finding_history(now.id, &page).await
        })
        .await;
        assert_eq!(found, whole, "in pages of {limit}");
    }
    assert_eq!(w.history(&tenant, other.id).await.len(), 1, "its own alone");
}

/// A unit of work sees its own changes: several of one finding build on each other, and commit or
/// are given up together (P2).
pub async fn a_unit_of_work_changes_a_finding_more_than_once(w: World) {
    let team = w.team().await;
    let tenant = &team.tenant;
    let new = w.new_finding(tenant).await;
    let asks = w.new_exception(new.id).await;
    let comment = NewComment::new(w.id(), new.id, "together").unwrap();
    let member = w.id();
    let several = async |unit: &mut dyn UnitOfWork| {
        let now = unit
            .step_finding(new.id, new.version, FindingStep::Start)
            .await?;
        unit.insert_member(member, Role::Analyst).await?;
        let now = unit
            .assign_finding(new.id, now.version, Some(member))
            .await?;
        unit.add_comment(comment.clone()).await?;
        let asked = unit.request_exception(asks.clone()).await?;
        unit.decide_exception(asked.id, asked.version, ExceptionDecision::Withdraw)
            .await?;
        unit.step_finding(new.id, now.version, FindingStep::PutBack)
            .await
    };
    let mut unit = w.store.begin(&tenant.members).await.unwrap();
    several(&mut *unit).await.unwrap();
    unit.rollback().await.unwrap();
    assert_eq!(w.read_finding(tenant, new.id).await, new, "P2: as it was");
    assert_eq!(w.history(tenant, new.id).await.len(), 1);

    let mut unit = w.store.begin(&tenant.members).await.unwrap();
    let last = several(&mut *unit).await.unwrap();
    let event = EventDraft::new("finding.changed", "finding", new.id);
    unit.commit(event).await.unwrap();
    assert_eq!(
        (last.status, last.assignee, last.version),
        (FindingStatus::Open, Some(member), new.version + 3)
    );
    assert_eq!(w.read_finding(tenant, new.id).await, last);
    let history = w.history(tenant, new.id).await;
    let versions: Vec<_> = history.iter().map(|change| change.version).collect();
    assert_eq!(versions, [1, 2, 3, 4], "each change has its row");
    let mut view = w.view(tenant).await;
    let exception = view.exception(asks.id()).await.unwrap();
    assert_eq!(exception.status, ExceptionStatus::Withdrawn);
    let page = PageRequest::largest();
    let comments = view.comments(new.id, &page).await.unwrap().items;
    assert_eq!(comments.len(), 1);
}
