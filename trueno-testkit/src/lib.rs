//! trueno-testkit
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a case fails by panicking"
)]

pub mod clock;
pub mod harness;
pub mod suite;
pub mod fixtures;
pub mod tenant_store;
pub mod job_queue;
pub mod secret_vault;
pub mod audit_sink;
pub mod cloud_scanner;
