//! What is left behind on purpose: the checks have to say so.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::Executor as _;
use trueno_testkit::fixtures::World;

use super::checks;
use super::knife::Knife;
use super::worker::{Fate, Worker};
use crate::support::way::Way;
use crate::support::{Database, harness_of, keys};

/// What a check says that fails.
async fn told(check: impl Future<Output = ()>) -> String {
    let failed = AssertUnwindSafe(check).catch_unwind().await;
    let said = failed.expect_err("the check fails");
    let text = said.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| said.downcast_ref::<String>().cloned())
        .expect("it says why")
}

pub(crate) async fn an_open_transaction_or_a_lock_is_found() {
    let harness = Way::Straight.harness().await;
    let database = &harness.database;
    checks::nothing_is_open(database, checks::LOOKS).await;
    let mut left = database.role("app").await;
    for (leaves, found, takes) in [
        // A transaction has a lock on itself.
        ("begin; select 1", "(1, 1)", "rollback"),
        (
            "select pg_advisory_lock(1)",
            "(0, 1)",
            "select pg_advisory_unlock_all()",
        ),
    ] {
        left.execute(leaves).await.unwrap();
        let said = told(checks::nothing_is_open(database, 3)).await;
        assert!(
            said.contains("inside a transaction, or with locks"),
            "{said}"
        );
        assert!(said.ends_with(found), "{said}");
        left.execute(takes).await.unwrap();
        checks::nothing_is_open(database, checks::LOOKS).await;
    }
}

pub(crate) async fn a_context_is_found() {
    let way = Way::Straight;
    let database = Database::migrated(&keys()).await;
    // The calls wait for each other while the pool makes its connections.
    let config = way.config(&database).await;
    let config = config.with_lock_timeout(Duration::from_secs(60));
    let left = format!(
        "alter database {} set trueno.context = 'left'",
        database.options().get_database().unwrap()
    );
    database.execute(&left).await;
    let harness = harness_of(database, config).await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    checks::watch(&database).await;
    let said = told(checks::no_context_is_left(
        &database,
        &world,
        way.connections(),
    ));
    let said = said.await;
    assert!(said.contains("came back in an organization"), "{said}");
}

pub(crate) async fn half_a_change_is_found() {
    let harness = Way::Straight.harness().await;
    let database = harness.database.borrowed();
    let mut worker = Worker::new(Arc::new(World::new(harness).await), 0).await;
    // It lets the first call of each kind through.
    worker.ingest(&mut Knife::new(1)).await;
    assert_eq!(worker.changes[0].1, Fate::Applied);
    checks::changes_are_whole(&database, &worker).await;

    worker.changes[0].1 = Fate::Never;
    let said = told(checks::changes_are_whole(&database, &worker)).await;
    assert!(
        said.contains("P2: Batch(1), Never: [true, true, true]"),
        "{said}"
    );
    worker.changes[0].1 = Fate::Either;
    for (lost, parts) in [
        ("finding", "[true, true, false]"),
        ("coverage", "[true, false, false]"),
    ] {
        let loses = format!("set session_replication_role = replica; delete from trueno.{lost}");
        database.execute(&loses).await;
        let said = told(checks::changes_are_whole(&database, &worker)).await;
        let wanted = format!("P2: Batch(1), Either: {parts}");
        assert!(said.contains(&wanted), "without its {lost}: {said}");
    }
}
