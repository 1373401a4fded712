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
