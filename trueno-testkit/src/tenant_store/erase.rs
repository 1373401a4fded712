//! The erasure of an organization: all that it has but its audit events.

use std::time::Duration;

use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::JobId;
use trueno_core::model::{
    CoverageStatus, EventDraft, Exception, Finding, NewComment, NewOrganization, Role, Schedule,
    ScheduleStatus,
};
use trueno_core::port::tenant_store::ExceptionFilter;
use trueno_core::port::{
    Count, FindingFilter, FinishOutcome, JobOutcome, PageRequest, QueueStats, Recovered,
    ResourceFilter, ScanFilter, SettleOutcome, Settlement,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;
use trueno_core::state::scan::ScanEvent;

use super::World;
use crate::fixtures::{Requested, RunningScan, Team, coverage, finding_id, resource, task};
use crate::suite::refused;

/// An organization that has one of everything.
pub(super) struct Full {
    pub(super) team: Team,
    pub(super) run: RunningScan,
    pub(super) finding: Finding,
    pub(super) exception: Exception,
    pub(super) schedule: Schedule,
    pub(super) waiting: JobId,
    erase: OrgScope,
}

pub(super) async fn full(w: &World) -> Full {
    let team = w.team().await;
    let tenant = &team.tenant;
    let run = w.running_scan(tenant).await;
    w.ingest(&run.lease, async |ingest| {
        ingest
            .put_resources(vec![resource("ec2.volume", "eu-west-1", "vol-1")])
            .await?;
        let read = coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Complete);
        ingest.put_coverage(vec![read]).await
    })
    .await
    .unwrap();
    w.find(&run, &["vol-1", "vol-2"]).await;
    let id = finding_id(run.account.id, "vol-1");
    let comment = NewComment::new(w.id(), id, "a comment").unwrap();
    w.change(&tenant.findings, async |unit| {
        unit.add_comment(comment).await
    })
    .await
    .unwrap();
    let exception = w.new_exception(id).await;
    let exception = w.request(&tenant.findings, exception).await.unwrap();
    let decides = w
        .scope_of(&team, Role::Approver, Action::DecideExceptions)
        .await;
    let decision = ExceptionDecision::Approve;
    let exception = w.decide(&decides, &exception, decision).await.unwrap();
    let schedule = w.schedule(tenant, run.account.id).await;
    let finding = w
        .read_finding(tenant, finding_id(run.account.id, "vol-2"))
        .await;
    // Not due, so that what is claimed next is not this one.
    let later = w.now().await + Duration::from_secs(3_600);
    let waiting = w.enqueue(tenant, w.job().with_run_at(later)).await;
    let erase = w
        .scope_of(&team, Role::Owner, Action::EraseOrganization)
        .await;
    Full {
        team,
        run,
        finding,
        exception,
        schedule,
        waiting,
        erase,
    }
}

fn event(full: &Full) -> EventDraft {
    EventDraft::new("organization.erased", "organization", full.team.tenant.id)
}

pub(super) async fn erase(w: &World, full: &Full) -> Result<()> {
    let mut unit = w.store.begin(&full.erase).await?;
    unit.erase_organization().await?;
    unit.commit(event(full)).await.map(drop)
}

#[track_caller]
fn gone<T>(answer: Result<T>, what: &str) -> Error {
    refused(answer, ErrorKind::NotFound, what)
}

/// Checks that a scope from before the erasure reads nothing.
pub(super) async fn assert_reads_nothing(w: &World, full: &Full) {
    let tenant = &full.team.tenant;
    let mut view = w.view(tenant).await;
    let page = PageRequest::largest();
    let error = gone(view.organization().await, "the organization");
    assert_eq!(error.to_string(), "organization not found");
    assert_eq!(view.members(&page).await.unwrap().items, []);
    assert_eq!(view.accounts(&page).await.unwrap().items, []);
    let scans = view.scans(&ScanFilter::default(), &page).await.unwrap();
    assert_eq!(scans.items, []);
    for filter in [ResourceFilter::default(), ResourceFilter::default().gone()] {
        assert_eq!(view.resources(&filter, &page).await.unwrap().items, []);
    }
    let filter = FindingFilter::default();
    assert_eq!(view.findings(&filter, &page).await.unwrap().items, []);
    let count = view.count_findings(&filter).await.unwrap();
    assert_eq!(count, Count::Exactly(0));
    assert_eq!(view.finding_counts(None).await.unwrap(), []);
    let recommended = view.recommendations(None, &page).await.unwrap();
    assert_eq!(recommended.items, []);
    let filter = ExceptionFilter::default();
    assert_eq!(view.exceptions(&filter, &page).await.unwrap().items, []);
    assert_eq!(view.schedules(&page).await.unwrap().items, []);
    let view = async || w.view(tenant).await;
    gone(view().await.account(full.run.account.id).await, "account");
    gone(view().await.scan(full.run.scan).await, "scan");
    gone(view().await.coverage(full.run.scan).await, "coverage");
    gone(view().await.job(full.run.job).await, "running job");
    gone(view().await.job(full.waiting).await, "waiting job");
    let id = full.exception.finding;
    gone(view().await.finding(id).await, "finding");
    gone(view().await.finding_history(id, &page).await, "history");
    gone(view().await.comments(id, &page).await, "comments");
    gone(view().await.exception(full.exception.id).await, "exception");
    gone(view().await.schedule(full.schedule.id).await, "schedule");
}

/// From the commit on nobody is a member, a scope from before reads nothing, and the id is never
/// used again; the audit events stay, the one that says so included.
pub async fn an_erased_organization_is_gone(w: World) {
    let full = full(&w).await;
    let other = self::full(&w).await;
    let tenant = &full.team.tenant;
    let mut events = w.actions_of(tenant).await;
    erase(&w, &full).await.unwrap();
    for role in Role::ALL {
        let user = full.team.member(*role);
        assert_eq!(w.store.memberships(user).await.unwrap(), [], "{role}");
        let identity = Identity::authenticated(user);
        let answer = authorize(&*w.store, &identity, tenant.id, Action::Read).await;
        gone(answer, "P1: to a former member");
    }
    assert_reads_nothing(&w, &full).await;
    let new = NewOrganization::new(tenant.id, "Again", tenant.owner).unwrap();
    let draft = EventDraft::new("organization.created", "organization", tenant.id);
    let answer = w.store.create_organization(new, draft).await;
    refused(answer, ErrorKind::AlreadyExists, "an id is used once");
    assert_eq!(w.store.memberships(tenant.owner).await.unwrap(), []);
    events.push("organization.erased".to_owned());
    assert_eq!(w.actions_of(tenant).await, events, "P7: the history stays");
    let late = other.exception.expires_at;
    let lapsed = w.store.lapse_exceptions(late, 10).await.unwrap();
    assert_eq!(lapsed, 1, "the other organization's alone");

    let tenant = &other.team.tenant;
    assert_eq!(
        w.view(tenant).await.organization().await.unwrap().id,
        tenant.id
    );
    assert_eq!(
        w.read_finding(tenant, other.finding.id).await,
        other.finding
    );
}

/// P3: every lease of its jobs is lost: nothing is handed out, extended, written or ended any more.
pub async fn an_erasure_ends_every_lease(w: World) {
    let full = full(&w).await;
    let session = full.run.lease.reference().session;
    w.enqueue(&full.team.tenant, w.job()).await;
    erase(&w, &full).await.unwrap();
    let (lease, lost) = (&full.run.lease, ErrorKind::StaleLease);
    refused(w.store.ingest(lease).await, lost, "P3: a batch");
    refused(w.store.read(lease.scope()).await, lost, "P3: a view");
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
        coverage_complete: true,
    });
    let answer = w.store.finish(lease, outcome, event(&full)).await;
    refused(answer, lost, "P3: a finish");
    let settlement = Settlement {
        lease: lease.reference(),
        outcome: JobOutcome::Returned,
    };
    let settled = w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(settled, [SettleOutcome::Stale]);
    let beat = w.queue.heartbeat(session, Duration::from_secs(30)).await;
    assert_eq!(beat.unwrap().held, [], "it holds nothing any more");
    assert_eq!(w.claimable().await, [], "nothing waits");
    w.lose_leases().await;
    let recovered = w.queue.recover_expired(100).await.unwrap();
    assert_eq!(recovered, Recovered::default(), "nothing was orphaned");
    assert_eq!(w.queue.stats().await.unwrap(), QueueStats::default());
    assert_reads_nothing(&w, &full).await;
}

/// A scope from before the erasure changes nothing: there is no such organization.
pub async fn an_erased_organization_takes_no_change(w: World) {
    let full = full(&w).await;
    erase(&w, &full).await.unwrap();
    w.forget_staged().await;
    let tenant = &full.team.tenant;
    let (id, version) = (full.finding.id, full.finding.version);
    let requested = Requested {
        scan: w.id(),
        job: w.id(),
    };
    let exception = w.new_exception(id).await;
    let comment = NewComment::new(w.id(), id, "a comment").unwrap();
    let mut answers = Vec::new();
    // Each in a unit of work of its own, which may refuse to open.
    macro_rules! change {
        ($unit:ident => $call:expr) => {
            answers.push((
                stringify!($call),
                w.change(&tenant.members, async |$unit| $call.await.map(drop))
                    .await,
            ))
        };
    }
    change!(unit => unit.insert_account(w.new_account()));
    change!(unit => unit.apply_account(full.run.account.id, 2, AccountEvent::Paused));
    change!(unit => unit.insert_scan(w.new_scan(&full.run.account, requested)));
    change!(unit => unit.enqueue(vec![w.job()]));
    change!(unit => unit.cancel_job(full.waiting));
    change!(unit => unit.step_finding(id, version, FindingStep::Acknowledge));
    change!(unit => unit.assign_finding(id, version, None));
    change!(unit => unit.add_comment(comment));
    change!(unit => unit.request_exception(exception));
    let (waits, decision) = (full.exception.id, ExceptionDecision::Withdraw);
    change!(unit => unit.decide_exception(waits, 2, decision));
    change!(unit => unit.insert_schedule(w.new_schedule(full.run.account.id)));
    let paused = ScheduleStatus::Paused;
    change!(unit => unit.set_schedule_status(full.schedule.id, 1, paused));
    change!(unit => unit.remove_schedule(full.schedule.id, 1));
    let viewer = full.team.member(Role::Viewer);
    change!(unit => unit.insert_member(tenant.owner, Role::Owner));
    change!(unit => unit.set_member_role(viewer, 1, Role::Analyst));
    change!(unit => unit.remove_member(viewer, 1));
    change!(unit => unit.erase_organization());
    for (call, answer) in answers {
        let error = gone(answer, call);
        assert_eq!(error.to_string(), "organization not found", "{call}");
    }
    let queue = &w.queue;
    let enqueued = queue.enqueue(&tenant.scan, vec![w.job()]).await;
    gone(enqueued, "the queue takes no job");
    gone(
        queue.cancel(&tenant.scan, full.waiting).await,
        "nor cancels",
    );
    assert_eq!(w.claimable().await, [], "nothing waits");
    assert_reads_nothing(&w, &full).await;
    assert_eq!(w.staged().await, [], "nothing happened, so no event");
}

/// The erasure is the last change of its unit of work: a later one finds no organization, and then
/// nothing is committed. Given up, it leaves everything as it was (P2).
pub async fn an_erasure_is_the_last_change_of_its_unit(w: World) {
    let full = full(&w).await;
    let tenant = &full.team.tenant;
    w.forget_staged().await;
    let mut unit = w.store.begin(&full.erase).await.unwrap();
    unit.erase_organization().await.unwrap();
    gone(unit.insert_account(w.new_account()).await, "a later change");
    assert!(
        unit.commit(event(&full)).await.is_err(),
        "P2: after an error it is spent"
    );
    let mut unit = w.store.begin(&full.erase).await.unwrap();
    unit.erase_organization().await.unwrap();
    drop(unit);
    assert_eq!(w.staged().await, [], "P2: nothing happened");
    let mut view = w.view(tenant).await;
    assert_eq!(view.organization().await.unwrap().id, tenant.id);
    assert_eq!(view.finding(full.finding.id).await.unwrap(), full.finding);
    let schedule = view.schedule(full.schedule.id).await.unwrap();
    assert_eq!(schedule, full.schedule);
    w.find(&full.run, &["vol-3"]).await;
}
