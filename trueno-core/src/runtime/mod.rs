//! The processor over the ports: claims jobs, runs handlers, keeps leases alive, ends what it began.
//!
//! - [`Processor`] runs [`JobHandler`]s with bounded concurrency; a job's effects go through the
//!   store's fenced doors only. [`JobMiddleware`] lies around the handlers, and
//!   [`ProcessorStatus`] says how it does.
//! - [`scan`] is the handler of scans, and the services that request and report them.
//! - [`accounts`] connects, verifies, pauses and disconnects cloud accounts.
//! - [`findings`] is what members do with findings and exceptions from them.
//! - [`jobs`] is what members do with jobs: stop them, and deal with dead letters.
//! - [`schedules`] makes, pauses, triggers and removes schedules; a [`Scheduler`] fires them.
//! - [`organizations`] has the members, the export and the erasure of an organization.
//! - [`sequence`] moves staged audit events to the ledger.
//! - [`metrics`] are what it records for operators.

pub mod accounts;
pub mod findings;
mod handler;
pub mod jobs;
pub mod metrics;
mod middleware;
pub mod organizations;
mod processor;
pub mod scan;
mod scheduler;
pub mod schedules;
mod sequencer;

pub use handler::{Completion, JobContext, JobHandler};
pub use middleware::{JobMiddleware, Next};
pub use processor::{Processor, ProcessorConfig, ProcessorStatus};
pub use scheduler::{Scheduler, SchedulerConfig, TickReport};
pub use sequencer::{sequence, sequence_until};
