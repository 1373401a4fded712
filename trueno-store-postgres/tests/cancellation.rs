//! Futures that are dropped half-way leave nothing on a connection (P1, P2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod cancelled;
mod support;

use std::time::Duration;

use support::harness;
use support::way::Way;
use trueno_testkit::fixtures::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_futures_leave_nothing_behind() {
    cancelled::nothing_is_left_behind(Way::Straight, "cancellation", 5_000).await;
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
