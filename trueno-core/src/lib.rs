//! Trueno: build multi-tenant services that scan cloud accounts, find wasted spend and prove the
//! savings.
//!
//! This crate holds the domain, its state machines and five ports; it does no I/O and names no
//! database and no cloud SDK. Adapters implement the ports, programs compose them.
//!
//! | port | what it does | adapters |
//! |---|---|---|
//! | [`CloudScanner`](port::CloudScanner) | reads a cloud account | `trueno-aws` |
//! | [`JobQueue`](port::JobQueue) | hands jobs to workers, fenced by leases | `trueno-store-postgres`, `trueno-store-memory` |
//! | [`TenantStore`](port::TenantStore) | keeps tenants' data apart, behind four doors | `trueno-store-postgres`, `trueno-store-memory` |
//! | [`SecretVault`](port::SecretVault) | keeps secrets sealed | `trueno-store-memory` |
//! | [`AuditSink`](port::AuditSink) | keeps history that verifies | `trueno-store-memory` |
//!
//! What it promises has ids, P1 to P11: see [`promise`].
//!
//! A processor is put together from ports, whatever implements them:
//!
//! ```
//! use std::sync::Arc;
//!
//! use trueno_core::check::Engine;
//! use trueno_core::clock::SystemClock;
//! use trueno_core::error::Result;
//! use trueno_core::id::IdSource;
//! use trueno_core::port::{CloudScanner, JobQueue, TenantStore};
//! use trueno_core::runtime::scan::{ScanConfig, ScanHandler};
//! use trueno_core::runtime::{Processor, ProcessorConfig};
//!
//! fn processor(
//!     queue: Arc<dyn JobQueue>,
//!     store: Arc<dyn TenantStore>,
//!     scanner: Arc<dyn CloudScanner>,
//!     checks: Arc<Engine>,
//! ) -> Result<Processor> {
//!     let clock = Arc::new(SystemClock);
//!     let scans = ScanHandler::new(vec![scanner], checks, clock.clone(), ScanConfig::default());
//!     let config = ProcessorConfig::new("worker 1").with_concurrency(8);
//!     Processor::new(queue, store, vec![Arc::new(scans)], config, clock, IdSource::random())
//! }
//! ```

pub mod access;
pub mod check;
pub mod clock;
pub mod error;
pub mod id;
pub mod ledger;
pub mod model;
pub mod money;
pub mod port;
pub mod promise;
pub mod retry;
pub mod runtime;
pub mod state;
mod text;
pub mod vault;
