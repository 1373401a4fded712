//! Columns whose CHECK lists what they may hold: it is what core's enums have.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Executor as _, Row as _};
use trueno_core::model::{
    AccountStatus, CoverageStatus, ExceptionStatus, FindingStatus, JobStatus, MissedTicks,
    Provider, Role, ScanKind, ScanStatus, ScheduleStatus, Severity,
};
use trueno_core::money::Currency;

use crate::support::{Database, keys};

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
