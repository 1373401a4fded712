//! Partitions of the history of jobs: weeks come and go, and nothing in them is lost before its time.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use trueno_core::error::ErrorKind;
use trueno_core::id::JobId;
use trueno_core::model::{JobStatus, NewJob};
use trueno_core::port::{JobOutcome, Settlement};
use trueno_store_postgres::{PostgresConfig, partition_history};
use trueno_testkit::fixtures::{Tenant, World};

use crate::support::{self, Database};

const KEEP: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A store of its own, and an organization in it.
async fn with_an_organization() -> (Database, PostgresConfig, World, Tenant) {
    let database = Database::migrated(&support::keys()).await;
    let config = database.config();
    let harness = support::harness_of(database, config.clone()).await;
    let database = harness.database.borrowed();
    let w = World::new(harness).await;
    let tenant = w.organization().await;
    (database, config, w, tenant)
}

async fn names(database: &Database) -> Vec<String> {
    let mut admin = database.admin().await;
    let rows = admin
        .fetch_all(
            "select inhrelid::regclass::text as name from pg_inherits
             where inhparent = 'trueno.job_history'::regclass order by 1",
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get("name")).collect()
}

/// What a partition has but its columns and its place: who may reach it, and how it is planned.
async fn looks(database: &Database) -> Vec<(String, String)> {
    let mut admin = database.admin().await;
    let rows = admin
        .fetch_all(
            "select c.relname::text as name, format(
                '%s %s %s %s policies, %s statistics, %s', c.relrowsecurity, c.relforcerowsecurity,
                c.relowner::regrole,
                (select count(*) from pg_policy p where p.polrelid = c.oid),
                (select string_agg(distinct a.attstattarget::text, ' ') from pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
                coalesce(c.relacl::text, 'no grants')
             ) as looks
             from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent = 'trueno.job_history'::regclass order by 1",
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get("name"), row.get("looks")))
        .collect()
}

/// The partition that a job lies in.
async fn place(database: &Database, job: JobId) -> String {
    let mut admin = database.admin().await;
    let query = format!(
        "select tableoid::regclass::text as name from trueno.job_history where id = '{job}'"
    );
    let row = admin.fetch_one(AssertSqlSafe(query)).await.unwrap();
    row.get("name")
}

/// Runs a job to its end, and lets it have ended at `at`, when it has an id of then.
async fn ended(
    w: &World,
    database: &Database,
    tenant: &Tenant,
    at: Timestamp,
    dead: bool,
) -> JobId {
    let mut job: NewJob = w.job();
    job.id = trueno_core::id::IdSource::random().next(at);
    let id = w.enqueue(tenant, job).await;
    let lease = w.claim_one().await.reference();
    let outcome = if dead {
        JobOutcome::Failed {
            error: "it broke".to_owned(),
            retryable: false,
            retry_after: Duration::ZERO,
        }
    } else {
        JobOutcome::Succeeded
    };
    let settled = w.queue.settle(vec![Settlement { lease, outcome }]).await;
    settled.unwrap();
    let mut admin = database.admin().await;
    let query = format!("update trueno.job_history set finished_at = '{at}' where id = '{id}'");
    admin.execute(AssertSqlSafe(query)).await.unwrap();
    id
}

#[tokio::test]
async fn weeks_come_and_go_with_what_nobody_wants_any_more() {
    let (database, config, w, tenant) = with_an_organization().await;

    let report = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(
        report.added.len(),
        5,
        "this week, and four to come: {report:?}"
    );
    assert!(report.dropped.is_empty() && report.kept.is_empty() && report.busy.is_empty());
    let again = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(
        again,
        trueno_store_postgres::HistoryReport::default(),
        "nothing is left to do"
    );
    let looks = looks(&database).await;
    assert_eq!(looks.len(), 6);
    assert!(
        looks.iter().all(|(_, look)| *look == looks[0].1),
        "P1: all of them as the first: {looks:#?}"
    );
    assert!(looks[0].1.starts_with("t t "), "P1: {looks:#?}");

    let now = w.now().await;
    let job = ended(&w, &database, &tenant, now, false).await;
    assert_eq!(
        place(&database, job).await,
        format!("trueno.{}", report.added[0])
    );

    // Ten weeks ago, as if this had run then: a Monday.
    let monday: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    let old = "trueno.job_history_20260105";
    let mut admin = database.admin().await;
    admin
        .execute(AssertSqlSafe(format!(
            "create table {old} partition of trueno.job_history for values
                from ('019b8b74-1800-0000-0000-000000000000') to ('019baf80-9c00-0000-0000-000000000000');
             alter table {old} owner to trueno_test_owner"
        )))
        .await
        .unwrap();
    let hour = Duration::from_secs(3_600);
    let mut old_ones = Vec::new();
    for dead in [false, true] {
        let id = ended(&w, &database, &tenant, monday + hour, dead).await;
        assert_eq!(place(&database, id).await, old);
        old_ones.push(id);
    }
    let before = ended(&w, &database, &tenant, monday - hour, false).await;
    assert_eq!(place(&database, before).await, "trueno.job_history_default");

    let report = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(
        report.kept,
        ["job_history_20260105"],
        "a dead letter is in it"
    );
    assert!(report.dropped.is_empty());
    let mut view = w.view(&tenant).await;
    let error = view.job(old_ones[0]).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NotFound,
        "what else was in it is gone"
    );
    assert_eq!(view.job(old_ones[1]).await.unwrap().status, JobStatus::Dead);
    drop(view);

    let mut unit = w.begin_scan(&tenant).await;
    unit.discard_job(old_ones[1]).await.unwrap();
    let event = trueno_core::model::EventDraft::new("job.discarded", "job", old_ones[1]);
    unit.commit(event).await.unwrap();
    // Somebody is at it.
    let mut holder = database.admin().await;
    holder
        .execute(AssertSqlSafe(format!(
            "begin; lock table {old} in access share mode"
        )))
        .await
        .unwrap();
    let report = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(report.busy, ["job_history_20260105"]);
    holder.execute("rollback").await.unwrap();
    let report = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(report.dropped, ["job_history_20260105"]);
    assert_eq!(names(&database).await.len(), 6);
    let mut view = w.view(&tenant).await;
    assert_eq!(view.job(job).await.unwrap().status, JobStatus::Succeeded);
    assert_eq!(view.job(before).await.unwrap().status, JobStatus::Succeeded);
    for gone in old_ones {
        let error = view.job(gone).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_week_whose_jobs_lie_in_the_default_partition_gets_none() {
    let (database, config, w, tenant) = with_an_organization().await;
    let now = w.now().await;
    let job = ended(&w, &database, &tenant, now, false).await;
    let report = partition_history(&config, KEEP).await.unwrap();
    assert_eq!(report.added.len(), 4, "the weeks to come: {report:?}");
    assert_eq!(report.in_default.len(), 1, "this week: {report:?}");
    assert_eq!(place(&database, job).await, "trueno.job_history_default");
}

#[tokio::test]
async fn history_is_kept_for_an_hour_at_least() {
    let database = Database::migrated(&support::keys()).await;
    let config = database.config();
    let short = Duration::from_secs(3_599);
    let error = partition_history(&config, short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
