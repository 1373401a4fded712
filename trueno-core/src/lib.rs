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
