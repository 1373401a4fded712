//! A claim where somebody else has jobs locked, which the queue's conformance cases cannot make of every
//! adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::collections::BTreeSet;

use sqlx::Executor as _;
use trueno_testkit::fixtures::World;

#[path = "support/mod.rs"]
mod support;

/// P3: what is passed over, since it is locked, leaves no gap that a later round of the same claim
/// would fill with a token that is taken.
#[tokio::test]
async fn no_two_jobs_of_a_claim_have_one_token_where_some_are_locked() {
    // More than one round of a claim serves.
    const ORGANIZATIONS: usize = 20;
    let harness = support::harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    for _ in 0..ORGANIZATIONS {
        let tenant = world.organization().await;
        world.enqueue(&tenant, world.job()).await;
    }
    let mut other = database.admin().await;
    other
        .execute("begin; select from trueno.job order by id limit 3 for update")
        .await
        .unwrap();
    let request = world.claim_request(100);
    let claims = world.queue.claim(&request).await.unwrap();
    assert_eq!(claims.len(), ORGANIZATIONS - 3);
    let tokens: BTreeSet<_> = claims.iter().map(|claim| claim.lease.token).collect();
    assert_eq!(tokens.len(), claims.len(), "each has its own");
    other.execute("rollback").await.unwrap();
    let rest = world.queue.claim(&request).await.unwrap();
    assert_eq!(rest.len(), 3, "what was locked comes later");
}

/// Ids begin with the server's moment (UUID version 7), whatever this process's clock says: what is new
/// lies together in an index.
#[tokio::test]
async fn tokens_and_events_have_ids_of_the_servers_moment() {
    let harness = support::harness().await;
    let database = harness.database.borrowed();
    let world = World::new(harness).await;
    let now = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
    let before = database.number(now).await;
    let tenant = world.organization().await;
    world.enqueue(&tenant, world.job()).await;
    let token = world.claim_one().await.reference().token;
    let events = world.staged_of(&tenant).await;
    let after = database.number(now).await;
    assert!(!events.is_empty(), "the organization was created");
    let events = events.iter().map(|event| event.id.as_uuid());
    for id in events.chain([token.as_uuid()]) {
        let (seconds, nanoseconds) = id.get_timestamp().expect("version 7").to_unix();
        let milliseconds = seconds * 1_000 + u64::from(nanoseconds) / 1_000_000;
        let milliseconds = i64::try_from(milliseconds).unwrap();
        assert!((before..=after).contains(&milliseconds), "{id}");
    }
}
