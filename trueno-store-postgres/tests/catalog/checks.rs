//! CHECKs mirror core: they list what its enums have, and allow the scans that its machine leads to and
//! no others. (`tests/findings` has the machines of findings and exceptions.)

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};
use trueno_core::model::{
    AccountStatus, CoverageStatus, ExceptionStatus, FindingStatus, JobStatus, MissedTicks,
    Provider, Role, ScanKind, ScanStatus, ScheduleStatus, Severity,
};
use trueno_core::money::Currency;
use trueno_core::state::scan::{self, ScanEvent};

use crate::support::{Database, keys, sqlstate};

const ACTORS: [&str; 4] = ["member", "processor", "schedule", "system"];

type Lists = BTreeMap<String, BTreeSet<String>>;

/// `table.column` and what its CHECK lists, by the catalog.
async fn listed() -> Lists {
    let database = Database::migrated(&keys()).await;
    let rows = database
        .admin()
        .await
        .fetch_all(
            "select c.conrelid::regclass || '.' || a.attname as column, pg_get_constraintdef(c.oid) as says
             from pg_constraint c
             join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
             where c.contype = 'c' and c.connamespace = 'trueno'::regnamespace
                and not (select relispartition from pg_class where oid = c.conrelid)",
        )
        .await
        .unwrap();
    let mut lists = Lists::new();
    for row in rows {
        let (column, says): (String, String) = (row.get("column"), row.get("says"));
        if !says.contains("= ANY (ARRAY['") && !says.contains("= '") {
            continue;
        }
        let values = says.split('\'').skip(1).step_by(2).map(str::to_owned);
        let list = lists.insert(column.replace("trueno.", ""), values.collect());
        assert_eq!(list, None, "one list for a column: {says}");
    }
    lists
}

fn names<T: ToString>(values: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

#[tokio::test]
async fn checks_list_what_the_enums_have() {
    let (ended, live): (Vec<JobStatus>, Vec<JobStatus>) = JobStatus::ALL
        .iter()
        .partition(|status| status.is_terminal());
    let wanted = [
        ("cloud_account.provider", names(Provider::ALL)),
        ("cloud_account.status", names(AccountStatus::ALL)),
        ("coverage.status", names(CoverageStatus::ALL)),
        ("finding.severity", names(Severity::ALL)),
        ("finding.status", names(FindingStatus::ALL)),
        ("finding_change.from_status", names(FindingStatus::ALL)),
        ("finding_change.to_status", names(FindingStatus::ALL)),
        ("finding_count.status", names(FindingStatus::ALL)),
        ("finding_exception.status", names(ExceptionStatus::ALL)),
        ("job.status", names(live)),
        ("job_history.status", names(ended)),
        ("member.role", names(Role::ALL)),
        ("scan.kind", names(ScanKind::ALL)),
        ("scan.status", names(ScanStatus::ALL)),
        ("schedule.kind", names(ScanKind::ALL)),
        ("schedule.missed", names(MissedTicks::ALL)),
        ("schedule.status", names(ScheduleStatus::ALL)),
        // Of enums whose variants hold something, by the names that are stored.
        ("cloud_account.access", names(["ambient", "assume_role"])),
        ("finding_change.change", names(["assignee", "status"])),
        ("audit_staged.actor_kind", names(ACTORS)),
        ("scan.requested_by_kind", names(ACTORS)),
        // A schedule requests scans and changes no finding.
        (
            "finding_change.actor_kind",
            names(ACTORS.into_iter().filter(|kind| *kind != "schedule")),
        ),
        ("finding.saving_currency", names([Currency::Usd])),
        // A JSON type.
        ("job.errors", names(["array"])),
    ];
    let wanted: Lists = wanted
        .into_iter()
        .map(|(column, values)| (column.to_owned(), values))
        .collect();
    assert_eq!(listed().await, wanted);
}

/// A scan as far as its machine goes: when it started and ended, and what of, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scan {
    status: ScanStatus,
    started: bool,
    finished: bool,
    error: bool,
}

/// Every scan that the machine leads to.
fn reachable() -> BTreeSet<Scan> {
    let mut known = BTreeSet::new();
    let mut next = vec![Scan {
        status: ScanStatus::Queued,
        started: false,
        finished: false,
        error: false,
    }];
    let completed = |coverage_complete| ScanEvent::Completed { coverage_complete };
    let reason = "why".to_owned();
    let events = [
        ScanEvent::Started,
        completed(true),
        completed(false),
        ScanEvent::Failed { reason },
        ScanEvent::Cancelled,
    ];
    while let Some(from) = next.pop() {
        if !known.insert(from) {
            continue;
        }
        for event in &events {
            let Ok(step) = scan::apply(from.status, event) else {
                continue;
            };
            next.push(Scan {
                status: step.to,
                started: from.started || step.to == ScanStatus::Running,
                finished: scan::is_terminal(step.to),
                error: step.to == ScanStatus::Failed,
            });
        }
    }
    known
}

/// The SQLSTATE that an insert is refused with; none where it is not. References are not looked at.
async fn inserted(admin: &mut PgConnection, sql: &str) -> Option<String> {
    admin
        .execute("begin; set local session_replication_role = replica")
        .await
        .unwrap();
    let answer = sqlstate(admin, sql).await;
    admin.execute("rollback").await.unwrap();
    answer
}

const CHECK: &str = "23514";

#[tokio::test]
async fn a_scan_is_stored_as_its_machine_leads_to_it_and_in_no_other_way() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    let reachable = reachable();
    for status in ScanStatus::ALL {
        for bits in 0..8_u8 {
            let is = |nth: u8| bits & (1 << nth) != 0;
            let scan = Scan {
                status: *status,
                started: is(0),
                finished: is(1),
                error: is(2),
            };
            let set = |is: bool, value: &str| if is { value } else { "null" }.to_owned();
            let sql = format!(
                "insert into trueno.scan (
                    organization_id, id, account_id, job_id, kind, status, requested_by_kind,
                    started_at, finished_at, error
                 ) values (
                    gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                    'inventory', '{status}', 'system', {}, {}, {}
                 )",
                set(scan.started, "now()"),
                set(scan.finished, "now()"),
                set(scan.error, "'why'"),
            );
            let refused = inserted(&mut admin, &sql).await;
            let wanted = (!reachable.contains(&scan)).then_some(CHECK);
            assert_eq!(refused.as_deref(), wanted, "{scan:?}");
        }
    }
}

/// Disconnecting erases how to get in, and nothing else does.
#[tokio::test]
async fn an_account_has_a_way_in_unless_it_is_disconnected() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    for status in AccountStatus::ALL {
        for access in ["null", "'ambient'"] {
            let sql = format!(
                "insert into trueno.cloud_account (
                    organization_id, id, provider, number, name, access, regions, status
                 ) values (
                    gen_random_uuid(), gen_random_uuid(), 'aws', '123456789012', 'Name',
                    {access}, '{{}}', '{status}'
                 )"
            );
            let refused = inserted(&mut admin, &sql).await;
            let kept = (*status == AccountStatus::Disconnected) == (access == "null");
            let wanted = (!kept).then_some(CHECK);
            assert_eq!(refused.as_deref(), wanted, "{status}, {access}");
        }
    }
}
