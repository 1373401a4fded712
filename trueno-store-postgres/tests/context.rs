//! The signed context, from the side of somebody who injects SQL (P1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use support::{Database, Harness, ROLES, harness, keys, sqlstate};
use trueno_core::id::OrganizationId;
use trueno_core::model::CoverageStatus;
use trueno_core::port::{JobOutcome, Settlement};
use trueno_testkit::fixtures::{self, World};

const BAD_CONTEXT: &str = "TR001";
const STALE_LEASE: &str = "TR002";
const FORBIDDEN: &str = "42501";

/// Everything that belongs to an organization and that app and processor may read.
const READABLE: [&str; 7] = [
    "cloud_account",
    "scan",
    "coverage",
    "resource",
    "finding",
    "job",
    "job_history",
];

/// Two organizations with the same in each: a running scan that has read something, a job that
/// waits and one that is done. No table is empty, so that policies are asked.
struct Two {
    world: World,
    one: OrganizationId,
    two: OrganizationId,
    database: Database,
}

async fn two() -> Two {
    let harness: Harness = harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let (one, two) = (world.organization().await, world.organization().await);
    for tenant in [&one, &two] {
        world.enqueue(tenant, world.job()).await;
        let done = world.claim_one().await.reference();
        let settlement = Settlement {
            lease: done,
            outcome: JobOutcome::Succeeded,
        };
        world.queue.settle(vec![settlement]).await.unwrap();

        let run = world.running_scan(tenant).await;
        let mut ingest = world.store.ingest(&run.lease).await.unwrap();
        let volume = fixtures::resource("ec2.volume", "eu-west-1", "vol-1");
        ingest.put_resources(vec![volume]).await.unwrap();
        let task = fixtures::task("ec2.volume", "eu-west-1");
        let coverage = fixtures::coverage(task, CoverageStatus::Complete);
        ingest.put_coverage(vec![coverage]).await.unwrap();
        ingest
            .put_findings(vec![fixtures::finding("vol-1")])
            .await
            .unwrap();
        ingest.commit().await.unwrap();
    }
    for tenant in [&one, &two] {
        world.enqueue(tenant, world.job()).await;
    }
    let mut admin = database.admin().await;
    for table in READABLE {
        // With statistics, so that the planner reads small tables from end to end.
        admin
            .execute(AssertSqlSafe(format!("vacuum analyze trueno.{table}")))
            .await
            .unwrap();
    }
    Two {
        one: one.id,
        two: two.id,
        database,
        world,
    }
}

/// Signs as the app does, from what is documented: written down a second time on purpose.
async fn signature(
    connection: &mut PgConnection,
    key_id: &str,
    organization: OrganizationId,
) -> String {
    let stamp = connection
        .fetch_one("select int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp())")
        .await
        .unwrap();
    let stamp: Vec<u8> = stamp.get(0);
    let key = keys().newest().derive("trueno context key v1", b"trueno");
    let mut mac = Hmac::<Sha256>::new_from_slice(&*key).unwrap();
    for text in [key_id, &format!("{ROLES}_app")] {
        mac.update(&u32::try_from(text.len()).unwrap().to_be_bytes());
        mac.update(text.as_bytes());
    }
    mac.update(organization.as_uuid().as_bytes());
    mac.update(&stamp);
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn enter(key_id: &str, organization: OrganizationId, mac: &str) -> String {
    format!("select trueno.enter('{key_id}', '{organization}', '\\x{mac}')")
}

fn set(key_id: &str, organization: OrganizationId, mac: &str) -> String {
    format!("select set_config('trueno.context', '{key_id}:{organization}:{mac}', true)")
}

async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    connection
        .fetch_one(AssertSqlSafe(sql))
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn without_a_context_every_access_is_an_error_and_never_empty() {
    let case = two().await;
    for role in ["app", "processor"] {
        let mut injected = case.database.role(role).await;
        for table in READABLE {
            for sql in [
                format!("select * from {table}"),
                format!("select count(*) from {table}"),
                format!("select from {table} where organization_id = '{}'", case.one),
                format!("explain analyze select * from {table}"),
            ] {
                let refused = sqlstate(&mut injected, &sql).await;
                assert_eq!(refused.as_deref(), Some(BAD_CONTEXT), "{role}: {sql}");
            }
        }
    }
}

#[tokio::test]
async fn a_forged_context_is_an_error_at_once() {
    let case = two().await;
    let mut injected = case.database.role("app").await;
    let zeros = "00".repeat(32);
    let server = format!("_server:{}:{zeros}", case.one);
    for forged in [
        "x",
        "::",
        "test:a:b",
        &server,
        &format!("test:{}:{zeros}", case.one),
    ] {
        injected.execute("begin").await.unwrap();
        let sql = format!("select set_config('trueno.context', '{forged}', true)");
        injected.execute(AssertSqlSafe(sql)).await.unwrap();
        let refused = sqlstate(&mut injected, "select * from cloud_account").await;
        assert_eq!(refused.as_deref(), Some(BAD_CONTEXT), "{forged}");
        injected.execute("rollback").await.unwrap();
    }
    for key in ["test", "_server", "unknown"] {
        let refused = sqlstate(&mut injected, &enter(key, case.one, &zeros)).await;
        assert_eq!(refused.as_deref(), Some(BAD_CONTEXT), "{key}");
    }
    let nulls = "select trueno.enter('test', null, null)";
    assert_eq!(
        sqlstate(&mut injected, nulls).await.as_deref(),
        Some(BAD_CONTEXT)
    );
}

#[tokio::test]
async fn a_context_is_worth_nothing_in_another_transaction_or_session() {
    let case = two().await;
    let mut injected = case.database.role("app").await;
    injected.execute("begin").await.unwrap();
    let mac = signature(&mut injected, "test", case.one).await;
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    assert_eq!(
        count(&mut injected, "select count(*) from cloud_account").await,
        1
    );
    // Injected SQL can read the context that it runs in.
    let seen: String = injected
        .fetch_one("select current_setting('trueno.context')")
        .await
        .unwrap()
        .get(0);
    assert!(seen.ends_with(&mac));

    let mut other = case.database.role("app").await;
    other.execute("begin").await.unwrap();
    for (what, connection) in [("session", &mut other), ("transaction", &mut injected)] {
        if what == "transaction" {
            connection.execute("commit").await.unwrap();
            let ended = sqlstate(connection, "select * from cloud_account").await;
            assert_eq!(ended.as_deref(), Some(BAD_CONTEXT), "the commit ended it");
            connection.execute("begin").await.unwrap();
        }
        let refused = sqlstate(connection, &enter("test", case.one, &mac)).await;
        assert_eq!(
            refused.as_deref(),
            Some(BAD_CONTEXT),
            "entered in another {what}"
        );
        connection.execute("rollback; begin").await.unwrap();
        connection
            .execute(AssertSqlSafe(set("test", case.one, &mac)))
            .await
            .unwrap();
        let refused = sqlstate(connection, "select * from cloud_account").await;
        assert_eq!(
            refused.as_deref(),
            Some(BAD_CONTEXT),
            "set in another {what}"
        );
        connection.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_rollback_takes_the_context_with_it() {
    let case = two().await;
    let mut injected = case.database.role("app").await;
    injected.execute("begin").await.unwrap();
    let mac = signature(&mut injected, "test", case.one).await;
    injected.execute("savepoint s").await.unwrap();
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    injected.execute("rollback to savepoint s").await.unwrap();
    let refused = sqlstate(&mut injected, "select * from job").await;
    assert_eq!(refused.as_deref(), Some(BAD_CONTEXT));
}

#[tokio::test]
async fn injected_sql_sees_and_becomes_no_other_organization() {
    let case = two().await;
    let mut injected = case.database.role("app").await;
    let mac = {
        injected.execute("begin").await.unwrap();
        signature(&mut injected, "test", case.one).await
    };
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    for table in READABLE {
        let theirs = format!(
            "select count(*) from {table} where organization_id <> '{}'",
            case.one
        );
        assert_eq!(count(&mut injected, &theirs).await, 0, "{table}");
    }
    assert_eq!(count(&mut injected, "select count(*) from job").await, 2);
    let theirs = "with gone as (delete from job where organization_id = '%' returning 1)
        select count(*) from gone";
    let theirs = theirs.replace('%', &case.two.to_string());
    assert_eq!(count(&mut injected, &theirs).await, 0);
    for (sql, wanted) in [
        (
            set("test", case.two, &mac) + "; select * from job",
            BAD_CONTEXT,
        ),
        (enter("test", case.two, &mac), BAD_CONTEXT),
        (
            format!(
                "insert into job_history select '{}', gen_random_uuid(), kind, payload_version, payload, \
                 dedupe_key, priority, run_at, max_attempts, 0, 0, 'dead', false, created_at, \
                 null, null from job",
                case.two
            ),
            FORBIDDEN,
        ),
        (
            format!("update job set organization_id = '{}'", case.two),
            FORBIDDEN,
        ),
        ("select * from context_key".to_owned(), FORBIDDEN),
        ("select * from worker_session".to_owned(), FORBIDDEN),
        ("select * from audit_staged".to_owned(), FORBIDDEN),
        ("select * from organization".to_owned(), FORBIDDEN),
        ("select * from member".to_owned(), FORBIDDEN),
        ("select * from job_history_default".to_owned(), FORBIDDEN),
        (
            "select trueno.context_mac('test', gen_random_uuid())".to_owned(),
            FORBIDDEN,
        ),
        (
            "select trueno.context_enter_checked(gen_random_uuid())".to_owned(),
            FORBIDDEN,
        ),
        ("select * from queue_stats()".to_owned(), FORBIDDEN),
        ("select * from staged(1)".to_owned(), FORBIDDEN),
        ("copy cloud_account from stdin".to_owned(), "0A000"),
        ("truncate job".to_owned(), FORBIDDEN),
    ] {
        injected.execute("savepoint s").await.unwrap();
        let refused = sqlstate(&mut injected, &sql).await;
        assert_eq!(refused.as_deref(), Some(wanted), "{sql}");
        injected.execute("rollback to savepoint s").await.unwrap();
    }
}

#[tokio::test]
async fn the_processor_enters_with_a_lease_and_with_nothing_else() {
    let case = two().await;
    let lease = case.world.claim(1).await.remove(0).reference();
    let mut processor = case.database.role("processor").await;
    let with = |organization: OrganizationId, token: String, session: String| {
        format!(
            "select trueno.enter_lease('{organization}', '{}', '{token}', '{session}')",
            lease.job
        )
    };
    let other = if lease.organization == case.one {
        case.two
    } else {
        case.one
    };
    let (token, session) = (lease.token.to_string(), lease.session.to_string());
    let nobody = uuid::Uuid::nil().to_string();
    for (sql, wanted) in [
        (enter("test", case.one, &"00".repeat(32)), FORBIDDEN),
        (
            with(lease.organization, nobody.clone(), session.clone()),
            STALE_LEASE,
        ),
        (with(lease.organization, token.clone(), nobody), STALE_LEASE),
        (with(other, token.clone(), session.clone()), STALE_LEASE),
    ] {
        assert_eq!(
            sqlstate(&mut processor, &sql).await.as_deref(),
            Some(wanted),
            "{sql}"
        );
    }
    let held = with(lease.organization, token, session);
    processor.execute("begin").await.unwrap();
    processor
        .execute(AssertSqlSafe(held.as_str()))
        .await
        .unwrap();
    assert_eq!(
        count(&mut processor, "select count(*) from job").await,
        2,
        "its own organization"
    );
    let seen: String = processor
        .fetch_one("select current_setting('trueno.context')")
        .await
        .unwrap()
        .get(0);
    processor.execute("commit; begin").await.unwrap();
    let again = format!("select set_config('trueno.context', '{seen}', true)");
    processor.execute(AssertSqlSafe(again)).await.unwrap();
    let refused = sqlstate(&mut processor, "select * from job").await;
    assert_eq!(
        refused.as_deref(),
        Some(BAD_CONTEXT),
        "the server's seal is bound as well"
    );
    processor.execute("rollback").await.unwrap();

    case.world.lose_leases().await;
    let refused = sqlstate(&mut processor, &held).await;
    assert_eq!(
        refused.as_deref(),
        Some(STALE_LEASE),
        "P3: the session's time ran out"
    );
}

#[tokio::test]
async fn nothing_of_a_signature_shows_in_the_servers_activity() {
    let harness = harness().await;
    let store = harness.store.clone();
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let view = world.view(&tenant).await;
    let mut admin = database.admin().await;
    let rows = admin
        .fetch_all("select query from pg_stat_activity where application_name = 'trueno'")
        .await
        .unwrap();
    let queries: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(
        queries
            .iter()
            .any(|query| query == "select enter($1, $2, $3)"),
        "{queries:?}"
    );
    let organization = tenant.id.to_string();
    assert!(
        !queries.iter().any(|query| query.contains(&organization)),
        "{queries:?}"
    );
    drop(view);
    assert!(!format!("{store:?}").contains("postgres://"));
}
