//! The checks of the tables allow what the machines allow, and nothing else.

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use trueno_core::model::{ExceptionStatus, FindingStatus};
use trueno_core::state::finding::{self as machine, FindingEvent, FindingStep};

use crate::support::sqlstate;
use crate::world;

const UNIQUE: &str = "23505";
const CHECK: &str = "23514";

/// Runs a statement in a transaction that is rolled back. Answers the SQLSTATE it is refused with.
async fn tried(admin: &mut PgConnection, sql: &str) -> Option<String> {
    admin.execute("begin").await.unwrap();
    let answer = sqlstate(admin, sql).await;
    admin.execute("rollback").await.unwrap();
    answer
}

#[tokio::test]
async fn the_checks_of_the_history_allow_what_the_machine_allows() {
    let (w, database) = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let mut admin = database.admin().await;
    let events = [
        FindingEvent::Found,
        FindingEvent::Gone,
        FindingEvent::Step(FindingStep::Acknowledge),
        FindingEvent::Step(FindingStep::Start),
        FindingEvent::Step(FindingStep::PutBack),
        FindingEvent::Suppressed,
        FindingEvent::ExceptionEnded,
    ];
    for from in FindingStatus::ALL {
        for to in FindingStatus::ALL {
            let allowed = from != to
                && events
                    .iter()
                    .any(|event| machine::apply(*from, *event).is_ok_and(|step| step.to == *to));
            let sql = format!(
                "insert into trueno.finding_change (
                    organization_id, finding_id, version, actor_kind, change, from_status, to_status
                 ) values ('{}', '{}', 99, 'system', 'status', '{from}', '{to}')",
                tenant.id, found.id
            );
            let refused = tried(&mut admin, &sql).await;
            let wanted = (!allowed).then_some(CHECK);
            assert_eq!(refused.as_deref(), wanted, "{from} to {to}");
        }
        let sql = format!(
            "insert into trueno.finding_change (
                organization_id, finding_id, version, actor_kind, change, to_status
             ) values ('{}', '{}', 99, 'system', 'status', '{from}')",
            tenant.id, found.id
        );
        let refused = tried(&mut admin, &sql).await;
        let wanted = (*from != machine::FIRST).then_some(CHECK);
        assert_eq!(refused.as_deref(), wanted, "first {from}");
    }
}

#[tokio::test]
async fn the_checks_of_exceptions_allow_what_the_machine_allows() {
    let (w, database) = world().await;
    let tenant = w.organization().await;
    let found = w.new_finding(&tenant).await;
    let exception = w.new_exception(found.id).await;
    let exception = w.request(&tenant.findings, exception).await.unwrap();
    let mut admin = database.admin().await;
    for status in ExceptionStatus::ALL {
        for (approver, decided) in [("null", false), ("gen_random_uuid()", true)] {
            let sql = format!(
                "update trueno.finding_exception set status = '{status}', approver = {approver}"
            );
            let allowed = match status {
                ExceptionStatus::Requested => !decided,
                ExceptionStatus::Approved | ExceptionStatus::Rejected => decided,
                _ => true,
            };
            let refused = tried(&mut admin, &sql).await;
            let wanted = (!allowed).then_some(CHECK);
            assert_eq!(refused.as_deref(), wanted, "{status}, {approver}");
        }
        let again = format!(
            "insert into trueno.finding_exception (
                organization_id, id, finding_id, reason, requester, approver, status, expires_at
             ) select organization_id, gen_random_uuid(), finding_id, reason, requester,
                case when '{status}' in ('approved', 'rejected') then gen_random_uuid() end,
                '{status}', expires_at
             from trueno.finding_exception"
        );
        let refused = tried(&mut admin, &again).await;
        let wanted = status.is_live().then_some(UNIQUE);
        assert_eq!(refused.as_deref(), wanted, "a second one: {status}");
    }
    let own = "update trueno.finding_exception set status = 'approved', approver = requester";
    let refused = tried(&mut admin, own).await;
    assert_eq!(refused.as_deref(), Some(CHECK), "P11: by its requester");
    assert_eq!(exception.status, ExceptionStatus::Requested);
}
