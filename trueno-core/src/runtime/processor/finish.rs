//! How an attempt ends in the store, with its audit event.

use std::sync::Arc;
use std::time::Duration;

use super::ProcessorConfig;
use super::meters::{End, Failure};
use super::session::Place;
use crate::error::ErrorKind;
use crate::id::IdSource;
use crate::model::EventDraft;
use crate::port::{FinishOutcome, Finished, JobOutcome, Lease, TenantStore};

/// The first wait before something is told again that the other side did not take.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The longest wait.
pub(super) const LAST_RETRY: Duration = Duration::from_secs(1);

/// Ends attempts through [`TenantStore::finish`].
#[derive(Debug)]
pub(super) struct Finisher {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) config: Arc<ProcessorConfig>,
    pub(super) ids: IdSource,
}

impl Finisher {
    /// An attempt that failed, and its event.
    pub(super) fn failure(
        &self,
        lease: &Lease,
        error: String,
        retryable: bool,
    ) -> (FinishOutcome, EventDraft) {
        let claim = lease.claim();
        let failures = claim.failed_attempts + 1;
        let event = EventDraft::new("job.attempt_failed", "job", lease.reference().job)
            .with_detail("attempt", failures)
            .with_detail("error", error.as_str());
        let backoff = claim.backoff.unwrap_or(self.config.backoff);
        let outcome = JobOutcome::Failed {
            error,
            retryable,
            retry_after: backoff.delay(failures, self.ids.unit()),
        };
        (FinishOutcome::new(outcome), event)
    }

    /// A success that was not taken because it breaks a rule: an attempt that failed for good.
    pub(super) fn refusal(
        &self,
        lease: &Lease,
        error: &crate::error::Error,
    ) -> (FinishOutcome, EventDraft) {
        self.failure(lease, format!("the result was refused: {error}"), false)
    }

    /// Tells the store how the attempt ended, for as long as the lease is held: the heartbeat says
    /// when it is not. Ending twice with the same lease is answered as such, so an answer that was
    /// lost is asked for again.
    pub(super) async fn finish(
        &self,
        lease: &Lease,
        place: &Place,
        mut outcome: FinishOutcome,
        mut event: EventDraft,
    ) {
        let mut wait = FIRST_RETRY;
        while !place.control.has_lost_its_lease() {
            let error = match self
                .store
                .finish(lease, outcome.clone(), event.clone())
                .await
            {
                Ok(Finished::Applied { job, .. }) => {
                    tracing::info!(status = %job, "the job ended its attempt");
                    return place.meters.ended(End::of(job));
                }
                Ok(Finished::AlreadySettled) => {
                    return place.meters.ended(End::told(&outcome.job, lease.claim()));
                }
                Err(error) => error,
            };
            if error.kind() == ErrorKind::StaleLease {
                tracing::warn!("the lease was lost; another worker takes over");
                return place.meters.ended(End::LeaseLost);
            }
            tracing::warn!(?error, "the job could not be ended");
            if error.is_retryable() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            } else if outcome.job == JobOutcome::Succeeded {
                place.meters.failed(Failure::Refused);
                (outcome, event) = self.refusal(lease, &error);
            } else {
                // The next heartbeats find a lease that nobody runs, and give it back.
                return place.meters.ended(End::Returned);
            }
        }
        place.meters.ended(End::LeaseLost);
    }
}
