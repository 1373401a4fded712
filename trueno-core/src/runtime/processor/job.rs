//! One job from claim to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

use super::finish::Finisher;
use super::kinds::KindPlace;
use super::meters::{End, Failure, KindMeters};
use super::session::{JobControl, Place, StopReason};
use super::settler::Success;
use crate::error::{ErrorKind, Result};
use crate::model::EventDraft;
use crate::port::{Claim, FinishOutcome, JobOutcome, Lease};
use crate::runtime::{Completion, JobContext, JobHandler, JobMiddleware, Next};

/// How the handler's task ended.
enum Ended {
    /// It answered.
    Answered(Result<Completion>),
    /// It panicked.
    Panicked,
    /// It did not stop in time. What it may still do is fenced by a lease that is given up.
    Dropped,
}

/// What the attempt's end means.
enum Verdict {
    /// The lease is lost: nothing counts any more.
    Lost,
    /// It succeeded and has nothing for the store: the queue alone is told.
    Settle,
    /// The store is told.
    Finish(FinishOutcome, EventDraft),
}

/// Runs the jobs of one run of a processor.
#[derive(Debug)]
pub(super) struct JobRunner {
    pub(super) finisher: Arc<Finisher>,
    /// The outermost first.
    pub(super) layers: Arc<[Arc<dyn JobMiddleware>]>,
    pub(super) successes: mpsc::Sender<Success>,
}

impl JobRunner {
    pub(super) async fn run(
        self: Arc<Self>,
        handler: Arc<dyn JobHandler>,
        lease: Lease,
        place: Place,
        room: Option<KindPlace>,
    ) {
        let span = span(lease.claim());
        let lease = Arc::new(lease);
        async {
            let begun = Instant::now();
            let ended = self.handle(handler, &lease, &place.control, room).await;
            place.meters.ran(begun.elapsed());
            match self.verdict(&lease, &place, ended) {
                Verdict::Lost => place.meters.ended(End::LeaseLost),
                // Waits while the queue takes none: the job stays among the running ones, so that
                // no more are claimed. Fails only once the run is over; then the lease runs out.
                Verdict::Settle => {
                    if let Err(unsent) = self.successes.send(Success::new(lease, place)).await {
                        unsent.0.is_lost();
                    }
                }
                Verdict::Finish(outcome, event) => {
                    let finish = self.finisher.finish(&lease, &place, outcome, event);
                    // On the heap: it is large, and jobs without effects never get here.
                    Box::pin(finish).await;
                }
            }
        }
        .instrument(span)
        .await;
    }

    /// Runs the handler in a task of its own, so that a panic or a busy handler harms nothing else.
    async fn handle(
        &self,
        handler: Arc<dyn JobHandler>,
        lease: &Arc<Lease>,
        control: &JobControl,
        room: Option<KindPlace>,
    ) -> Ended {
        let context = JobContext {
            lease: lease.clone(),
            store: self.finisher.store.clone(),
            stop: control.token().clone(),
        };
        // Not `self`: a handler that blocks its thread outlives the run, which waits until
        // `successes` is dropped.
        let layers = self.layers.clone();
        let attempt = async move {
            // Given up when the handler has really ended, also one that was dropped before.
            let _room = room;
            Next::new(&layers, handler.as_ref()).run(&context).await
        };
        let mut task = AbortOnDropHandle::new(tokio::spawn(attempt.in_current_span()));
        tokio::select! {
            biased;
            ended = &mut task => ended.map_or(Ended::Panicked, Ended::Answered),
            () = self.given_up(lease, control) => {
                tracing::warn!("the job did not stop in time and is dropped");
                Ended::Dropped
            }
        }
    }

    /// Waits until the job was asked to stop, by its timeout if by nobody else, and did not in time.
    async fn given_up(&self, lease: &Lease, control: &JobControl) {
        let stopped = control.token().cancelled();
        match self.timeout(lease) {
            None => stopped.await,
            Some(timeout) => {
                if tokio::time::timeout(timeout, stopped).await.is_err() {
                    control.stop(StopReason::Overdue);
                }
            }
        }
        tokio::time::sleep(self.finisher.config.stop_grace).await;
    }

    fn timeout(&self, lease: &Lease) -> Option<Duration> {
        lease.claim().timeout.or(self.finisher.config.timeout)
    }

    fn verdict(&self, lease: &Lease, place: &Place, ended: Ended) -> Verdict {
        let (control, meters): (&JobControl, &KindMeters) = (&place.control, &place.meters);
        let job = lease.reference().job;
        let finish = |outcome, event| Verdict::Finish(FinishOutcome::new(outcome), event);
        let failed = |how, error, retryable| {
            meters.failed(how);
            let (outcome, event) = self.finisher.failure(lease, error, retryable);
            Verdict::Finish(outcome, event)
        };
        let reason = control.reason();
        let stale =
            matches!(&ended, Ended::Answered(Err(error)) if error.kind() == ErrorKind::StaleLease);
        if reason == Some(StopReason::LeaseLost) || stale {
            tracing::warn!("the lease was lost; another worker takes over");
            return Verdict::Lost;
        }
        match (ended, reason) {
            // What is done is done, whoever asked to stop meanwhile.
            (Ended::Answered(Ok(completion)), _) => succeeded(lease, completion),
            (_, Some(StopReason::Cancelled)) => finish(
                JobOutcome::Cancelled,
                EventDraft::new("job.cancelled", "job", job),
            ),
            (_, Some(StopReason::Shutdown)) => finish(
                JobOutcome::Returned,
                EventDraft::new("job.returned", "job", job),
            ),
            (_, Some(StopReason::Overdue)) => {
                let timeout = self.timeout(lease).unwrap_or_default();
                tracing::warn!(?timeout, "the attempt took too long");
                let error = format!("the attempt took longer than its timeout of {timeout:?}");
                failed(Failure::TimedOut, error, true)
            }
            (Ended::Answered(Err(error)), _) => {
                tracing::warn!(?error, "the attempt failed");
                failed(Failure::Error, error.to_string(), error.is_retryable())
            }
            (Ended::Panicked, _) => {
                tracing::error!("the handler panicked");
                let error = "the job's handler panicked".to_owned();
                failed(Failure::Panicked, error, true)
            }
            (Ended::Dropped, _) => {
                let error = "the job did not stop when asked".to_owned();
                failed(Failure::Unresponsive, error, true)
            }
        }
    }
}

/// What every log line of a job says of it.
pub(super) fn span(claim: &Claim) -> Span {
    tracing::info_span!(
        "job",
        job = %claim.lease.job,
        organization = %claim.lease.organization,
        kind = %claim.kind,
        attempt = claim.failed_attempts + 1,
        correlation = %claim.correlation(),
    )
}

fn succeeded(lease: &Lease, mut completion: Completion) -> Verdict {
    let (job, correlation) = (lease.reference().job, lease.claim().correlation());
    for next in &mut completion.next {
        next.correlation_id.get_or_insert(correlation);
    }
    if !completion.has_effects() {
        return Verdict::Settle;
    }
    let mut outcome = FinishOutcome::new(JobOutcome::Succeeded).with_next(completion.next);
    outcome.scan = completion.scan;
    outcome.result = completion.result;
    let event = completion.event;
    let event = event.unwrap_or_else(|| EventDraft::new("job.succeeded", "job", job));
    Verdict::Finish(outcome, event)
}
