//! What runs a job.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{EventDraft, JobKind, NewJob};
use crate::port::{Lease, TenantStore};
use crate::state::scan::ScanEvent;

/// What a handler has to work with.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// The lease: the first argument of everything that the job does to the store.
    pub lease: Arc<Lease>,
    /// The store.
    pub store: Arc<dyn TenantStore>,
    /// Fires when the job should stop: a cancellation, a shutdown, a timeout or a lost lease.
    pub stop: CancellationToken,
}

impl JobContext {
    /// Passes unless the job should stop. Call it between steps.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] once it should.
    pub fn proceed(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            Err(stopped())
        } else {
            Ok(())
        }
    }

    /// Waits for `work` unless the job should stop first; then `work` is dropped.
    ///
    /// # Errors
    /// Those of `work`, and [`ErrorKind::Cancelled`] once the job should stop.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopped()),
            result = work => result,
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the job was asked to stop")
}

/// How a job ends well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Completion {
    /// How its scan ends, where it runs one.
    pub scan: Option<ScanEvent>,
    /// Jobs that follow it, on account of what it was enqueued for where they do not say.
    pub next: Vec<NewJob>,
    /// The audit event of its end. Where it has none and the store has to be told of something else,
    /// the event is `job.succeeded`.
    pub event: Option<EventDraft>,
    /// What is kept of its work, for its organization to read: up to 64 KiB as JSON. Never a secret.
    pub result: Option<serde_json::Value>,
}

impl Completion {
    /// A job that ends with this event, runs no scan and has no follower.
    #[must_use]
    pub const fn new(event: EventDraft) -> Self {
        Self {
            scan: None,
            next: Vec::new(),
            event: Some(event),
            result: None,
        }
    }

    /// A job that has nothing for the store, and leaves no event: it runs no scan, and what it did
    /// is elsewhere. The queue alone is told, of many such jobs at once and a few milliseconds
    /// later; it costs a fraction of an end with effects.
    ///
    /// The success of a job that does run a scan is refused like this, and the attempt has failed.
    #[must_use]
    pub const fn without_effects() -> Self {
        Self {
            scan: None,
            next: Vec::new(),
            event: None,
            result: None,
        }
    }

    /// Whether the store has to be told.
    pub(super) fn has_effects(&self) -> bool {
        self.scan.is_some()
            || !self.next.is_empty()
            || self.event.is_some()
            || self.result.is_some()
    }

    /// Keeps a result.
    #[must_use]
    pub fn with_result(mut self, result: serde_json::Value) -> Self {
        self.result = Some(result);
        self
    }

    /// Ends the job's scan.
    #[must_use]
    pub fn with_scan(mut self, event: ScanEvent) -> Self {
        self.scan = Some(event);
        self
    }
}

/// Runs the jobs of one kind.
///
/// # Contract
/// - A job may run more than once (a lost lease, a retry): effects go through the lease's doors, so
///   that only one run's count, and batches are written so that writing them again is harmless.
/// - `run` returns soon after [`JobContext::stop`] fires; what has not by the end of the processor's
///   grace period is dropped where it awaits. What it answers before that counts, whyever it was
///   asked to stop.
/// - An attempt that takes longer than its timeout is asked to stop, and is a failed attempt that is
///   tried again.
/// - An error whose [`is_retryable`](Error::is_retryable) is true is tried again, with backoff,
///   while attempts are left. Its message is shown to the organization.
/// - A panic is a failed attempt.
/// - `run` gives its thread back between steps, as every future does: what computes for long goes
///   through [`spawn_blocking`](tokio::task::spawn_blocking). Heartbeats come from the runtime that
///   runs the handlers, on purpose: where handlers block every thread of it, leases run out, the
///   jobs begin anew elsewhere, and what the blocked ones answer later changes nothing (P3). One
///   blocked thread among several costs that thread alone, until a timeout gives the job up.
/// - A payload that it cannot read is an error that no attempt mends:
///   [`JobPayload::parse`](crate::model::JobPayload::parse) answers one.
#[async_trait]
pub trait JobHandler: Send + Sync + fmt::Debug {
    /// The kind of job that it runs.
    fn kind(&self) -> JobKind;

    /// Runs one job. The processor ends it with what this answers.
    async fn run(&self, context: &JobContext) -> Result<Completion>;
}
