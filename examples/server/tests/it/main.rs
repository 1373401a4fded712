//! The `trueno` binary as its users meet it: real processes, a real Postgres, a live moto.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod demo;
mod failure;
mod interrupt;
mod live;
mod metrics;
mod processes;
mod queue;
mod secrecy;
mod serve;
mod support;
