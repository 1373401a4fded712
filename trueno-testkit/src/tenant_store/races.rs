//! What happens at the same time ends as if it had happened one after the other.

use std::sync::Arc;

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Actor, ChangeOfFinding, ExceptionStatus, FindingStatus, Role};
use trueno_core::port::PageRequest;
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::assignments::assign;
use super::exceptions::{Asked, read};
use super::members::remove;
use crate::fixtures::finding_id;

/// How often each race is run: who wins changes.
const ROUNDS: usize = 6;

/// Passes who was applied, and who came second and was told so.
#[track_caller]
fn in_turn<T>(answer: Result<T>, refusals: &[ErrorKind]) {
    if let Err(error) = answer {
        second(&error, refusals);
    }
}

#[track_caller]
fn second(error: &Error, refusals: &[ErrorKind]) {
    let told = error.kind() == ErrorKind::Conflict || refusals.contains(&error.kind());
    assert!(
        told && error.certainly_not_applied(),
        "who came second: {error:?}"
    );
}

/// A finding is never left to somebody who is no member: not even where a member is removed while
/// another one assigns to it.
pub async fn nobody_is_assigned_who_is_no_member(w: World) {
    let w = Arc::new(w);
    let tenant = w.organization().await;
    for _ in 0..ROUNDS {
        let leaves = w.member(&tenant, Role::Analyst).await;
        let member = w.read_member(&tenant, leaves).await;
        let new = w.new_finding(&tenant).await;
        let removes = tokio::spawn({
            let (w, tenant) = (Arc::clone(&w), tenant.clone());
            async move { remove(&w, &tenant.members, &member).await }
        });
        let assigns = tokio::spawn({
            let (w, tenant, new) = (Arc::clone(&w), tenant.clone(), new.clone());
            async move { assign(&w, &tenant, &new, leaves).await }
        });
        in_turn(assigns.await.unwrap(), &[ErrorKind::NotFound]);
        let removed = removes.await.unwrap();
        let finding = w.read_finding(&tenant, new.id).await;
        match removed {
            Ok(()) => assert_eq!(finding.assignee, None, "nobody who is no member"),
            Err(error) => second(&error, &[]),
        }
    }
}

/// What is resolved has no live exception, though one is asked for or approved while a look resolves
/// it: the look is applied all the same (P8).
pub async fn what_is_resolved_has_no_live_exception(w: World) {
    let asked = Arc::new(Asked::new(&w).await);
    let tenant = asked.team.tenant.clone();
    let account = w.view(&tenant).await.account(asked.finding.account).await;
    let account = account.unwrap();
    let w = Arc::new(w);
    for round in 0..ROUNDS {
        let waiting = match round % 2 {
            0 => None,
            _ => Some(asked.exception(&w).await),
        };
        let run = w.running_scan_of(&tenant, account.clone()).await;
        let look = tokio::spawn({
            let w = Arc::clone(&w);
            async move {
                w.resolve(&run, &["vol-1"]).await;
                run
            }
        });
        let excepts = tokio::spawn({
            let (w, asked) = (Arc::clone(&w), Arc::clone(&asked));
            async move {
                match waiting {
                    Some(waiting) => {
                        let approve = ExceptionDecision::Approve;
                        w.decide(&asked.approver, &waiting, approve).await.map(drop)
                    }
                    None => {
                        let new = w.new_exception(asked.finding.id).await;
                        w.request(&asked.analyst, new).await.map(drop)
                    }
                }
            }
        });
        let run = look.await.unwrap();
        in_turn(excepts.await.unwrap(), &[ErrorKind::InvalidTransition]);
        let resolved = asked.finding(&w).await;
        assert_eq!(resolved.status, FindingStatus::Resolved, "P8");
        let mut view = w.view(&tenant).await;
        let page = PageRequest::largest();
        let all = view.exceptions(&ExceptionFilter::default(), &page).await;
        for exception in all.unwrap().items {
            assert!(!exception.status.is_live(), "nothing is left to except");
        }
        w.find(&run, &["vol-1"]).await;
        w.complete(&run).await;
        let found = asked.finding(&w).await;
        assert_eq!(found.status, FindingStatus::Reopened);
    }
}

/// An exception ends once, though it is withdrawn while its time runs out; its finding is reopened
/// once.
pub async fn an_exception_ends_once(w: World) {
    let asked = Arc::new(Asked::new(&w).await);
    let tenant = asked.team.tenant.clone();
    let w = Arc::new(w);
    for _ in 0..ROUNDS {
        let approved = asked.approved(&w).await;
        let rows = w.history(&tenant, asked.finding.id).await.len();
        let lapses = tokio::spawn({
            let (w, now) = (Arc::clone(&w), approved.expires_at);
            async move { w.store.lapse_exceptions(now, 10).await }
        });
        let withdraws = tokio::spawn({
            let (w, asked, approved) = (w.clone(), asked.clone(), approved.clone());
            async move {
                let withdraw = ExceptionDecision::Withdraw;
                w.decide(&asked.analyst, &approved, withdraw).await
            }
        });
        let lapsed = lapses.await.unwrap().unwrap();
        let withdrawn = withdraws.await.unwrap();
        assert_ne!(lapsed == 1, withdrawn.is_ok(), "one of the two");
        let status = read(&w, &tenant, &approved).await.status;
        let wanted = match lapsed {
            1 => ExceptionStatus::Lapsed,
            _ => ExceptionStatus::Withdrawn,
        };
        assert_eq!(status, wanted);
        in_turn(withdrawn, &[ErrorKind::InvalidTransition]);
        let finding = asked.finding(&w).await;
        assert_eq!(finding.status, FindingStatus::Reopened);
        let now = w.history(&tenant, asked.finding.id).await.len();
        assert_eq!(now, rows + 1, "it was reopened once");
    }
}

/// A look and members who act at the same time do not disturb each other: the look is applied, a
/// member's step is applied or a conflict, and the history tells one story.
pub async fn a_look_and_members_do_not_disturb_each_other(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    w.scan_of(&tenant, &account, &["vol-1", "vol-2"], &[]).await;
    let id = finding_id(account.id, "vol-1");
    let w = Arc::new(w);
    let mut applied = 0;
    for round in 0..ROUNDS {
        let run = w.running_scan_of(&tenant, account.clone()).await;
        let look = tokio::spawn({
            let w = Arc::clone(&w);
            async move {
                w.find(&run, &["vol-2", "vol-1"]).await;
                if round % 3 == 2 {
                    w.resolve(&run, &["vol-1"]).await;
                }
                w.complete(&run).await;
            }
        });
        let member = tokio::spawn({
            let (w, tenant) = (Arc::clone(&w), tenant.clone());
            async move {
                let steps = [FindingStep::Acknowledge, FindingStep::Start];
                let now = w.read_finding(&tenant, id).await;
                w.step(&tenant.findings, &now, steps[round % 2]).await
            }
        });
        look.await.unwrap();
        match member.await.unwrap() {
            Ok(_) => applied += 1,
            Err(error) => second(&error, &[ErrorKind::InvalidTransition]),
        }
    }
    let history = w.history(&tenant, id).await;
    assert!(
        history.is_sorted_by(|a, b| a.version < b.version),
        "{history:?}"
    );
    let mut now = None;
    let mut steps = 0;
    for change in &history {
        let ChangeOfFinding::Status { from, to } = change.what else {
            panic!("nobody was assigned: {change:?}");
        };
        assert_eq!(from, now, "one story: {history:?}");
        now = Some(to);
        steps += usize::from(matches!(change.actor, Actor::Member { .. }));
    }
    assert_eq!(steps, applied, "every step that was applied, once");
    assert_eq!(Some(w.read_finding(&tenant, id).await.status), now);
}
