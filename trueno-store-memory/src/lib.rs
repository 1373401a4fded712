//! The ports of Trueno in memory: the embedded default, and the strictest implementation of them.
//!
//! | port | here |
//! |---|---|
//! | [`TenantStore`](trueno_core::port::TenantStore), [`AuditOutbox`](trueno_core::port::AuditOutbox), [`JobQueue`](trueno_core::port::JobQueue) | [`MemoryStore`] |
//! | [`SecretVault`](trueno_core::port::SecretVault) | [`MemoryVault`] |
//! | [`AuditSink`](trueno_core::port::AuditSink) | [`MemoryLedger`] |
//!
//! Everything is gone with the last clone. Apart from that the semantics are those of a database:
//! units of work are isolated and roll back when they are dropped, views answer as of one moment,
//! leases are fenced (P3), organizations share nothing (P1). Wrong use that a database might let
//! pass, such as a scan without its job, is refused with a message that says what is wrong.
//!
//! # Concurrency
//! One short lock guards the data; nobody holds it across an `.await`, so a view, unit of work or
//! ingest batch that is dropped or forgotten blocks nobody. A unit of work sees what was committed
//! when it began, and its own changes. At its commit, every row that it changed, and every row that
//! a rule made it rely on (the owner who stays, the finding that an exception is asked for, the
//! member a finding is assigned to), must be the row it saw: otherwise
//! [`Conflict`](trueno_core::error::ErrorKind::Conflict), and nothing was applied. An ingest batch
//! is no such reader: what it says goes on top of what is there at its commit.
//!
//! # Cost
//! Rows are shared by reference between the data and the views of it. Opening a view costs nothing
//! that grows with the data; the first change of a table while a view of it is open copies the
//! table's index. Counts and recommendations are worked out whenever they are asked for. Finished
//! jobs and audit events stay for as long as the store does.
//!
//! A claim looks at the organization and the job that are next and at no other, however many wait or
//! are held back. Two organizations that wait are never further apart than one job of each, by their
//! weights. A quota is exact, but for units of work that are open at the same time.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use trueno_core::clock::SystemClock;
//! use trueno_core::id::IdSource;
//! use trueno_core::port::{JobQueue, TenantStore};
//! use trueno_store_memory::MemoryStore;
//!
//! let store = MemoryStore::new(Arc::new(SystemClock), IdSource::random());
//! let tenants: Arc<dyn TenantStore> = Arc::new(store.clone());
//! let queue: Arc<dyn JobQueue> = Arc::new(store);
//! ```

mod audit_sink;
mod job_queue;
mod secret_vault;
mod state;
mod store;
mod tenant_store;

pub use audit_sink::MemoryLedger;
pub use secret_vault::MemoryVault;
pub use store::MemoryStore;
