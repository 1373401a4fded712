//! Exceptions from findings: asked for, decided by somebody else, and what they do to the finding.

use jiff::SignedDuration;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::ErrorKind;
use trueno_core::id::FindingId;
use trueno_core::model::{
    Actor, Exception, ExceptionStatus, Finding, FindingStatus, NewException, Role,
};
use trueno_core::port::FindingFilter;
use trueno_core::port::PageRequest;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::lifecycle::{same_history, status};
use crate::fixtures::{EXCEPTION_LASTS, Team, Tenant, finding_id};
use crate::suite::{near, refused};

/// An organization with a finding, its analyst who asks for an exception and its approver.
pub(super) struct Asked {
    pub(super) team: Team,
    pub(super) analyst: OrgScope,
    pub(super) approver: OrgScope,
    pub(super) finding: Finding,
}

impl Asked {
    pub(super) async fn new(w: &World) -> Self {
        let team = w.team().await;
        let finding = w.new_finding(&team.tenant).await;
        Self {
            analyst: w.scope_of(&team, Role::Analyst, Action::WorkFindings).await,
            approver: w
                .scope_of(&team, Role::Approver, Action::DecideExceptions)
                .await,
            team,
            finding,
        }
    }

    /// An exception from the finding that the analyst asked for.
    pub(super) async fn exception(&self, w: &World) -> Exception {
        let new = w.new_exception(self.finding.id).await;
        w.request(&self.analyst, new).await.unwrap()
    }

    /// One that the approver approved.
    pub(super) async fn approved(&self, w: &World) -> Exception {
        let asked = self.exception(w).await;
        w.decide(&self.approver, &asked, ExceptionDecision::Approve)
            .await
            .unwrap()
    }

    pub(super) async fn finding(&self, w: &World) -> Finding {
        w.read_finding(&self.team.tenant, self.finding.id).await
    }
}

/// The exception, as its organization sees it.
pub(super) async fn read(w: &World, tenant: &Tenant, exception: &Exception) -> Exception {
    w.view(tenant).await.exception(exception.id).await.unwrap()
}

/// An exception that is asked for waits: it says who asked, why, since when and until when, and
/// changes nothing of its finding.
pub async fn an_exception_is_asked_for(w: World) {
    let asked = Asked::new(&w).await;
    let new = w.new_exception(asked.finding.id).await;
    let before = w.now().await;
    let exception = w.request(&asked.analyst, new.clone()).await.unwrap();
    assert_eq!((exception.id, exception.finding), (new.id(), new.finding()));
    assert_eq!(
        (&*exception.reason, exception.expires_at),
        (new.reason(), new.expires_at())
    );
    assert_eq!(
        (exception.status, exception.version),
        (ExceptionStatus::Requested, 1)
    );
    assert_eq!(exception.requester, asked.team.member(Role::Analyst));
    assert_eq!(exception.approver, None);
    near(
        exception.created_at,
        before,
        w.now().await,
        "when it was asked for",
    );
    assert_eq!(exception.changed_at, exception.created_at);
    let tenant = &asked.team.tenant;
    assert_eq!(read(&w, tenant, &exception).await, exception);
    assert_eq!(asked.finding(&w).await, asked.finding, "it only waits");
    assert_eq!(w.history(tenant, asked.finding.id).await.len(), 1);
}

/// Whatever the moment at which it is to end, what was answered is what is read: as precise as the
/// store is.
pub async fn an_exception_ends_when_it_says(w: World) {
    let asked = Asked::new(&w).await;
    let now = w.now().await;
    let (tenant, finding) = (&asked.team.tenant, asked.finding.id);
    let wanted = now + EXCEPTION_LASTS + SignedDuration::from_nanos(1_234_567);
    let new = NewException::new(w.id(), finding, "a while", wanted, now).unwrap();
    let exception = w.request(&asked.analyst, new).await.unwrap();
    assert_eq!(read(&w, tenant, &exception).await, exception);
    let off = exception.expires_at.duration_since(wanted).abs();
    assert!(off < SignedDuration::from_millis(1), "off by {off:?}");
}

/// Approving suppresses the finding in the same step, by whom the history says, and for as long as
/// the exception holds: it no longer stands, is found again as it is, and takes no step.
pub async fn approving_suppresses_the_finding(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let exception = asked.exception(&w).await;
    let before = w.now().await;
    let approved = w
        .decide(&asked.approver, &exception, ExceptionDecision::Approve)
        .await
        .unwrap();
    let approver = asked.team.member(Role::Approver);
    near(approved.changed_at, before, w.now().await, "when it was");
    let wanted = Exception {
        status: ExceptionStatus::Approved,
        approver: Some(approver),
        version: 2,
        changed_at: approved.changed_at,
        ..exception
    };
    assert_eq!(approved, wanted, "nothing else of it changed");
    assert_eq!(read(&w, tenant, &approved).await, approved);

    let finding = asked.finding(&w).await;
    assert_eq!(
        (finding.status, finding.version),
        (FindingStatus::Suppressed, asked.finding.version + 1)
    );
    let by = Actor::Member { user: approver };
    let wanted = status(&finding, by, FindingStatus::New, FindingStatus::Suppressed);
    let history = w.history(tenant, finding.id).await;
    same_history(&history[1..], &[wanted]);
    let standing = FindingFilter::default().standing();
    let mut view = w.view(tenant).await;
    let found = view.findings(&standing, &PageRequest::largest()).await;
    assert_eq!(found.unwrap().items, [], "it no longer stands");
    for step in [
        FindingStep::Acknowledge,
        FindingStep::Start,
        FindingStep::PutBack,
    ] {
        let answer = w.step(&tenant.findings, &finding, step).await;
        refused(answer, ErrorKind::InvalidTransition, "it is suppressed");
    }
    let account = view.account(finding.account).await.unwrap();
    w.scan_of(tenant, &account, &["vol-1"], &[]).await;
    let found = asked.finding(&w).await;
    assert_eq!(
        found.status,
        FindingStatus::Suppressed,
        "found, and excepted"
    );
    assert_eq!(w.history(tenant, finding.id).await.len(), 2);
}

/// P11: nobody approves or rejects what they asked for, whatever their role: another one does.
pub async fn nobody_decides_about_their_own(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    for role in [Role::Owner, Role::Admin, Role::Approver] {
        let new = w.new_exception(asked.finding.id).await;
        let asks = w.scope_of(&asked.team, role, Action::WorkFindings).await;
        let exception = w.request(&asks, new).await.unwrap();
        let decides = w
            .scope_of(&asked.team, role, Action::DecideExceptions)
            .await;
        for decision in [ExceptionDecision::Approve, ExceptionDecision::Reject] {
            let answer = w.decide(&decides, &exception, decision).await;
            let what = format!("P11: {role}: {decision:?} of their own");
            let error = refused(answer, ErrorKind::Denied, &what);
            assert!(
                error.to_string().contains("requester"),
                "the message says why: {error}"
            );
        }
        assert_eq!(read(&w, tenant, &exception).await, exception, "as it was");
        assert_eq!(asked.finding(&w).await, asked.finding, "as it was");
        w.decide(&decides, &exception, ExceptionDecision::Withdraw)
            .await
            .unwrap();
    }
}

/// What is resolved, or not there, takes no exception, and no id is used twice.
pub async fn an_exception_needs_a_finding_that_stands(w: World) {
    let asked = Asked::new(&w).await;
    let tenant = &asked.team.tenant;
    let account = w.account(tenant).await;
    w.scan_of(tenant, &account, &["vol-1"], &["vol-1"]).await;
    let resolved = w.new_exception(finding_id(account.id, "vol-1")).await;
    let answer = w.request(&asked.analyst, resolved).await;
    refused(answer, ErrorKind::InvalidTransition, "it is resolved");
    let nowhere = FindingId::of(account.id, "no/such/key");
    let answer = w
        .request(&asked.analyst, w.new_exception(nowhere).await)
        .await;
    refused(answer, ErrorKind::NotFound, "a finding that is not there");

    let ended = asked.exception(&w).await;
    w.decide(&asked.approver, &ended, ExceptionDecision::Reject)
        .await
        .unwrap();
    let now = w.now().await;
    for finding in [asked.finding.id, w.new_finding(tenant).await.id] {
        let lasts = now + EXCEPTION_LASTS;
        let twin = NewException::new(ended.id, finding, "twin", lasts, now).unwrap();
        let answer = w.request(&asked.analyst, twin).await;
        refused(answer, ErrorKind::AlreadyExists, "an exception's id in use");
    }
    let read = read(&w, tenant, &ended).await;
    assert_eq!(read.status, ExceptionStatus::Rejected, "as it was");
}
