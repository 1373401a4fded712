//! The signed context, straight on the server (P1).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod injected;
mod support;

injected::every_case!(support::way::Way::Straight);

// Straight on the server only: a pooler gives the question whether a connection is clean to any of
// its servers. Through one no statement has a name, and temporary objects are looked for last.
#[tokio::test]
async fn a_connection_that_something_was_left_on_is_closed() {
    injected::poisoned::a_connection_that_something_was_left_on_is_closed().await;
}

#[tokio::test]
async fn settings_and_locks_of_a_session_are_dropped() {
    injected::poisoned::settings_and_locks_of_a_session_are_dropped().await;
}
