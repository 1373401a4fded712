//! Futures that are dropped half-way leave nothing on a connection (P1, P2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod cancelled;
mod support;

use support::way::Way;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_futures_leave_nothing_behind() {
    cancelled::nothing_is_left_behind(Way::Straight, "cancellation", 5_000).await;
}

#[tokio::test]
async fn an_open_transaction_or_a_lock_is_found() {
    cancelled::canaries::an_open_transaction_or_a_lock_is_found().await;
}

#[tokio::test]
async fn a_context_is_found() {
    cancelled::canaries::a_context_is_found().await;
}

#[tokio::test]
async fn half_a_change_is_found() {
    cancelled::canaries::half_a_change_is_found().await;
}
