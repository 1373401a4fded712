//! The processor over the ports: claims jobs, runs handlers, keeps leases alive, ends what it began.
//!
//! - [`Processor`] runs [`JobHandler`]s with bounded concurrency; a job's effects go through the
//!   store's fenced doors only.
//! - [`scan`] is the handler of scans, and the services that request and report them.
//! - [`accounts`] connects and verifies cloud accounts.
//! - [`sequence`] moves staged audit events to the ledger.

pub mod accounts;
mod handler;
mod job;
mod processor;
pub mod scan;
mod sequencer;
mod session;

pub use handler::{Completion, JobContext, JobHandler};
pub use processor::{Processor, ProcessorConfig};
pub use sequencer::{sequence, sequence_until};
