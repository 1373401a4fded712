//! One job from claim to end.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::session::{JobControl, Place, StopReason};
use super::{Completion, JobContext, JobHandler, ProcessorConfig};
use crate::error::{ErrorKind, Result};
use crate::id::IdSource;
use crate::model::EventDraft;
use crate::port::{FinishOutcome, Finished, JobOutcome, Lease, TenantStore};

/// How the handler's task ended.
enum Ended {
    /// It answered.
    Answered(Result<Completion>),
    /// It panicked.
    Panicked,
    /// It did not stop in time. What it may still do is fenced by a lease that is given up.
    Dropped,
}

pub(super) struct JobRunner {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) handler: Arc<dyn JobHandler>,
    pub(super) config: ProcessorConfig,
    pub(super) ids: IdSource,
}

impl JobRunner {
    pub(super) async fn run(self, lease: Lease, place: Place) {
        let control = &place.control;
        let lease = Arc::new(lease);
        let claim = lease.claim();
        let span = tracing::info_span!(
            "job",
            job = %claim.lease.job,
            organization = %claim.lease.organization,
            kind = %claim.kind,
            attempt = claim.failed_attempts + 1,
        );
        async {
            let ended = self.handle(&lease, control).await;
            if let Some((outcome, event)) = self.verdict(&lease, control, ended) {
                self.finish(&lease, control, outcome, event).await;
            }
        }
        .instrument(span)
        .await;
    }

    /// Runs the handler in a task of its own, so that a panic or a busy handler harms nothing else.
    async fn handle(&self, lease: &Arc<Lease>, control: &JobControl) -> Ended {
        let context = JobContext {
            lease: lease.clone(),
            store: self.store.clone(),
            stop: control.stop.clone(),
        };
        let handler = self.handler.clone();
        let mut task = tokio::spawn(async move { handler.run(&context).await }.in_current_span());
        let stopped = async {
            control.stop.cancelled().await;
            tokio::time::sleep(self.config.stop_grace).await;
        };
        tokio::select! {
            biased;
            ended = &mut task => ended.map_or(Ended::Panicked, Ended::Answered),
            () = stopped => {
                tracing::warn!("the job did not stop in time and is dropped");
                task.abort();
                Ended::Dropped
            }
        }
    }

    /// What the attempt's end means. `None` where the lease is lost: nothing counts any more.
    fn verdict(
        &self,
        lease: &Lease,
        control: &JobControl,
        ended: Ended,
    ) -> Option<(FinishOutcome, EventDraft)> {
        let job = lease.reference().job;
        let failed = |error, retryable| self.failure(lease, error, retryable);
        let reason = control.reason();
        if reason == Some(StopReason::LeaseLost) {
            tracing::warn!("the lease was lost; another worker takes over");
            return None;
        }
        Some(match ended {
            // What is done is done, whoever asked to stop meanwhile.
            Ended::Answered(Ok(completion)) => {
                let mut outcome =
                    FinishOutcome::new(JobOutcome::Succeeded).with_next(completion.next);
                outcome.scan = completion.scan;
                (outcome, completion.event)
            }
            Ended::Answered(Err(error)) if error.kind() == ErrorKind::StaleLease => {
                tracing::warn!("the lease was lost; another worker takes over");
                return None;
            }
            _ if reason == Some(StopReason::Cancelled) => (
                FinishOutcome::new(JobOutcome::Cancelled),
                EventDraft::new("job.cancelled", "job", job),
            ),
            _ if reason == Some(StopReason::Shutdown) => (
                FinishOutcome::new(JobOutcome::Returned),
                EventDraft::new("job.returned", "job", job),
            ),
            Ended::Answered(Err(error)) => {
                tracing::warn!(?error, "the attempt failed");
                failed(error.to_string(), error.is_retryable())
            }
            Ended::Panicked => {
                tracing::error!("the handler panicked");
                failed("the job's handler panicked".to_owned(), true)
            }
            Ended::Dropped => failed("the job did not stop when asked".to_owned(), true),
        })
    }

    /// An attempt that failed, and its event.
    fn failure(
        &self,
        lease: &Lease,
        error: String,
        retryable: bool,
    ) -> (FinishOutcome, EventDraft) {
        let failures = lease.claim().failed_attempts + 1;
        let event = EventDraft::new("job.attempt_failed", "job", lease.reference().job)
            .with_detail("attempt", failures)
            .with_detail("error", error.as_str());
        let retry_after = self.config.backoff.delay(failures, self.ids.unit());
        let outcome = JobOutcome::Failed {
            error,
            retryable,
            retry_after,
        };
        (FinishOutcome::new(outcome), event)
    }

    /// Tells the store how the attempt ended, for as long as the lease is held: the heartbeat says
    /// when it is not. Ending twice with the same lease is answered as such, so an answer that was
    /// lost is asked for again.
    async fn finish(
        &self,
        lease: &Lease,
        control: &JobControl,
        mut outcome: FinishOutcome,
        mut event: EventDraft,
    ) {
        let mut wait = Duration::from_millis(50);
        while control.reason() != Some(StopReason::LeaseLost) {
            let error = match self
                .store
                .finish(lease, outcome.clone(), event.clone())
                .await
            {
                Ok(Finished::Applied { job, .. }) => {
                    tracing::info!(status = %job, "the job ended its attempt");
                    return;
                }
                Ok(Finished::AlreadySettled) => return,
                Err(error) => error,
            };
            if error.kind() == ErrorKind::StaleLease {
                tracing::warn!("the lease was lost; another worker takes over");
                return;
            }
            tracing::warn!(?error, "the job could not be ended");
            if error.is_retryable() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            } else if outcome.job == JobOutcome::Succeeded {
                // A completion that breaks a rule is a failed attempt.
                let refused = format!("the result was refused: {error}");
                (outcome, event) = self.failure(lease, refused, false);
            } else {
                // The next heartbeats find a lease that nobody runs, and give it back.
                return;
            }
        }
    }
}
