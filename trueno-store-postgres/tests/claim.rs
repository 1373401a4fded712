//! Claims and settlements where somebody else has jobs locked, which the queue's conformance cases
//! cannot make of every adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::collections::BTreeSet;

use sqlx::Executor as _;
use trueno_core::port::{JobOutcome, SettleOutcome, Settlement};
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

/// Of a lease that is named more than once, the first is settled and the others were before.
#[tokio::test]
async fn a_lease_that_a_batch_names_again_was_settled_before() {
    let harness = support::harness().await;
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    for _ in 0..50 {
        world.enqueue(&tenant, world.job()).await;
    }
    let claims = world.queue.claim(&world.claim_request(50)).await.unwrap();
    let settlement = |claim: &trueno_core::port::Claim| Settlement {
        lease: claim.lease,
        outcome: JobOutcome::Succeeded,
    };
    let once = claims.iter().map(settlement);
    let twice = once.clone().chain(once).collect();
    let outcomes = world.queue.settle(twice).await.unwrap();
    let (first, again) = outcomes.split_at(claims.len());
    assert_eq!(first.len(), 50);
    assert!(
        first
            .iter()
            .all(|outcome| matches!(outcome, SettleOutcome::Settled(_)))
    );
    assert!(
        again
            .iter()
            .all(|outcome| *outcome == SettleOutcome::AlreadySettled)
    );
}
