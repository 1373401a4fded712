//! The processor over the memory store, with handlers that do what handlers should not, and a queue
//! that writes down what it was asked. Time is tokio's, paused: it moves when nothing else does.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod blocked;
mod claiming;
mod life;
mod limits;
mod logs;
mod metrics;
mod payloads;
mod settling;
mod settling_faults;
mod spans;
mod watched;
mod watching;
mod world;
