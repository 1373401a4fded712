//! Everything through a real PgBouncer in transaction mode: the suites of the ports unchanged, and
//! what may not pass between clients that share its connections (P1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod cancelled;
mod injected;
mod support;

use std::time::Duration;

use injected::{BAD_CONTEXT, count, enter, set, signature, two};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use support::way::Way;
use support::{Database, bouncer, keys, sqlstate};
use trueno_core::error::ErrorKind;
use trueno_core::port::{PageRequest, TenantStore as _};
use trueno_store_postgres::{Login, PostgresStore, WakeUpMode};
use trueno_testkit::fixtures::{Tenant, World};
use trueno_testkit::proof;

mod tenant_store {
    trueno_testkit::tenant_store_conformance!(
        "trueno-store-postgres behind PgBouncer",
        crate::support::bouncer::harness
    );
}

mod job_queue {
    trueno_testkit::job_queue_conformance!(
        "trueno-store-postgres behind PgBouncer",
        crate::support::bouncer::harness
    );
}

mod context {
    crate::injected::every_case!(crate::support::way::Way::Pooled);
}

/// So that no other pooler, and no server, is taken for it.
#[tokio::test]
async fn it_is_pgbouncer_in_transaction_mode_whose_servers_take_turns() {
    let database = Database::migrated(&keys()).await;
    bouncer::config(&database).await;
    assert_eq!(bouncer::setting("pool_mode").await, "transaction");
    assert_eq!(bouncer::setting("server_round_robin").await, "1");
    let version = bouncer::version().await;
    let server = database
        .text("select split_part(current_setting('server_version'), ' ', 1)")
        .await;
    proof::report(
        "servers",
        &json!({ "postgres": server, "pgbouncer": version }),
    );
}

/// A session's settings and temporary tables outlive the client that made them, and another client
/// comes to work on them.
#[tokio::test]
async fn what_injected_sql_leaves_on_a_shared_connection_is_worth_nothing() {
    let way = Way::Pooled;
    let case = two(way).await;
    let pid = "select pg_backend_pid()::bigint";
    let mut injected = way.injected(&case.database, "app").await;
    injected.execute("begin").await.unwrap();
    let poisoned = count(&mut injected, pid).await;
    let mac = signature(way, &mut injected, "test", case.one).await;
    for left in [
        enter("test", case.one, &mac),
        set("test", case.one, &mac).replace("true)", "false)"),
        "create temp table cloud_account as select * from trueno.cloud_account".to_owned(),
        "set search_path = pg_temp, pg_catalog".to_owned(),
        "set statement_timeout = '1ms'".to_owned(),
    ] {
        injected.execute(AssertSqlSafe(left)).await.unwrap();
    }
    injected.execute("commit").await.unwrap();
    drop(injected);

    let mut other = way.injected(&case.database, "app").await;
    for turn in 0.. {
        assert!(turn < 100, "the connection is handed out again");
        other
            .execute("begin; set local statement_timeout = 0")
            .await
            .unwrap();
        if count(&mut other, pid).await == poisoned {
            break;
        }
        other.execute("rollback").await.unwrap();
    }
    let left = "select count(*) from cloud_account
        where current_setting('trueno.context') like 'test:%'";
    assert_eq!(count(&mut other, left).await, 1, "it is there to be found");
    let refused = sqlstate(&mut other, "select * from trueno.cloud_account").await;
    assert_eq!(refused.as_deref(), Some(BAD_CONTEXT));
    drop(other);

    // The other organization works on the same connection, and sees its own.
    let tenant = case.tenant_two;
    for _ in 0..24 {
        let mut view = case.world.view(&tenant).await;
        let accounts = view
            .accounts(&PageRequest::first(10).unwrap())
            .await
            .unwrap();
        assert_eq!(accounts.items.len(), 1);
        assert_eq!(accounts.items[0].organization, case.two);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_futures_leave_nothing_behind() {
    cancelled::nothing_is_left_behind(Way::Pooled, "cancellation behind PgBouncer", 1_000).await;
}

/// Opens as many transactions at once as there are servers for a login, so that afterwards all of
/// them take turns.
async fn use_every_server(world: &World, tenant: &Tenant) {
    let views = (0..Way::Pooled.connections()).map(|_| world.view(tenant));
    drop(futures::future::join_all(views).await);
}

#[tokio::test]
async fn a_store_opens_while_the_servers_take_turns() {
    let harness = bouncer::harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    use_every_server(&world, &tenant).await;
    for _ in 0..4 {
        let config = bouncer::config(&database).await;
        let store = PostgresStore::connect(config, &keys()).await.unwrap();
        store.read(&tenant.read).await.unwrap();
    }
}

/// `LISTEN` needs a connection of its own; what sends the wake-ups does not.
#[tokio::test]
async fn a_worker_that_listens_on_the_server_is_woken_through_the_pooler() {
    let database = Database::migrated(&keys()).await;
    let config = bouncer::config(&database)
        .await
        .with_processor_url(bouncer::straight(&database, "processor"))
        .with_wake_ups(WakeUpMode::Listen)
        .with_poll_interval(Duration::from_secs(3_600));
    let world = World::new(support::harness_of(database, config).await).await;
    let tenant = world.organization().await;
    use_every_server(&world, &tenant).await;
    let hints = world.queue.wake_ups().await.unwrap();
    support::an_enqueue_is_heard(&world, &tenant, hints).await;
}

/// A pooler that drops a connection's request for a role would let the login work as itself.
#[tokio::test]
async fn a_role_that_a_pooler_drops_is_missed() {
    let database = Database::migrated(&keys()).await;
    let config = bouncer::config(&database).await.with_login(Login::SetRole);
    let Err(error) = PostgresStore::connect(config, &keys()).await else {
        panic!("it works as the login itself");
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("a pooler dropped"), "{error}");
}
