//! What breaks, and what callers are told of it (P2): a server that is killed, every way in which
//! it can refuse, connections that are cut, and input that cannot be stored.
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

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod input;
mod kills;
mod mapping;
mod outage;
mod server;
