//! Processors killed, paused and cut off by the hundred, on a Postgres that is restarted under them:
//! nothing is lost, doubled or stuck, and no cap is exceeded. docs/chaos.md has the method and the
//! figures of a full run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "a failing test shows what it printed: the figures that it came to"
)]

mod canaries;
mod check;
mod crew;
mod enqueue;
mod facts;
mod handler;
mod plan;
mod proxy;
#[path = "../failure/server.rs"]
#[allow(
    dead_code,
    reason = "shared with tests/failure, which uses the rest of it"
)]
mod server;
mod stage;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
mod watch;
mod work;
mod worker;

use trueno_testkit::proof;

use crate::plan::Counts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_stuck_and_no_cap_is_exceeded() {
    let (counts, seed) = (Counts::of_the_proof(), proof::seed());
    let figures = storm::run(&counts, seed).await;
    // Shown by a run with --nocapture, and by one that fails.
    println!("chaos: {figures}");
    proof::report("chaos", &figures);
}
