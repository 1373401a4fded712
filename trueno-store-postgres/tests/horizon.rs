//! The horizon guard's look at the database: it names the session that holds vacuum back, and tells no
//! more than the server shows it.
//!
//! Other tests' sessions are in other databases: they are left out. Nothing is said here of prepared
//! transactions and logical slots, which the tests' server does not allow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use support::{Database, ROLES, harness, keys};
use trueno_core::id::IdSource;
use trueno_core::port::{Horizon, HorizonHolder, JobQueue as _};
use trueno_store_postgres::{PostgresStore, migrate};
use trueno_testkit::fixtures::World;

const SECRET: &str = "hunter2";

/// A session with a name, a snapshot that it holds open, and a query that nobody else is to see.
async fn pins(database: &Database) -> (PgConnection, u32) {
    let options = database.options().application_name("nightly report");
    let mut session = options.connect().await.unwrap();
    session
        .execute("begin isolation level repeatable read")
        .await
        .unwrap();
    let query = AssertSqlSafe(format!(
        "select pg_backend_pid() as pid, '{SECRET}' as secret"
    ));
    let row = session.fetch_one(query).await.unwrap();
    let pid: i32 = row.get("pid");
    (session, pid.try_into().unwrap())
}

/// Asks until somebody else than a passer-by is named: a short statement of the store's own may hold
/// the horizon at the moment of a look.
async fn named(
    store: &PostgresStore,
    wanted: impl Fn(Option<&Horizon>) -> bool,
) -> Option<Horizon> {
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let horizon = store.horizon().await.unwrap();
            if wanted(horizon.as_ref()) {
                return horizon;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.expect("the wanted horizon is seen")
}

fn is(pid: u32) -> impl Fn(Option<&Horizon>) -> bool {
    move |horizon| horizon.is_some_and(|horizon| horizon.pid == Some(pid))
}

#[tokio::test]
async fn the_session_that_holds_vacuum_back_is_named_until_it_ends() {
    let harness = harness().await;
    let (store, database) = (harness.store.clone(), harness.database.borrowed());
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    assert_eq!(named(&store, |horizon| horizon.is_none()).await, None);
    let (mut session, pid) = pins(&database).await;
    let first = named(&store, is(pid)).await.unwrap();
    assert_eq!(first.holder, HorizonHolder::Session);
    assert_eq!(first.name.as_deref(), Some("nightly report"));
    let login = database.text("select session_user::text").await;
    assert_eq!(first.login, Some(login));
    // The store's role may not see more of another login's session.
    assert_eq!((first.since, first.state_since), (None, None));
    assert_eq!((first.age(), &first.state), (None, &None));

    for _ in 0..20 {
        world.enqueue(&tenant, world.job()).await;
    }
    // Who came later holds it back as well, and is not the one to end.
    let (mut later, _) = pins(&database).await;
    let second = named(&store, is(pid)).await.unwrap();
    assert_eq!(second.position, first.position, "the same transaction");
    assert!(second.transactions >= first.transactions + 20, "{second:?}");
    let said = format!("{second:?} {second}");
    assert!(!said.contains(SECRET), "no query's text: {said}");
    assert!(!said.contains(&tenant.id.to_string()), "P1: {said}");

    session.execute("rollback").await.unwrap();
    // Not always the later one: its snapshot may be as old as a passer-by's.
    let third = named(&store, |horizon| !is(pid)(horizon)).await;
    assert!(third.is_none_or(|third| third.position >= second.position));
    later.execute("rollback").await.unwrap();
    assert_eq!(named(&store, |horizon| horizon.is_none()).await, None);
}

/// Who writes holds back the snapshots that others take meanwhile: the writer is named, not they.
#[tokio::test]
async fn a_writer_is_named_before_those_whom_it_makes_as_old() {
    let harness = harness().await;
    let (store, database) = (harness.store.clone(), harness.database.borrowed());
    let mut tries = 0;
    loop {
        let mut writer = database.admin().await;
        writer.execute("begin").await.unwrap();
        let row = writer
            .fetch_one("select pg_backend_pid() as pid, txid_current()")
            .await
            .unwrap();
        let writing: i32 = row.get("pid");
        let (reader, reading) = pins(&database).await;
        // A writer of another database, on a server that others use, makes both older.
        let is_as_old = format!(
            "select count(*) from pg_stat_activity r, pg_stat_activity w
             where r.pid = {reading} and w.pid = {writing} and r.backend_xmin = w.backend_xid"
        );
        if database.number(&is_as_old).await == 1 {
            let horizon = named(&store, |horizon| horizon.is_some()).await.unwrap();
            assert_eq!(
                horizon.pid,
                Some(writing.try_into().unwrap()),
                "not {reading}"
            );
            writer.execute("rollback").await.unwrap();
            let horizon = named(&store, is(reading)).await.unwrap();
            assert_eq!(horizon.holder, HorizonHolder::Session);
            return;
        }
        tries += 1;
        assert!(
            tries < 500,
            "others always write: give the test a server of its own"
        );
        writer.close().await.unwrap();
        reader.close().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// With pg_read_all_stats granted to the role of definer functions: state and times as well.
#[tokio::test]
async fn where_an_administrator_allows_it_state_and_age_are_told() {
    let unique: uuid::Uuid = IdSource::random().next(jiff::Timestamp::UNIX_EPOCH);
    let prefix = format!("trueno_horizon_{}", &unique.simple().to_string()[20..]);
    let database = Database::create().await;
    let config = database.config().with_role_prefix(&prefix);
    migrate(&config, &keys()).await.unwrap();
    database
        .execute(&format!("grant pg_read_all_stats to {prefix}_system"))
        .await;
    let store = PostgresStore::connect(config, &keys()).await.unwrap();
    let (mut session, pid) = pins(&database).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let horizon = named(&store, is(pid)).await.unwrap();
    assert_eq!(horizon.state.as_deref(), Some("idle in transaction"));
    assert!(horizon.age().unwrap() >= Duration::from_millis(20));
    assert!(horizon.since.unwrap() <= horizon.state_since.unwrap());
    assert!(!format!("{horizon:?}").contains(SECRET));
    session.execute("rollback").await.unwrap();
    store.close().await;
    let roles = ["owner", "system", "app", "processor", "sequencer"];
    let roles = roles.map(|role| format!("{prefix}_{role}")).join(", ");
    database
        .execute(&format!("drop owned by {roles} cascade; drop role {roles}"))
        .await;
    assert!(!prefix.starts_with(ROLES), "roles of the test's own");
}
