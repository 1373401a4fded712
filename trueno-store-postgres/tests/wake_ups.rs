//! What is sent to whoever listens for work: by which changes, when, and how much of it. The queue's
//! conformance cases cannot tell a hint that was sent from a poll.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use support::{Database, harness};
use trueno_core::model::EventDraft;
use trueno_core::port::{JobOutcome, JobQueue as _, Settlement};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::World;

#[tokio::test]
async fn a_wake_up_comes_after_the_commit() {
    let harness = harness().await;
    let config = harness
        .database
        .config()
        .with_poll_interval(Duration::from_secs(3_600));
    let keys = support::keys();
    let listening = PostgresStore::connect(config, &keys).await.unwrap();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let hints = listening.wake_ups().await.unwrap();
    support::an_enqueue_is_heard(&world, &tenant, hints).await;
}

/// What the test's own listener hears.
struct Sent(PgListener);

impl Sent {
    async fn on(database: &Database) -> Self {
        let admins = PgPoolOptions::new().connect_with(database.options());
        let admins = admins.await.unwrap();
        let mut listener = PgListener::connect_with(&admins).await.unwrap();
        listener.listen("trueno_work").await.unwrap();
        Self(listener)
    }

    async fn within(&mut self, time: Duration) -> bool {
        let heard = tokio::time::timeout(time, self.0.recv()).await;
        heard.map(Result::unwrap).is_ok()
    }

    async fn something(&mut self) -> bool {
        self.within(Duration::from_secs(30)).await
    }

    async fn nothing_more(&mut self) -> bool {
        !self.within(Duration::from_millis(300)).await
    }

    /// Lets what is on its way come.
    async fn drain(&mut self) {
        while !self.nothing_more().await {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_of_work_wakes_a_worker_where_it_enqueued_something() {
    let harness = harness().await;
    let mut sent = Sent::on(&harness.database).await;
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    for enqueues in [false, true] {
        sent.drain().await;
        let mut unit = world.begin_scan(&tenant).await;
        let job = world.job();
        let event = EventDraft::new("work.requested", "job", job.id);
        if enqueues {
            unit.enqueue(vec![job]).await.unwrap();
        }
        assert!(sent.nothing_more().await, "it is not committed");
        unit.commit(event).await.unwrap();
        if enqueues {
            assert!(sent.something().await);
        } else {
            assert!(sent.nothing_more().await, "there is no work");
        }
    }
}

/// A job that its worker gave back, or that was taken back from one that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_again_wakes_a_worker() {
    let harness = harness().await;
    let mut sent = Sent::on(&harness.database).await;
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let job = world.enqueue(&tenant, world.job()).await;
    assert!(sent.something().await, "it was enqueued");
    let lease = world.claim_one().await.reference();
    sent.drain().await;
    let outcome = JobOutcome::Returned;
    let settlement = Settlement { lease, outcome };
    world.queue.settle(vec![settlement]).await.unwrap();
    assert!(sent.something().await, "it was given back");

    let lease = world.claim_one().await.reference();
    assert_eq!(lease.job, job);
    sent.drain().await;
    world.queue.recover_expired(10).await.unwrap();
    assert!(sent.nothing_more().await, "nothing waits again");
    world.advance(Duration::from_secs(3_600)).await;
    let recovered = world.queue.recover_expired(10).await.unwrap();
    assert_eq!(recovered.requeued, 1);
    assert!(sent.something().await, "it was taken back");
}

/// How many notifications a burst of commits is, counted by a listener of the test's own; and that the
/// last of them comes after the last commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_commits_is_a_few_notifications_and_the_last_is_not_left_out() {
    const COMMITS: i64 = 300;
    let harness = harness().await;
    let database = harness.database.borrowed();
    let mut sent = Sent::on(&database).await;
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    // What a worker would find that is woken up by each.
    let counted = tokio::spawn(async move {
        let mut found = Vec::new();
        while found.last() != Some(&COMMITS) {
            sent.0.recv().await.unwrap();
            found.push(database.number("select count(*) from trueno.job").await);
        }
        // One more may be on its way, of the last commits but one.
        while !sent.nothing_more().await {
            found.push(COMMITS);
        }
        found
    });
    let begun = tokio::time::Instant::now();
    for nth in 0..COMMITS {
        if nth % 2 == 0 {
            world.enqueue(&tenant, world.job()).await;
            continue;
        }
        let mut unit = world.begin_scan(&tenant).await;
        let job = world.job();
        let id = job.id;
        unit.enqueue(vec![job]).await.unwrap();
        let event = EventDraft::new("job.enqueued", "job", id);
        unit.commit(event).await.unwrap();
    }
    let took = begun.elapsed();
    let found = tokio::time::timeout(Duration::from_secs(60), counted)
        .await
        .expect("the last commit is told of")
        .unwrap();
    // The first at once, then one in 4 ms at the most, and the last.
    let most = took.as_millis() / 4 + 2;
    assert!(found.len() as u128 <= most, "{} in {took:?}", found.len());
}
