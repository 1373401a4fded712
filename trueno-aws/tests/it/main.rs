//! The scanner against stand-ins for AWS on loopback: no credentials, no surroundings, no network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code, helpers included: a test fails by panicking"
)]

mod aws;
mod conformance;
mod moto;
mod pages;
mod recordings;
mod secrets;
mod sessions;
mod snapshots;
mod stub;
mod verification;
