//! Futures that are dropped half-way leave nothing on a connection (P1, P2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::time::Duration;

use sqlx::Executor as _;
use support::harness;
use trueno_core::model::EventDraft;
use trueno_core::port::TenantStore as _;
use trueno_testkit::fixtures::World;

/// Transactions that are open on the store's connections.
const OPEN: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'trueno'
        and xact_start is not null";

/// Locks on tables, and advisory ones, which outlive transactions, that the store's connections hold.
const LOCKS: &str = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and a.application_name = 'trueno'
        and l.locktype in ('relation', 'advisory')";

/// Notes, whenever an organization is created, which connection did it and the context that it was
/// in. Creating one enters none, so that a context is what was left behind.
const WATCH: &str = "
    create table seen (pid int, context text);
    create function see() returns trigger language plpgsql security definer as $$
    begin
        insert into public.seen values
            (pg_backend_pid(), coalesce(current_setting('trueno.context', true), ''));
        return new;
    end $$;
    create trigger see before insert on trueno.organization
        for each row execute function see()";

/// The store's connections that wait for a lock.
const WAITING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'trueno'
        and wait_event_type = 'Lock'";

/// How many connections the store has for the app, as `support` sets it.
const CONNECTIONS: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_leave_nothing_in_the_pool() {
    let harness = harness().await;
    let database = harness.database.borrowed();
    let store = harness.store.clone();
    let world = World::new(harness).await;
    let (one, two) = (world.organization().await, world.organization().await);
    // Deadlines from nothing to more than a call takes cut it at every point of its way.
    for nth in 0..400_u64 {
        let cut = Duration::from_micros(nth * 13);
        let _ = tokio::time::timeout(cut, async {
            let mut view = store.read(&two.read).await?;
            view.account(world.id()).await
        })
        .await;
        let _ = tokio::time::timeout(cut, async {
            let mut unit = store.begin(&one.accounts).await?;
            let account = unit.insert_account(world.new_account()).await?;
            let event = EventDraft::new("cloud_account.connected", "cloud_account", account.id);
            unit.commit(event).await
        })
        .await;
    }
    // What was cut off is rolled back in the background.
    let mut open = 1;
    for _ in 0..100 {
        open = database.number(OPEN).await;
        if open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(open, 0, "a connection came back inside a transaction");
    assert_eq!(
        database.number(LOCKS).await,
        0,
        "a connection came back with a lock"
    );
    database.execute(WATCH).await;
    // Each is kept waiting until all wait, so that no two use the same connection.
    let mut admin = database.admin().await;
    admin
        .execute("begin; lock table seen in exclusive mode")
        .await
        .unwrap();
    let release = async {
        while database.number(WAITING).await < CONNECTIONS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        admin.execute("rollback").await.unwrap();
    };
    let created = futures::future::join_all((0..CONNECTIONS).map(|_| world.organization()));
    tokio::join!(release, created);
    let pids = "select count(distinct pid) from public.seen";
    assert_eq!(database.number(pids).await, CONNECTIONS);
    let contexts = "select count(*) from public.seen where context <> ''";
    assert_eq!(
        database.number(contexts).await,
        0,
        "a connection came back in an organization"
    );
    // Every account has its event and the other way round: no half of a commit was applied.
    let accounts = database
        .number("select count(*) from trueno.cloud_account")
        .await;
    let events = "select count(*) from trueno.audit_staged
        where action = 'cloud_account.connected'";
    assert_eq!(database.number(events).await, accounts, "P2");
    for tenant in [&one, &two] {
        let added = world.pending_account(tenant).await;
        assert_eq!(
            world.view(tenant).await.account(added.id).await.unwrap(),
            added
        );
    }
}

#[tokio::test]
async fn a_wake_up_comes_after_the_commit() {
    use futures::StreamExt as _;
    use trueno_core::port::JobQueue as _;
    let harness = harness().await;
    let config = harness
        .database
        .config()
        .with_poll_interval(Duration::from_secs(3_600));
    let keys = support::keys();
    let listening = trueno_store_postgres::PostgresStore::connect(config, &keys)
        .await
        .unwrap();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let mut hints = listening.wake_ups().await.unwrap();
    hints.next().await.unwrap();
    // The first tick is at once and the next in an hour: what comes now was sent. The listener may
    // still be on its way, so it is told until it hears.
    let heard = async {
        loop {
            world.enqueue(&tenant, world.job()).await;
            let hint = tokio::time::timeout(Duration::from_millis(500), hints.next()).await;
            if hint.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .expect("a worker is woken up");
}
