//! Exceptions whose time ran out: a system path across organizations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use trueno_core::model::{Actor, AuditTarget, Exception, ExceptionStatus, FindingStatus};
use trueno_core::state::exception::ExceptionDecision;

use super::World;
use super::exceptions::{Asked, read};
use super::lifecycle::{same_history, status};
use crate::suite::near;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn target(kind: &str, id: impl ToString) -> AuditTarget {
    AuditTarget {
        kind: kind.to_owned(),
        id: id.to_string(),
    }
}

/// One that held lapses when its time ran out, not before: it says so, its finding is reopened by
/// the system, and an event of its organization is staged, together (P2). It lapses once.
pub async fn an_exception_lapses_and_reopens_its_finding(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let approved = asked.approved(&w).await;
    let suppressed = asked.finding(&w).await;
    w.forget_staged().await;
    let early = approved.expires_at - Duration::from_millis(1);
    assert_eq!(w.store.lapse_exceptions(early, 10).await.unwrap(), 0);
    assert_eq!(read(&w, tenant, &approved).await, approved, "not before");
    assert_eq!(asked.finding(&w).await, suppressed, "not before");

    let before = w.now().await;
    let now = approved.expires_at;
    assert_eq!(w.store.lapse_exceptions(now, 10).await.unwrap(), 1);
    let after = w.now().await;
    let lapsed = read(&w, tenant, &approved).await;
    let wanted = Exception {
        status: ExceptionStatus::Lapsed,
        version: approved.version + 1,
        changed_at: lapsed.changed_at,
        ..approved.clone()
    };
    assert_eq!(lapsed, wanted);
    near(lapsed.changed_at, before, after, "when it lapsed");
    let reopened = asked.finding(&w).await;
    assert_eq!(
        (reopened.status, reopened.version),
        (FindingStatus::Reopened, suppressed.version + 1)
    );
    let history = w.history(tenant, reopened.id).await;
    let wanted = status(
        &reopened,
        Actor::System,
        FindingStatus::Suppressed,
        FindingStatus::Reopened,
    );
    same_history(&history[2..], &[wanted]);

    let staged = w.staged().await;
    assert_eq!(staged.len(), 1, "P2: one change, one event: {staged:?}");
    let event = &staged[0];
    assert_eq!(
        (event.organization, event.actor, &*event.action),
        (tenant.id, Actor::System, "exception.lapsed")
    );
    let targets = [
        target("exception", approved.id),
        target("finding", approved.finding),
    ];
    assert_eq!(event.targets, targets);
    near(event.occurred_at, before, after, "when it happened");

    assert_eq!(w.store.lapse_exceptions(now + DAY, 10).await.unwrap(), 0);
    assert_eq!(read(&w, tenant, &approved).await, lapsed, "it ended");
    assert_eq!(w.staged().await.len(), 1, "it lapsed once");
}

/// One that waits lapses too, and leaves its finding as it is.
pub async fn a_request_lapses_too(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let exception = asked.exception(&w).await;
    w.forget_staged().await;
    let now = exception.expires_at + DAY;
    assert_eq!(w.store.lapse_exceptions(now, 10).await.unwrap(), 1);
    let lapsed = read(&w, tenant, &exception).await;
    assert_eq!(
        (lapsed.status, lapsed.approver),
        (ExceptionStatus::Lapsed, None)
    );
    assert_eq!(asked.finding(&w).await, asked.finding, "as it was");
    assert_eq!(w.history(tenant, asked.finding.id).await.len(), 1);
    assert_eq!(w.actions_of(tenant).await, ["exception.lapsed"]);
}

/// What was rejected, withdrawn or closed does not lapse.
pub async fn what_has_ended_does_not_lapse(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let mut ended = Vec::new();
    for decision in [ExceptionDecision::Reject, ExceptionDecision::Withdraw] {
        let exception = asked.exception(&w).await;
        let decided = w.decide(&asked.approver, &exception, decision).await;
        ended.push(decided.unwrap());
    }
    let exception = asked.approved(&w).await;
    let account = w.view(tenant).await.account(asked.finding.account).await;
    w.scan_of(tenant, &account.unwrap(), &[], &["vol-1"]).await;
    ended.push(read(&w, tenant, &exception).await);
    w.forget_staged().await;
    let late = exception.expires_at + 400 * DAY;
    assert_eq!(w.store.lapse_exceptions(late, 10).await.unwrap(), 0);
    for exception in ended {
        assert_eq!(read(&w, tenant, &exception).await, exception);
    }
    assert_eq!(w.staged().await, [], "nothing happened, so no event");
}

/// Exceptions that last 1 to `count` days, in turns in two organizations.
async fn asked_in_turns(w: &World, count: u32) -> (Asked, Asked, Timestamp, Vec<Exception>) {
    let (one, two) = (Asked::new(w).await, Asked::new(w).await);
    let start = w.now().await;
    let mut exceptions = Vec::new();
    for nth in 1..=count {
        let of = if nth % 2 == 1 { &one } else { &two };
        let finding = w.new_finding(&of.team.tenant).await;
        let new = w.new_exception_that_lasts(finding.id, nth * DAY).await;
        let exception = w.request(&of.analyst, new).await.unwrap();
        let approved = w
            .decide(&of.approver, &exception, ExceptionDecision::Approve)
            .await;
        exceptions.push(approved.unwrap());
    }
    w.forget_staged().await;
    (one, two, start, exceptions)
}

/// It crosses organizations, the oldest end first and no more than was asked for; each one's event
/// and history are its own organization's (P1).
pub async fn isolation_lapse_exceptions(w: World) {
    let (one, two, start, exceptions) = asked_in_turns(&w, 5).await;
    let (first, second) = (&one.team.tenant, &two.team.tenant);
    // Four have run out by then.
    let now = start + 4 * DAY + DAY / 2;
    for (limit, count, lapsed) in [(0, 0, 0), (3, 3, 3), (3, 1, 4), (3, 0, 4)] {
        let answer = w.store.lapse_exceptions(now, limit).await.unwrap();
        assert_eq!(answer, count, "up to {limit}");
        for (nth, exception) in exceptions.iter().enumerate() {
            let tenant = if nth % 2 == 0 { first } else { second };
            let wanted = match nth < lapsed {
                true => (ExceptionStatus::Lapsed, FindingStatus::Reopened),
                false => (ExceptionStatus::Approved, FindingStatus::Suppressed),
            };
            let status = read(&w, tenant, exception).await.status;
            let finding = w.read_finding(tenant, exception.finding).await.status;
            assert_eq!((status, finding), wanted, "the oldest end first: {nth}");
        }
        assert_eq!(w.staged().await.len(), lapsed, "one event each");
    }
    for (tenant, parity) in [(first, 0), (second, 1)] {
        let ids: BTreeSet<String> = w
            .staged_of(tenant)
            .await
            .iter()
            .map(|event| event.targets[0].id.clone())
            .collect();
        let of = |nth: usize| exceptions[nth].id.to_string();
        let wanted = BTreeSet::from([of(parity), of(parity + 2)]);
        assert_eq!(ids, wanted, "P1: its own alone");
    }
}

/// Two processors at once let each exception lapse once, with one event.
pub async fn each_exception_lapses_once(w: World) {
    const COUNT: u32 = 6;
    let (.., exceptions) = asked_in_turns(&w, COUNT).await;
    let now = exceptions.iter().map(|e| e.expires_at).max().unwrap();
    let w = Arc::new(w);
    let mut lapsed = 0;
    // What one passed over because another was at it is there for the next round.
    for _ in 0..COUNT {
        let calls = (0..3).map(|_| {
            let w = Arc::clone(&w);
            tokio::spawn(async move { w.store.lapse_exceptions(now, 4).await.unwrap() })
        });
        for answer in futures::future::join_all(calls).await {
            lapsed += answer.unwrap();
        }
    }
    assert_eq!(lapsed, u64::from(COUNT), "each once");
    let mut ids: Vec<String> = w
        .staged()
        .await
        .iter()
        .map(|event| event.targets[0].id.clone())
        .collect();
    ids.sort();
    let mut wanted: Vec<_> = exceptions.iter().map(|e| e.id.to_string()).collect();
    wanted.sort();
    assert_eq!(ids, wanted, "P2: one event each");
}
