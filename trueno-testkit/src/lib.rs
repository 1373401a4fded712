//! What an adapter of Trueno is held to, and what code that embeds Trueno is tested with.
//!
//! | suite | port | harness | instantiate with |
//! |---|---|---|---|
//! | [`tenant_store`] | [`TenantStore`](trueno_core::port::TenantStore) | [`StoreHarness`](harness::StoreHarness) | [`tenant_store_conformance!`] |
//! | [`job_queue`] | [`JobQueue`](trueno_core::port::JobQueue) | [`StoreHarness`](harness::StoreHarness) | [`job_queue_conformance!`] |
//! | [`secret_vault`] | [`SecretVault`](trueno_core::port::SecretVault) | [`VaultHarness`](harness::VaultHarness) | [`secret_vault_conformance!`] |
//! | [`audit_sink`] | [`AuditSink`](trueno_core::port::AuditSink) | [`SinkHarness`](harness::SinkHarness) | [`audit_sink_conformance!`] |
//! | [`cloud_scanner`] | [`CloudScanner`](trueno_core::port::CloudScanner) | [`ScannerHarness`](harness::ScannerHarness) | [`cloud_scanner_conformance!`] |
//!
//! The `# Contract` sections of the ports are the specification; each case holds an adapter to a
//! sentence of one and says which, with the promise's id ([`trueno_core::promise`]). Every suite is
//! one list of cases: its names ([`job_queue::CASES`]) and an adapter's tests both come from it, so
//! that no adapter can forget one.
//!
//! # An adapter of your own
//!
//! With this crate and `trueno-core` alone: write a harness and one line per suite in a test of
//! yours. Each case is then a test by its name, and one more prints how many there are, as
//! `conformance: my-crate audit_sink: 17 cases`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use trueno_core::clock::Clock as _;
//! use trueno_core::id::{IdSource, OrganizationId};
//! use trueno_core::port::AuditSink;
//! use trueno_testkit::clock::ManualClock;
//! use trueno_testkit::harness::SinkHarness;
//! # use trueno_testkit::mock::MockAuditSink as MySink;
//!
//! struct Harness {
//!     sink: Arc<MySink>,
//!     ids: IdSource,
//! }
//!
//! /// Makes a harness with an empty sink of its own, for each case anew.
//! async fn harness() -> Harness {
//!     Harness { sink: Arc::new(MySink::new()), ids: IdSource::seeded(1) }
//! }
//!
//! #[async_trait]
//! impl SinkHarness for Harness {
//!     fn sink(&self) -> Arc<dyn AuditSink> {
//!         self.sink.clone()
//!     }
//!
//!     fn ids(&self) -> IdSource {
//!         self.ids.clone()
//!     }
//!
//!     async fn organization(&self) -> OrganizationId {
//!         self.ids.next(ManualClock::default().now())
//!     }
//!
//!     async fn tamper(&self, organization: OrganizationId, index: u64) {
//!         // Flip a bit of the stored leaf, past the sink.
//!     }
//! }
//!
//! trueno_testkit::audit_sink_conformance!(harness);
//! ```
//!
//! # Tools
//!
//! [`clock::ManualClock`] stands still until it is moved; [`fixtures`] makes organizations, scans
//! and leases through the ports; [`mock`] has mocks of every port; [`fault`] makes chosen calls of
//! any adapter fail; [`noninterference`] plays one organization's life with and without another
//! one's; [`simulation`] plays processors and a storm of faults from a seed; [`proof`] says how much a random proof tries and keeps its figures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is test code: a case fails by panicking"
)]

pub mod audit_sink;
pub mod clock;
pub mod cloud_scanner;
pub mod fault;
pub mod fixtures;
pub mod harness;
pub mod job_queue;
pub mod mock;
pub mod noninterference;
pub mod proof;
pub mod secret_vault;
pub mod simulation;
pub mod suite;
pub mod tenant_store;
