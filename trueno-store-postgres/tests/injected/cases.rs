//! What a context is worth, and what is an error without one. Every case takes the way to the server.

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use trueno_core::id::OrganizationId;
use trueno_testkit::fixtures::World;

use super::{BAD_CONTEXT, FORBIDDEN, READABLE, STALE_LEASE, count, enter, set, signature, two};
use crate::support::sqlstate;
use crate::support::way::Way;

pub(crate) async fn without_a_context_every_access_is_an_error_and_never_empty(way: Way) {
    let case = two(way).await;
    for role in ["app", "processor"] {
        let mut injected = way.injected(&case.database, role).await;
        for table in READABLE {
            for sql in [
                format!("select * from trueno.{table}"),
                format!("select count(*) from trueno.{table}"),
                format!(
                    "select from trueno.{table} where organization_id = '{}'",
                    case.one
                ),
                format!("explain analyze select * from trueno.{table}"),
            ] {
                let refused = sqlstate(&mut injected, &sql).await;
                assert_eq!(refused.as_deref(), Some(BAD_CONTEXT), "{role}: {sql}");
            }
        }
    }
}

pub(crate) async fn a_forged_context_is_an_error_at_once(way: Way) {
    let case = two(way).await;
    let mut injected = way.injected(&case.database, "app").await;
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
        let refused = sqlstate(&mut injected, "select * from trueno.cloud_account").await;
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

pub(crate) async fn a_context_is_worth_nothing_in_another_transaction_or_session(way: Way) {
    let case = two(way).await;
    let mut injected = way.injected(&case.database, "app").await;
    injected.execute("begin").await.unwrap();
    let mac = signature(way, &mut injected, "test", case.one).await;
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    assert_eq!(
        count(&mut injected, "select count(*) from trueno.cloud_account").await,
        1
    );
    // Injected SQL can read the context that it runs in.
    let seen: String = injected
        .fetch_one("select current_setting('trueno.context')")
        .await
        .unwrap()
        .get(0);
    assert!(seen.ends_with(&mac));

    let mut other = way.injected(&case.database, "app").await;
    other.execute("begin").await.unwrap();
    for (what, connection) in [("session", &mut other), ("transaction", &mut injected)] {
        if what == "transaction" {
            connection.execute("commit").await.unwrap();
            let ended = sqlstate(connection, "select * from trueno.cloud_account").await;
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
        let refused = sqlstate(connection, "select * from trueno.cloud_account").await;
        assert_eq!(
            refused.as_deref(),
            Some(BAD_CONTEXT),
            "set in another {what}"
        );
        connection.execute("rollback").await.unwrap();
    }
}

pub(crate) async fn a_rollback_takes_the_context_with_it(way: Way) {
    let case = two(way).await;
    let mut injected = way.injected(&case.database, "app").await;
    injected.execute("begin").await.unwrap();
    let mac = signature(way, &mut injected, "test", case.one).await;
    injected.execute("savepoint s").await.unwrap();
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    injected.execute("rollback to savepoint s").await.unwrap();
    let refused = sqlstate(&mut injected, "select * from trueno.job").await;
    assert_eq!(refused.as_deref(), Some(BAD_CONTEXT));
}

pub(crate) async fn injected_sql_sees_and_becomes_no_other_organization(way: Way) {
    let case = two(way).await;
    let mut injected = way.injected(&case.database, "app").await;
    let mac = {
        injected.execute("begin").await.unwrap();
        signature(way, &mut injected, "test", case.one).await
    };
    injected
        .execute(AssertSqlSafe(enter("test", case.one, &mac)))
        .await
        .unwrap();
    for table in READABLE {
        let theirs = format!(
            "select count(*) from trueno.{table} where organization_id <> '{}'",
            case.one
        );
        assert_eq!(count(&mut injected, &theirs).await, 0, "{table}");
    }
    assert_eq!(
        count(&mut injected, "select count(*) from trueno.job").await,
        2
    );
    let theirs = "with gone as (delete from trueno.job where organization_id = '%' returning 1)
        select count(*) from gone";
    let theirs = theirs.replace('%', &case.two.to_string());
    assert_eq!(count(&mut injected, &theirs).await, 0);
    for (sql, wanted) in [
        (
            set("test", case.two, &mac) + "; select * from trueno.job",
            BAD_CONTEXT,
        ),
        (enter("test", case.two, &mac), BAD_CONTEXT),
        (
            format!(
                "insert into trueno.job_history select '{}', gen_random_uuid(), kind, payload_version, payload, \
                 dedupe_key, priority, run_at, max_attempts, 0, 0, 'dead', false, created_at, \
                 null, null from trueno.job",
                case.two
            ),
            FORBIDDEN,
        ),
        (
            format!("update trueno.job set organization_id = '{}'", case.two),
            FORBIDDEN,
        ),
        ("select * from trueno.context_key".to_owned(), FORBIDDEN),
        ("select * from trueno.worker_session".to_owned(), FORBIDDEN),
        ("select * from trueno.audit_outbox".to_owned(), FORBIDDEN),
        (
            "select * from trueno.erased_organization".to_owned(),
            FORBIDDEN,
        ),
        (
            "update trueno.organization set name = 'x'".to_owned(),
            FORBIDDEN,
        ),
        ("delete from trueno.finding_change".to_owned(), FORBIDDEN),
        (
            "update trueno.finding set evidence = '{}'".to_owned(),
            FORBIDDEN,
        ),
        (
            "update trueno.finding_exception set requester = gen_random_uuid()".to_owned(),
            FORBIDDEN,
        ),
        ("update trueno.inventory set looks = 0".to_owned(), FORBIDDEN),
        ("delete from trueno.sighting".to_owned(), FORBIDDEN),
        (
            "insert into trueno.finding_count select organization_id, account_id, check_id, status, \
             gen_random_uuid(), 1 from trueno.finding"
                .to_owned(),
            FORBIDDEN,
        ),
        (
            "create temp table t (a int); create trigger t after insert on t \
             for each statement execute function trueno.keep_finding_counts()"
                .to_owned(),
            FORBIDDEN,
        ),
        (
            "select trueno.lapse_exceptions(now(), 1, array[]::uuid[])".to_owned(),
            FORBIDDEN,
        ),
        ("select * from trueno.schedule_due".to_owned(), FORBIDDEN),
        (
            "select * from trueno.due_schedules(null, null, null, 10)".to_owned(),
            FORBIDDEN,
        ),
        (
            "select trueno.fold_finding_counts(gen_random_uuid())".to_owned(),
            FORBIDDEN,
        ),
        (
            "select * from trueno.job_history_default".to_owned(),
            FORBIDDEN,
        ),
        (
            "select trueno.context_mac('test', gen_random_uuid())".to_owned(),
            FORBIDDEN,
        ),
        (
            "select trueno.context_enter_checked(gen_random_uuid())".to_owned(),
            FORBIDDEN,
        ),
        ("select * from trueno.queue_stats()".to_owned(), FORBIDDEN),
        ("select * from trueno.vacuum_horizon()".to_owned(), FORBIDDEN),
        ("select * from trueno.staged(1)".to_owned(), FORBIDDEN),
        ("copy trueno.cloud_account from stdin".to_owned(), "0A000"),
        ("truncate trueno.job".to_owned(), FORBIDDEN),
    ] {
        injected.execute("savepoint s").await.unwrap();
        let refused = sqlstate(&mut injected, &sql).await;
        assert_eq!(refused.as_deref(), Some(wanted), "{sql}");
        injected.execute("rollback to savepoint s").await.unwrap();
    }
}

pub(crate) async fn the_processor_enters_with_a_lease_and_with_nothing_else(way: Way) {
    let case = two(way).await;
    let lease = case.world.claim(1).await.remove(0).reference();
    let mut processor = way.injected(&case.database, "processor").await;
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
        count(&mut processor, "select count(*) from trueno.job").await,
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
    let refused = sqlstate(&mut processor, "select * from trueno.job").await;
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

pub(crate) async fn nothing_of_a_signature_shows_in_the_servers_activity(way: Way) {
    let harness = way.harness().await;
    let store = harness.store.clone();
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let view = world.view(&tenant).await;
    let mut admin = database.admin().await;
    let rows = admin
        .fetch_all("select query from pg_stat_activity where datname = current_database()")
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

/// Members act through the app and jobs through the processor, whatever the statement says.
pub(crate) async fn nobody_says_that_somebody_else_acted(way: Way) {
    let case = two(way).await;
    let lease = case.world.claim(1).await.remove(0).reference();
    let mut app = way.injected(&case.database, "app").await;
    let mut processor = way.injected(&case.database, "processor").await;
    let held = format!(
        "select trueno.enter_lease('{}', '{}', '{}', '{}')",
        lease.organization, lease.job, lease.token, lease.session
    );
    for kind in ["member", "processor", "system"] {
        let event = |organization: OrganizationId| {
            let actor = match kind {
                "system" => "null".to_owned(),
                _ => format!("'{}'", uuid::Uuid::nil()),
            };
            format!(
                "insert into trueno.audit_staged (
                    organization_id, id, actor_kind, actor_id, action, targets, details
                 ) values ('{organization}', gen_random_uuid(), '{kind}', {actor}, 'made.up', '[]', '{{}}')"
            )
        };
        app.execute("begin").await.unwrap();
        let mac = signature(way, &mut app, "test", case.one).await;
        let entered = enter("test", case.one, &mac);
        app.execute(AssertSqlSafe(entered)).await.unwrap();
        let refused = sqlstate(&mut app, &event(case.one)).await;
        let wanted = (kind != "member").then_some(FORBIDDEN);
        assert_eq!(refused.as_deref(), wanted, "the app, of a {kind}");
        app.execute("rollback").await.unwrap();

        processor.execute("begin").await.unwrap();
        processor
            .execute(AssertSqlSafe(held.as_str()))
            .await
            .unwrap();
        let refused = sqlstate(&mut processor, &event(lease.organization)).await;
        let wanted = (kind != "processor").then_some(FORBIDDEN);
        assert_eq!(refused.as_deref(), wanted, "the processor, of a {kind}");
        processor.execute("rollback").await.unwrap();
    }
}
