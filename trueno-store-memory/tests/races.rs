//! Rules that span rows, when units of work that each keep them commit side by side.

#![allow(clippy::unwrap_used, reason = "test code: a helper fails by panicking")]

mod common;

use common::Memory;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::ErrorKind;
use trueno_core::model::{
    ChangeOfFinding, EventDraft, ExceptionStatus, FindingStatus, NewComment, Role,
};
use trueno_core::port::{ExceptionFilter, FindingFilter, PageRequest, UnitOfWork};
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;
use trueno_testkit::fixtures::{Tenant, World, finding, finding_id};
use trueno_testkit::suite::refused;

async fn world() -> World {
    World::new(Memory::new().await).await
}

fn event() -> EventDraft {
    EventDraft::new("test.changed", "test", "it")
}

async fn begin(w: &World, scope: &OrgScope) -> Box<dyn UnitOfWork> {
    w.store.begin(scope).await.unwrap()
}

async fn roles(w: &World, tenant: &Tenant) -> Vec<Role> {
    let page = w.view(tenant).await.members(&PageRequest::largest()).await;
    page.unwrap().items.iter().map(|row| row.role).collect()
}

/// Each of two units of work leaves one owner, and both together would leave none: the second is a
/// conflict, whether it removes its owner or makes less of one.
#[tokio::test]
async fn two_units_of_work_do_not_take_both_owners_away() {
    let w = world().await;
    for demote in [true, false] {
        let tenant = w.organization().await;
        let second = w.member(&tenant, Role::Owner).await;
        let (mut one, mut other) = (
            begin(&w, &tenant.members).await,
            begin(&w, &tenant.members).await,
        );
        one.remove_member(tenant.owner, 1).await.unwrap();
        if demote {
            let role = Role::Admin;
            other.set_member_role(second, 1, role).await.unwrap();
        } else {
            other.remove_member(second, 1).await.unwrap();
        }
        one.commit(event()).await.unwrap();
        let late = other.commit(event()).await;
        refused(late, ErrorKind::Conflict, "one owner stays");
        assert_eq!(roles(&w, &tenant).await, [Role::Owner]);
        assert_eq!(w.store.memberships(second).await.unwrap().len(), 1);
    }
}

/// One unit of work that takes its owners away one by one is stopped at the last.
#[tokio::test]
async fn a_unit_of_work_counts_the_owners_it_has_left() {
    let w = world().await;
    let tenant = w.organization().await;
    let second = w.member(&tenant, Role::Owner).await;
    let mut unit = begin(&w, &tenant.members).await;
    unit.set_member_role(second, 1, Role::Viewer).await.unwrap();
    let last = unit.remove_member(tenant.owner, 1).await;
    refused(last, ErrorKind::InvalidInput, "the last owner");
    assert_eq!(roles(&w, &tenant).await, [Role::Owner, Role::Owner]);
}

/// Of two that make the same user a member at once, the second is told that it is one.
#[tokio::test]
async fn who_was_added_meanwhile_is_there_already() {
    let w = world().await;
    let tenant = w.organization().await;
    let user = w.id();
    let (mut one, mut other) = (
        begin(&w, &tenant.members).await,
        begin(&w, &tenant.members).await,
    );
    one.insert_member(user, Role::Viewer).await.unwrap();
    other.insert_member(user, Role::Admin).await.unwrap();
    one.commit(event()).await.unwrap();
    refused(
        other.commit(event()).await,
        ErrorKind::AlreadyExists,
        "the role may be changed, once it is read",
    );
    assert_eq!(roles(&w, &tenant).await, [Role::Owner, Role::Viewer]);
}

/// Who came and went while a unit of work was open that adds the same user: the version would be one
/// that somebody else may have read.
#[tokio::test]
async fn who_was_a_member_meanwhile_is_no_new_one() {
    let w = world().await;
    let tenant = w.organization().await;
    let user = w.id();
    let mut late = begin(&w, &tenant.members).await;
    assert_eq!(
        late.insert_member(user, Role::Admin).await.unwrap().version,
        1
    );
    let meanwhile = async |unit: &mut dyn UnitOfWork| unit.insert_member(user, Role::Viewer).await;
    let former = w.change(&tenant.members, meanwhile).await.unwrap();
    w.change(&tenant.members, async |unit| {
        unit.remove_member(user, former.version).await
    })
    .await
    .unwrap();
    let answer = late.commit(event()).await;
    refused(answer, ErrorKind::Conflict, "it would go on above");
    let again = w.change(&tenant.members, meanwhile).await.unwrap();
    assert_eq!(again.version, former.version + 1);
}

/// Nobody is assigned to what they may not see: an assignment and the end of its membership cannot
/// both commit, in either order.
#[tokio::test]
async fn who_is_removed_meanwhile_is_not_assigned() {
    let w = world().await;
    for removed_first in [true, false] {
        let tenant = w.organization().await;
        let found = w.new_finding(&tenant).await;
        let user = w.member(&tenant, Role::Analyst).await;
        let (mut assigns, mut removes) = (
            begin(&w, &tenant.findings).await,
            begin(&w, &tenant.members).await,
        );
        let wanted = assigns.assign_finding(found.id, found.version, Some(user));
        assert_eq!(wanted.await.unwrap().assignee, Some(user));
        removes.remove_member(user, 1).await.unwrap();
        let (first, second) = if removed_first {
            (removes, assigns)
        } else {
            (assigns, removes)
        };
        first.commit(event()).await.unwrap();
        refused(second.commit(event()).await, ErrorKind::Conflict, "a race");
        let assignee = w.read_finding(&tenant, found.id).await.assignee;
        let wanted = if removed_first { None } else { Some(user) };
        assert_eq!(assignee, wanted);
        assert_eq!(
            roles(&w, &tenant).await.len(),
            if removed_first { 1 } else { 2 }
        );
    }
}

/// Somebody removed and added again in one unit of work keeps what is assigned to them meanwhile,
/// and nothing of what they had.
#[tokio::test]
async fn who_is_removed_and_added_again_begins_anew() {
    let w = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let user = w.member(&tenant, Role::Analyst).await;
    let assigned = w
        .change(&tenant.findings, async |unit| {
            unit.assign_finding(found.id, found.version, Some(user))
                .await
        })
        .await
        .unwrap();
    w.change(&tenant.members, async |unit| {
        unit.remove_member(user, 1).await?;
        unit.insert_member(user, Role::Viewer).await
    })
    .await
    .unwrap();
    let row = w.read_finding(&tenant, found.id).await;
    assert_eq!((row.assignee, row.version), (None, assigned.version + 1));
    let last = w.history(&tenant, found.id).await.pop().unwrap();
    assert_eq!(
        last.what,
        ChangeOfFinding::Assignee {
            from: Some(user),
            to: None
        }
    );
}

/// An exception that is asked for while a look resolves its finding would never be closed.
#[tokio::test]
async fn no_exception_is_asked_for_from_what_is_resolved_meanwhile() {
    let w = world().await;
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.find(&run, &["vol-1"]).await;
    let id = finding_id(run.account.id, "vol-1");
    let mut unit = begin(&w, &tenant.findings).await;
    unit.request_exception(w.new_exception(id).await)
        .await
        .unwrap();
    w.resolve(&run, &["vol-1"]).await;
    refused(
        unit.commit(event()).await,
        ErrorKind::Conflict,
        "there is nothing left to except",
    );
    let mut view = w.view(&tenant).await;
    let filter = ExceptionFilter::default();
    let left = view.exceptions(&filter, &PageRequest::largest()).await;
    assert_eq!(left.unwrap().items, []);
}

/// Of two that ask for an exception from the same finding at once, the second is told that there is
/// one, though their ids differ.
#[tokio::test]
async fn of_two_requests_at_once_one_is_the_live_one() {
    let w = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let (mut one, mut other) = (
        begin(&w, &tenant.findings).await,
        begin(&w, &tenant.findings).await,
    );
    for unit in [&mut one, &mut other] {
        let new = w.new_exception(found.id).await;
        unit.request_exception(new).await.unwrap();
    }
    one.commit(event()).await.unwrap();
    let late = other.commit(event()).await;
    refused(late, ErrorKind::AlreadyExists, "one live exception");
}

/// A batch goes on top of what is there at its commit: it undoes nothing of what members did while
/// it was open, and is no conflict.
#[tokio::test]
async fn a_batch_goes_on_top_of_what_members_did_meanwhile() {
    let w = world().await;
    let tenant = w.organization().await;
    let approver = w.member(&tenant, Role::Approver).await;
    let decides = w.scope(&tenant, approver, Action::DecideExceptions).await;
    let run = w.running_scan(&tenant).await;
    w.find(&run, &["vol-1", "vol-2"]).await;
    let [kept, gone] = ["vol-1", "vol-2"].map(|name| finding_id(run.account.id, name));
    let mut batch = w.store.ingest(&run.lease).await.unwrap();
    batch.put_findings(vec![finding("vol-1")]).await.unwrap();
    let keys = vec![finding("vol-2").key];
    batch.resolve_findings(keys).await.unwrap();

    let found = w.read_finding(&tenant, kept).await;
    let step = FindingStep::Acknowledge;
    w.step(&tenant.findings, &found, step).await.unwrap();
    let asked = w.request(&tenant.findings, w.new_exception(gone).await);
    let approved = w
        .decide(&decides, &asked.await.unwrap(), ExceptionDecision::Approve)
        .await
        .unwrap();
    batch.commit().await.unwrap();

    let row = w.read_finding(&tenant, kept).await;
    assert_eq!(row.status, FindingStatus::Acknowledged);
    assert_eq!(
        row.version, 2,
        "found, acknowledged; the look said the same"
    );
    let row = w.read_finding(&tenant, gone).await;
    assert_eq!(row.status, FindingStatus::Resolved);
    let mut view = w.view(&tenant).await;
    let closed = view.exception(approved.id).await.unwrap();
    assert_eq!(closed.status, ExceptionStatus::Closed);
    let changes = w.history(&tenant, gone).await;
    let statuses: Vec<_> = changes.iter().map(|row| row.what.clone()).collect();
    assert_eq!(
        statuses.last(),
        Some(&ChangeOfFinding::Status {
            from: Some(FindingStatus::Suppressed),
            to: FindingStatus::Resolved
        })
    );
}

/// An exception that lapses while a unit of work decides about it is no longer the one it saw.
#[tokio::test]
async fn deciding_about_what_lapsed_meanwhile_is_a_conflict() {
    let w = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let asked = w.request(&tenant.findings, w.new_exception(found.id).await);
    let asked = asked.await.unwrap();
    let mut unit = begin(&w, &tenant.findings).await;
    unit.decide_exception(asked.id, asked.version, ExceptionDecision::Withdraw)
        .await
        .unwrap();
    let late = asked.expires_at;
    assert_eq!(w.store.lapse_exceptions(late, 10).await.unwrap(), 1);
    refused(unit.commit(event()).await, ErrorKind::Conflict, "it lapsed");
    let mut view = w.view(&tenant).await;
    let row = view.exception(asked.id).await.unwrap();
    assert_eq!(row.status, ExceptionStatus::Lapsed);
}

/// An erasure takes what was added since it began, and nothing is added after it: not even an event
/// by a unit of work without a change.
#[tokio::test]
async fn an_erasure_takes_what_came_after_its_beginning() {
    let w = world().await;
    let tenant = w.organization().await;
    let erase = w.scope(&tenant, tenant.owner, Action::EraseOrganization);
    let erase = erase.await;
    let mut erasure = begin(&w, &erase).await;
    erasure.erase_organization().await.unwrap();
    let idle = begin(&w, &tenant.scan).await;
    let user = w.member(&tenant, Role::Viewer).await;
    let found = w.new_finding(&tenant).await;
    w.enqueue(&tenant, w.job()).await;
    erasure.commit(event()).await.unwrap();

    assert_eq!(w.store.memberships(user).await.unwrap(), []);
    assert_eq!(w.claimable().await, []);
    let answer = w.view(&tenant).await.finding(found.id).await;
    refused(answer, ErrorKind::NotFound, "it was erased with the rest");
    let kind = ErrorKind::NotFound;
    refused(idle.commit(event()).await, kind, "no organization");
    let late = begin(&w, &tenant.scan).await;
    refused(late.commit(event()).await, kind, "no organization");
    let answer = w.queue.enqueue(&tenant.scan, vec![w.job()]).await;
    refused(answer, kind, "no organization");
    let mut again = begin(&w, &erase).await;
    let answer = again.erase_organization().await;
    refused(answer, kind, "it was erased before");
}

/// A scan that was added in the same unit of work needs no job once all of it is erased.
#[tokio::test]
async fn what_an_erasure_takes_asks_for_nothing() {
    let w = world().await;
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let erase = w.scope(&tenant, tenant.owner, Action::EraseOrganization);
    let mut unit = begin(&w, &erase.await).await;
    let requested = trueno_testkit::fixtures::Requested {
        scan: w.id(),
        job: w.id(),
    };
    unit.insert_scan(w.new_scan(&account, requested))
        .await
        .unwrap();
    unit.erase_organization().await.unwrap();
    let left = unit.accounts(&PageRequest::largest()).await.unwrap();
    assert_eq!(left.items, []);
    unit.commit(event()).await.unwrap();
    let mut view = w.view(&tenant).await;
    let kept = view.audit_events(&PageRequest::largest()).await;
    let kept = kept.unwrap().items;
    let mut actions: Vec<_> = kept.iter().map(|row| row.action.as_str()).collect();
    // Events of the same millisecond come in no order.
    actions.sort_unstable();
    let all = [
        "cloud_account.changed",
        "cloud_account.connected",
        "organization.created",
        "test.changed",
    ];
    assert_eq!(actions, all, "P7: the history stays");
}

/// A view keeps every list of its moment, whatever becomes of the organization.
#[tokio::test]
async fn a_view_outlives_what_it_shows() {
    let w = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let comment = NewComment::new(w.id(), found.id, "why?").unwrap();
    w.change(&tenant.findings, async |unit| {
        unit.add_comment(comment).await
    })
    .await
    .unwrap();
    let page = PageRequest::largest();
    let mut view = w.view(&tenant).await;
    let events = view.audit_events(&page).await.unwrap().items.len();
    let step = FindingStep::Start;
    w.step(&tenant.findings, &found, step).await.unwrap();
    let erase = w.scope(&tenant, tenant.owner, Action::EraseOrganization);
    w.change(&erase.await, async |unit| unit.erase_organization().await)
        .await
        .unwrap();

    assert_eq!(view.organization().await.unwrap().id, tenant.id);
    assert_eq!(view.members(&page).await.unwrap().items.len(), 1);
    let rows = view.findings(&FindingFilter::default(), &page).await;
    assert_eq!(rows.unwrap().items, std::slice::from_ref(&found));
    let history = view.finding_history(found.id, &page).await.unwrap();
    assert_eq!(history.items.len(), 1);
    let said = view.comments(found.id, &page).await.unwrap();
    assert_eq!(said.items.len(), 1);
    let seen = view.audit_events(&page).await.unwrap().items.len();
    assert_eq!(seen, events, "P7: as of its moment");
}
