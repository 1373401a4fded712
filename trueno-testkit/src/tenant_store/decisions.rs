//! Decisions about exceptions: who withdraws, and which of several counts.

use std::sync::Arc;

use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::model::{Exception, ExceptionStatus, FindingStatus, Role};
use trueno_core::state::exception::ExceptionDecision;

use super::World;
use super::exceptions::{Asked, read};
use super::lifecycle::{same_history, status};
use crate::suite::refused;

/// Rejecting leaves the finding as it is, and says who rejected.
pub async fn rejecting_leaves_the_finding(w: World) {
    let asked = Asked::new(&w).await;
    let exception = asked.exception(&w).await;
    let rejected = w
        .decide(&asked.approver, &exception, ExceptionDecision::Reject)
        .await
        .unwrap();
    let wanted = Exception {
        status: ExceptionStatus::Rejected,
        approver: Some(asked.team.member(Role::Approver)),
        version: 2,
        changed_at: rejected.changed_at,
        ..exception
    };
    assert_eq!(rejected, wanted);
    assert_eq!(asked.finding(&w).await, asked.finding, "as it was");
    assert_eq!(
        w.history(&asked.team.tenant, asked.finding.id).await.len(),
        1
    );
}

/// The requester takes an exception back, before or after it was approved, and so does whoever may
/// decide; nobody else. One that held reopens its finding, and the history says by whom.
pub async fn an_exception_is_withdrawn(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let admin = w
        .scope_of(&asked.team, Role::Admin, Action::DecideExceptions)
        .await;
    let other = w.member(tenant, Role::Analyst).await;
    let other = w.scope(tenant, other, Action::WorkFindings).await;
    for scope in [&asked.analyst, &asked.approver, &admin] {
        let before = asked.finding(&w).await;
        let waiting = asked.exception(&w).await;
        let answer = w
            .decide(&other, &waiting, ExceptionDecision::Withdraw)
            .await;
        refused(answer, ErrorKind::Denied, "an analyst who did not ask");
        let withdrawn = w
            .decide(scope, &waiting, ExceptionDecision::Withdraw)
            .await
            .unwrap();
        assert_eq!(
            (withdrawn.status, withdrawn.approver, withdrawn.version),
            (ExceptionStatus::Withdrawn, None, 2)
        );
        assert_eq!(asked.finding(&w).await, before, "it only waited");

        let approved = asked.approved(&w).await;
        let suppressed = asked.finding(&w).await;
        let answer = w
            .decide(&other, &approved, ExceptionDecision::Withdraw)
            .await;
        refused(answer, ErrorKind::Denied, "an analyst who did not ask");
        let withdrawn = w
            .decide(scope, &approved, ExceptionDecision::Withdraw)
            .await
            .unwrap();
        assert_eq!(
            (withdrawn.status, withdrawn.approver, withdrawn.version),
            (ExceptionStatus::Withdrawn, approved.approver, 3)
        );
        assert_eq!(read(&w, tenant, &withdrawn).await, withdrawn);
        let reopened = asked.finding(&w).await;
        assert_eq!(
            (reopened.status, reopened.version),
            (FindingStatus::Reopened, suppressed.version + 1)
        );
        let history = w.history(tenant, reopened.id).await;
        let wanted = status(
            &reopened,
            scope.actor(),
            FindingStatus::Suppressed,
            FindingStatus::Reopened,
        );
        same_history(&history[history.len() - 1..], &[wanted]);
    }
}

/// Optimistic concurrency: a decision about another version than the present one is a conflict,
/// one about a missing exception finds nothing.
pub async fn a_decision_about_an_old_version_is_a_conflict(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let old = asked.exception(&w).await;
    let present = w
        .decide(&asked.approver, &old, ExceptionDecision::Approve)
        .await
        .unwrap();
    let future = Exception {
        version: present.version + 1,
        ..present.clone()
    };
    let missing = Exception {
        id: w.id(),
        ..present.clone()
    };
    for (row, kind, what) in [
        (&old, ErrorKind::Conflict, "an old version"),
        (&future, ErrorKind::Conflict, "a version not there yet"),
        (&missing, ErrorKind::NotFound, "one that is not there"),
    ] {
        let decision = ExceptionDecision::Withdraw;
        refused(w.decide(&asked.approver, row, decision).await, kind, what);
    }
    assert_eq!(read(&w, tenant, &present).await, present, "as it was");
}

/// Optimistic concurrency: of decisions at the same time one is applied, with what it does to the
/// finding, once.
pub async fn of_concurrent_decisions_one_is_applied(w: World) {
    let asked = Arc::new(Asked::new(&w).await);
    let exception = asked.exception(&w).await;
    let w = Arc::new(w);
    let decisions = [
        ExceptionDecision::Approve,
        ExceptionDecision::Reject,
        ExceptionDecision::Approve,
        ExceptionDecision::Withdraw,
    ];
    let decisions = decisions.map(|decision| {
        let (w, asked, exception) = (w.clone(), asked.clone(), exception.clone());
        tokio::spawn(async move { w.decide(&asked.approver, &exception, decision).await })
    });
    let mut applied = Vec::new();
    for answer in futures::future::join_all(decisions).await {
        match answer.unwrap() {
            Ok(decided) => applied.push(decided),
            lost => drop(refused(lost, ErrorKind::Conflict, "who came second")),
        }
    }
    let tenant = &asked.team.tenant;
    assert_eq!(applied.len(), 1, "exactly one was applied: {applied:?}");
    assert_eq!(read(&w, tenant, &exception).await, applied[0]);
    let approved = applied[0].status == ExceptionStatus::Approved;
    let finding = asked.finding(&w).await;
    assert_eq!(finding.status == FindingStatus::Suppressed, approved);
    let rows = w.history(tenant, finding.id).await.len();
    assert_eq!(rows, if approved { 2 } else { 1 });
}
