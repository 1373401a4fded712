//! Roles: every write asks whether the member's role allows it, whatever action its scope was given
//! for.

use trueno_core::access::{Action, allows};
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::UserId;
use trueno_core::model::{
    EventDraft, Exception, Finding, NewComment, NewException, Role, ScheduleStatus,
};
use trueno_core::port::UnitOfWork;
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::World;
use super::erase::{Full, full};
use super::twins::see;
use crate::fixtures::{Requested, finding_id};
use crate::suite::refused;

/// Every write of a unit of work that asks for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    InsertAccount,
    ApplyAccount,
    InsertScan,
    CancelJob,
    StepFinding,
    AssignFinding,
    AddComment,
    RequestException,
    Approve,
    Reject,
    Withdraw,
    InsertSchedule,
    PauseSchedule,
    RemoveSchedule,
    AddMember,
    SetRole,
    RemoveMember,
    Erase,
}

const WRITES: [(Write, Action); 18] = [
    (Write::InsertAccount, Action::ManageAccounts),
    (Write::ApplyAccount, Action::ManageAccounts),
    (Write::InsertScan, Action::Scan),
    (Write::CancelJob, Action::Scan),
    (Write::StepFinding, Action::WorkFindings),
    (Write::AssignFinding, Action::WorkFindings),
    (Write::AddComment, Action::WorkFindings),
    (Write::RequestException, Action::WorkFindings),
    (Write::Approve, Action::DecideExceptions),
    (Write::Reject, Action::DecideExceptions),
    (Write::Withdraw, Action::DecideExceptions),
    (Write::InsertSchedule, Action::ManageSchedules),
    (Write::PauseSchedule, Action::ManageSchedules),
    (Write::RemoveSchedule, Action::ManageSchedules),
    (Write::AddMember, Action::ManageMembers),
    (Write::SetRole, Action::ManageMembers),
    (Write::RemoveMember, Action::ManageMembers),
    (Write::Erase, Action::EraseOrganization),
];

/// What the writes are tried on.
struct Tried {
    full: Full,
    requested: Exception,
    free: Finding,
    asks: NewException,
    leaves: UserId,
}

impl Tried {
    async fn new(w: &World) -> Self {
        let full = full(w).await;
        let tenant = &full.team.tenant;
        let other = w.member(tenant, Role::Analyst).await;
        let other = w.scope(tenant, other, Action::WorkFindings).await;
        let asks = w.new_exception(full.finding.id).await;
        let requested = w.request(&other, asks).await.unwrap();
        w.find(&full.run, &["vol-3"]).await;
        let free = finding_id(full.run.account.id, "vol-3");
        Self {
            requested,
            free: w.read_finding(tenant, free).await,
            asks: w.new_exception(free).await,
            leaves: w.member(tenant, Role::Viewer).await,
            full,
        }
    }

    async fn see(&self, w: &World) -> String {
        let mut view = w.view(&self.full.team.tenant).await;
        see(&mut *view, &self.full.run, self.free.id).await
    }

    async fn write(&self, w: &World, unit: &mut dyn UnitOfWork, write: Write) -> Result<()> {
        let (account, free) = (&self.full.run.account, &self.free);
        let (asked, schedule) = (&self.requested, &self.full.schedule);
        match write {
            Write::InsertAccount => unit.insert_account(w.new_account()).await.map(drop),
            Write::ApplyAccount => unit
                .apply_account(account.id, account.version, AccountEvent::Paused)
                .await
                .map(drop),
            Write::InsertScan => {
                let requested = Requested {
                    scan: w.id(),
                    job: w.id(),
                };
                let new = w.new_scan(account, requested);
                unit.insert_scan(new).await.map(drop)
            }
            Write::CancelJob => unit.cancel_job(self.full.waiting).await.map(drop),
            Write::StepFinding => unit
                .step_finding(free.id, free.version, FindingStep::Start)
                .await
                .map(drop),
            Write::AssignFinding => unit
                .assign_finding(free.id, free.version, Some(self.leaves))
                .await
                .map(drop),
            Write::AddComment => {
                let new = NewComment::new(w.id(), free.id, "a comment").unwrap();
                unit.add_comment(new).await.map(drop)
            }
            Write::RequestException => unit.request_exception(self.asks.clone()).await.map(drop),
            Write::Approve => decide(unit, asked, ExceptionDecision::Approve).await,
            Write::Reject => decide(unit, asked, ExceptionDecision::Reject).await,
            Write::Withdraw => decide(unit, asked, ExceptionDecision::Withdraw).await,
            Write::InsertSchedule => {
                let new = w.new_schedule(account.id);
                unit.insert_schedule(new).await.map(drop)
            }
            Write::PauseSchedule => unit
                .set_schedule_status(schedule.id, schedule.version, ScheduleStatus::Paused)
                .await
                .map(drop),
            Write::RemoveSchedule => unit.remove_schedule(schedule.id, schedule.version).await,
            Write::AddMember => unit.insert_member(w.id(), Role::Viewer).await.map(drop),
            Write::SetRole => unit
                .set_member_role(self.leaves, 1, Role::Analyst)
                .await
                .map(drop),
            Write::RemoveMember => unit.remove_member(self.leaves, 1).await,
            Write::Erase => unit.erase_organization().await,
        }
    }
}

async fn decide(
    unit: &mut dyn UnitOfWork,
    asked: &Exception,
    decision: ExceptionDecision,
) -> Result<()> {
    unit.decide_exception(asked.id, asked.version, decision)
        .await
        .map(drop)
}

fn event() -> EventDraft {
    EventDraft::new("test.changed", "test", "it")
}

/// Every write goes by the matrix of roles and actions, through every scope for another action
/// that writes: a program that authorized the wrong one gains nothing. What is denied spends its
/// unit of work.
pub async fn every_write_goes_by_the_role(w: World) {
    let tried = Tried::new(&w).await;
    let team = &tried.full.team;
    w.forget_staged().await;
    let before = tried.see(&w).await;
    let mut denied = 0;
    for role in Role::ALL {
        let may = |action: &&Action| action.writes() && allows(*role, **action);
        for authorized in Action::ALL.iter().filter(may) {
            let scope = w.scope_of(team, *role, *authorized).await;
            for (write, needed) in WRITES {
                let what = format!("{write:?} by the {role}, authorized for {authorized}");
                let mut unit = w.store.begin(&scope).await.unwrap();
                let answer = tried.write(&w, &mut *unit, write).await;
                if allows(*role, needed) {
                    answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    unit.rollback().await.unwrap();
                    continue;
                }
                refused(answer, ErrorKind::Denied, &what);
                assert!(unit.commit(event()).await.is_err(), "{what}: it is spent");
                denied += 1;
            }
            let mut unit = w.store.begin(&scope).await.unwrap();
            unit.enqueue(vec![w.job()]).await.unwrap();
            unit.rollback().await.unwrap();
        }
    }
    assert!(denied > 0, "the matrix denies something");
    assert_eq!(w.staged().await, [], "nothing was committed");
    assert_eq!(tried.see(&w).await, before, "P2: as it was");
}

/// A role that may write nothing opens no unit of work, nor does a scope that was given to read,
/// whoever's.
pub async fn a_scope_that_reads_opens_no_unit_of_work(w: World) {
    let team = w.team().await;
    for role in Role::ALL {
        for action in Action::ALL.iter().filter(|action| !action.writes()) {
            if !allows(*role, *action) {
                continue;
            }
            let scope = w.scope_of(&team, *role, *action).await;
            let answer = w.store.begin(&scope).await;
            let what = format!("the {role}, authorized for {action}");
            refused(answer, ErrorKind::Denied, &what);
        }
    }
}
