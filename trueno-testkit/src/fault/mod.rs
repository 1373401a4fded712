//! Fault injection: wrappers over any adapter's ports that fail or delay chosen calls.
//!
//! A [`FaultPlan`] says which call of which method goes wrong, and how; the wrappers ask it at every
//! call. The plan is shared, so that a test goes on scripting while the code under test runs:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use trueno_core::error::ErrorKind;
//! use trueno_core::port::{JobQueue, QueueStats};
//! use trueno_testkit::fault::{Fault, FaultPlan, FaultyQueue};
//! use trueno_testkit::mock::MockJobQueue;
//!
//! let mut real = MockJobQueue::new();
//! real.expect_stats().times(2).returning(|| Ok(QueueStats::default()));
//!
//! let plan = FaultPlan::new();
//! let queue = FaultyQueue::new(Arc::new(real), plan.clone());
//! plan.fail("job_queue.stats", 2, Fault::Before(ErrorKind::Unavailable));
//! assert!(queue.stats().await.is_ok());
//! assert!(queue.stats().await.is_err_and(|error| error.certainly_not_applied()));
//! assert!(queue.stats().await.is_ok());
//! assert_eq!(plan.calls("job_queue.stats"), 3);
//! # });
//! ```
//!
//! Methods are named `port.method`: `job_queue.…`, `tenant_store.…` (the outbox's too), `scheduling.…`, and what
//! the store opens as `read_view.…`, `unit_of_work.…` and `ingest.…`; `cloud_scanner.…`,
//! `scan_session.scan`, and `scan_stream.next` for each page.

mod plan;
mod queue;
mod scanner;
mod store;

pub use plan::{Fault, FaultPlan};
pub use queue::FaultyQueue;
pub use scanner::FaultyScanner;
pub use store::FaultyStore;

#[cfg(test)]
mod tests;
