//! The five ports. Each trait opens with its contract; `trueno-testkit` has a conformance suite
//! for each, which every adapter passes.
//!
//! All are object-safe and give `'static` boxes, so that mocks and wrappers stay simple.

mod audit_sink;
mod cloud_scanner;
mod horizon;
mod job_queue;
mod lease;
mod page;
mod secret_vault;
pub mod tenant_store;

pub use audit_sink::{AuditSink, LedgerEntry, LedgerHead};
pub use cloud_scanner::{
    CloudScanner, Operation, PageError, Probe, ProbeOutcome, ScanPage, ScanPlan, ScanSession,
    ScanStream, ScanTarget, ScanTask, TaskPlan, Verification,
};
pub use horizon::{Horizon, HorizonHolder};
pub use job_queue::{
    CancelOutcome, ClaimRequest, Enqueued, Heartbeat, HeldLease, JobOutcome, JobQueue, QueueStats,
    Recovered, SettleOutcome, Settlement, WaitReason, WakeUps, check_forget,
};
pub use lease::{Claim, Lease, LeaseRef, claim_leases};
pub use page::{COUNT_LIMIT, Count, Cursor, MAX_PAGE, Page, PageRequest};
pub use secret_vault::{SecretVault, VaultPosture};
pub use tenant_store::{
    AuditOutbox, DuePosition, DueSchedule, ExceptionFilter, FindingFilter, FinishOutcome, Finished,
    Fire, Fired, Ingest, JobFilter, NotRun, Presence, ReadView, ResourceFilter, ScanFilter,
    Scheduling, TagFilter, TenantStore, TickRun, UnitOfWork,
};
