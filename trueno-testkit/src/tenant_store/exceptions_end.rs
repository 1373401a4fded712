//! How exceptions end: one at a time for each finding, with the finding, or with their time.

use std::sync::Arc;
use std::time::Duration;

use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::id::FindingId;
use trueno_core::model::{Exception, ExceptionStatus, FindingStatus, Role};
use trueno_core::port::PageRequest;
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::state::exception::ExceptionDecision;

use super::World;
use super::exceptions::{Asked, read};
use super::paging::every_page;
use crate::suite::refused;

/// A finding has one live exception, which waits or holds; once it ended, the next may be asked for.
pub async fn a_finding_has_one_live_exception(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    for ends in [
        ExceptionStatus::Rejected,
        ExceptionStatus::Withdrawn,
        ExceptionStatus::Lapsed,
    ] {
        let waiting = asked.exception(&w).await;
        let second = w.new_exception(asked.finding.id).await;
        let answer = w.request(&tenant.findings, second.clone()).await;
        refused(answer, ErrorKind::AlreadyExists, "while one waits");
        if ends == ExceptionStatus::Rejected {
            w.decide(&asked.approver, &waiting, ExceptionDecision::Reject)
                .await
                .unwrap();
        } else {
            let held = w
                .decide(&asked.approver, &waiting, ExceptionDecision::Approve)
                .await
                .unwrap();
            let answer = w.request(&tenant.findings, second).await;
            refused(answer, ErrorKind::AlreadyExists, "while one holds");
            if ends == ExceptionStatus::Withdrawn {
                w.decide(&asked.analyst, &held, ExceptionDecision::Withdraw)
                    .await
                    .unwrap();
            } else {
                w.store.lapse_exceptions(held.expires_at, 10).await.unwrap();
            }
        }
        assert_eq!(read(&w, tenant, &waiting).await.status, ends);
    }
    let next = asked.exception(&w).await;
    assert_eq!(next.status, ExceptionStatus::Requested, "the next is free");
}

/// So it is where several members ask at the same time: one is first.
pub async fn of_concurrent_requests_one_is_applied(w: World) {
    let asked = Arc::new(Asked::new(&w).await);
    let w = Arc::new(w);
    let requests = (0..4).map(|_| {
        let (w, asked) = (w.clone(), asked.clone());
        tokio::spawn(async move {
            let new = w.new_exception(asked.finding.id).await;
            w.request(&asked.analyst, new).await
        })
    });
    let mut applied = 0;
    for answer in futures::future::join_all(requests).await {
        match answer.unwrap() {
            Ok(_) => applied += 1,
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict)
                    && error.certainly_not_applied(),
                "who came second: {error:?}"
            ),
        }
    }
    assert_eq!(applied, 1, "one was first");
    let mut view = w.view(&asked.team.tenant).await;
    let page = PageRequest::largest();
    let found = view.exceptions(&ExceptionFilter::default(), &page).await;
    assert_eq!(found.unwrap().items.len(), 1);
}

/// P8: what a complete look no longer finds is resolved, excepted or not, and its exception is
/// closed with it, whether it waited or held: there is nothing left to except. Found again, the
/// finding is reopened and takes another one.
pub async fn resolving_closes_the_exception(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let account = w.view(tenant).await.account(asked.finding.account).await;
    let account = account.unwrap();
    for held in [false, true] {
        let exception = if held {
            asked.approved(&w).await
        } else {
            asked.exception(&w).await
        };
        let finding = asked.finding(&w).await;
        w.scan_of(tenant, &account, &[], &["vol-1"]).await;
        let closed = read(&w, tenant, &exception).await;
        let wanted = Exception {
            status: ExceptionStatus::Closed,
            version: exception.version + 1,
            changed_at: closed.changed_at,
            ..exception
        };
        assert_eq!(closed, wanted);
        let resolved = asked.finding(&w).await;
        assert_eq!(
            (resolved.status, resolved.version),
            (FindingStatus::Resolved, finding.version + 1)
        );
        w.scan_of(tenant, &account, &["vol-1"], &[]).await;
        assert_eq!(
            asked.finding(&w).await.status,
            FindingStatus::Reopened,
            "no exception from before covers it"
        );
        let read = read(&w, tenant, &closed).await;
        assert_eq!(read, closed, "it ended for good");
    }
}

/// A scan that was given up leaves the exceptions of what it resolved as they were (P2).
pub async fn a_dropped_batch_closes_no_exception(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let exception = asked.approved(&w).await;
    let account = w.view(tenant).await.account(asked.finding.account).await;
    let run = w.running_scan_of(tenant, account.unwrap()).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    let key = asked.finding.draft.key.clone();
    ingest.resolve_findings(vec![key]).await.unwrap();
    drop(ingest);
    assert_eq!(read(&w, tenant, &exception).await, exception);
    assert_eq!(asked.finding(&w).await.status, FindingStatus::Suppressed);
}

/// What ended takes no decision, and what was approved only that it is withdrawn.
pub async fn what_ended_is_decided_no_more(w: World) {
    use ExceptionDecision::{Approve, Reject, Withdraw};
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let refuse = async |exception: &Exception, decisions: &[ExceptionDecision]| {
        for decision in decisions {
            let answer = w.decide(&asked.approver, exception, *decision).await;
            let what = format!("{decision:?} of what is {}", exception.status);
            refused(answer, ErrorKind::InvalidTransition, &what);
        }
        assert_eq!(read(&w, tenant, exception).await, *exception, "as it was");
    };
    for last in [Reject, Withdraw] {
        let asks = asked.exception(&w).await;
        let ended = w.decide(&asked.approver, &asks, last).await.unwrap();
        refuse(&ended, &[Approve, Reject, Withdraw]).await;
    }
    let approved = asked.approved(&w).await;
    refuse(&approved, &[Approve, Reject]).await;
    let expires_at = approved.expires_at;
    assert_eq!(w.store.lapse_exceptions(expires_at, 10).await.unwrap(), 1);
    let lapsed = read(&w, tenant, &approved).await;
    refuse(&lapsed, &[Approve, Reject, Withdraw]).await;
    let asks = asked.exception(&w).await;
    let account = w.view(tenant).await.account(asked.finding.account).await;
    w.scan_of(tenant, &account.unwrap(), &[], &["vol-1"]).await;
    let closed = read(&w, tenant, &asks).await;
    refuse(&closed, &[Approve, Reject, Withdraw]).await;
}

/// One whose time ran out, by the store's clock, is approved no more, though nobody has ended it
/// yet; it can still be rejected or withdrawn.
pub async fn what_expired_is_not_approved(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    for decision in [ExceptionDecision::Reject, ExceptionDecision::Withdraw] {
        let lasts = Duration::from_secs(1);
        let new = w.new_exception_that_lasts(asked.finding.id, lasts).await;
        let exception = w.request(&asked.analyst, new).await.unwrap();
        // A clock that is moved by hand moves at once; a database's goes on by itself.
        while w.now().await <= exception.expires_at {
            w.advance(lasts).await;
            tokio::time::sleep(lasts / 20).await;
        }
        let answer = w
            .decide(&asked.approver, &exception, ExceptionDecision::Approve)
            .await;
        refused(answer, ErrorKind::InvalidTransition, "its time ran out");
        assert_eq!(read(&w, tenant, &exception).await, exception, "as it was");
        assert_eq!(asked.finding(&w).await, asked.finding, "as it was");
        w.decide(&asked.approver, &exception, decision)
            .await
            .unwrap();
    }
}

/// Exceptions come newest first, each once, through every filter.
pub async fn exceptions_come_newest_first(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let admin = w
        .scope_of(&asked.team, Role::Admin, Action::DecideExceptions)
        .await;
    let other = w.new_finding(tenant).await;
    let mut all: Vec<Exception> = Vec::new();
    for (finding, decision) in [
        (asked.finding.id, Some(ExceptionDecision::Reject)),
        (other.id, Some(ExceptionDecision::Withdraw)),
        (asked.finding.id, Some(ExceptionDecision::Withdraw)),
        (other.id, Some(ExceptionDecision::Approve)),
        (asked.finding.id, None),
    ] {
        let new = w.new_exception(finding).await;
        let mut exception = w.request(&asked.analyst, new).await.unwrap();
        if let Some(decision) = decision {
            exception = w.decide(&admin, &exception, decision).await.unwrap();
        }
        all.insert(0, exception);
    }
    let nowhere = FindingId::of(other.account, "no/such/key");
    let statuses = ExceptionStatus::ALL.iter().copied().map(Some);
    for status in statuses.chain([None]) {
        for finding in [Some(asked.finding.id), Some(other.id), Some(nowhere), None] {
            let mut filter = ExceptionFilter::default();
            filter.status = status;
            filter.finding = finding;
            let passes = |exception: &&Exception| {
                status.is_none_or(|status| exception.status == status)
                    && finding.is_none_or(|finding| exception.finding == finding)
            };
            let wanted: Vec<Exception> = all.iter().filter(passes).cloned().collect();
            for limit in [1, 2, 1_000] {
                let mut view = w.view(tenant).await;
                let found =
                    every_page(limit, async |page| view.exceptions(&filter, &page).await).await;
                assert_eq!(found, wanted, "{filter:?} in pages of {limit}");
            }
        }
    }
}
