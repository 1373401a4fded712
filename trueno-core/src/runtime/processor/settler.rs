//! Tells the queue of jobs that succeeded and have nothing for the store, many at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::finish::{FIRST_RETRY, Finisher, LAST_RETRY};
use super::job;
use super::meters::{End, Failure, Meters};
use super::session::{Place, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::port::{JobOutcome, JobQueue, Lease, SettleOutcome, Settlement};

/// How many are told at once.
const BATCH: usize = 500;

/// How many may wait while a batch is under way. Beyond it jobs keep their places, and no more are
/// claimed: a queue that takes no ends gets no more beginnings.
const WAITING: usize = 2 * BATCH;

/// A job that succeeded without effects. It keeps its place in the session until the queue knows.
#[derive(Debug)]
pub(super) struct Success {
    lease: Arc<Lease>,
    place: Place,
    ended: Instant,
}

impl Success {
    pub(super) fn new(lease: Arc<Lease>, place: Place) -> Self {
        Self {
            lease,
            place,
            ended: Instant::now(),
        }
    }

    /// Nobody will be told: the lease runs out.
    pub(super) fn is_lost(&self) {
        self.place.meters.ended(End::LeaseLost);
    }

    fn settlement(&self) -> Settlement {
        Settlement {
            lease: self.lease.reference(),
            outcome: JobOutcome::Succeeded,
        }
    }
}

/// Gathers successes and settles them in batches: one under way while the next gathers.
#[derive(Debug)]
pub(super) struct Settler {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) session: Arc<Session>,
    pub(super) finisher: Arc<Finisher>,
    pub(super) meters: Arc<Meters>,
    /// Told after each batch: what waited for its jobs to end may begin.
    pub(super) settled: Arc<Notify>,
    /// Once it fires, nothing waits for company any more.
    pub(super) shutdown: CancellationToken,
}

/// The way to a settler, and what the settler takes from.
pub(super) fn successes() -> (mpsc::Sender<Success>, mpsc::Receiver<Success>) {
    mpsc::channel(WAITING)
}

impl Settler {
    /// Settles until every sender is gone and everything that was sent is settled.
    pub(super) async fn run(self, mut successes: mpsc::Receiver<Success>) {
        let mut refused = JoinSet::new();
        while let Some(batch) = self.gather(&mut successes).await {
            let jobs = batch.len();
            self.settle_all(batch, &mut refused).await;
            tracing::debug!(jobs, "told the queue of successes");
            self.settled.notify_one();
            while refused.try_join_next().is_some() {}
        }
        while refused.join_next().await.is_some() {}
    }

    /// The next batch: full, or of all jobs that are held, or of what came within the delay. `None`
    /// once nothing can come any more.
    async fn gather(&self, successes: &mut mpsc::Receiver<Success>) -> Option<Vec<Success>> {
        let mut batch = Vec::new();
        if successes.recv_many(&mut batch, BATCH).await == 0 {
            return None;
        }
        let delay = self.finisher.config.settle_delay;
        // Counted from the first end, which may have waited for the batch before this one.
        let until = batch.first().map(|first| first.ended + delay)?;
        while batch.len() < BATCH && self.session.jobs() > batch.len() {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                more = successes.recv_many(&mut batch, room) => {
                    if more == 0 {
                        break;
                    }
                }
                () = tokio::time::sleep_until(until) => break,
                () = self.shutdown.cancelled() => break,
            }
        }
        Some(batch)
    }

    async fn settle_all(&self, batch: Vec<Success>, refused: &mut JoinSet<()>) {
        let alone = batch.len() == 1;
        let Err((batch, error)) = self.settle(batch).await else {
            return;
        };
        if alone {
            self.refuse(batch, error, refused);
            return;
        }
        tracing::warn!(
            ?error,
            jobs = batch.len(),
            "refused together; each goes alone"
        );
        for one in batch {
            if let Err((batch, error)) = self.settle(vec![one]).await {
                self.refuse(batch, error, refused);
            }
        }
    }

    /// Tells the queue of a batch, again and again while it cannot be reached and leases are held.
    /// Answers the batch where it is refused.
    async fn settle(&self, mut batch: Vec<Success>) -> Result<(), (Vec<Success>, Error)> {
        let mut wait = FIRST_RETRY;
        loop {
            batch.retain(|success| {
                let is_lost = success.place.control.has_lost_its_lease();
                if is_lost {
                    success.place.meters.ended(End::LeaseLost);
                }
                !is_lost
            });
            if batch.is_empty() {
                return Ok(());
            }
            let settlements = batch.iter().map(Success::settlement).collect();
            let sent = Instant::now();
            let error = match self.ask(settlements).await {
                Ok(outcomes) => {
                    self.meters.settled(batch.len(), sent.elapsed());
                    note(&batch, &outcomes);
                    return Ok(());
                }
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err((batch, error));
            }
            tracing::warn!(?error, jobs = batch.len(), "successes could not be told");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }

    /// One request. One that hangs would hold up every job behind it, so it has a time limit; what
    /// was settled all the same is answered as such the next time. It runs in a task of its own, so
    /// that a panic of the queue is not the end of all settling.
    async fn ask(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        let queue = self.queue.clone();
        let settle = tokio::spawn(async move { queue.settle(settlements).await });
        let answer = AbortOnDropHandle::new(settle);
        let limit: Duration = self.finisher.config.lease_for;
        let failed = |kind, message: &'static str| {
            Err(Error::new(kind, message).with_operation("job_queue.settle"))
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(_)) => failed(ErrorKind::Unexpected, "the queue panicked"),
            Err(_) => failed(ErrorKind::Timeout, "the queue did not answer"),
        }
    }

    /// A success that breaks a rule (its job runs a scan) is a failed attempt, and the store is
    /// told: given back, the job would run and be refused for ever.
    fn refuse(&self, batch: Vec<Success>, error: Error, refused: &mut JoinSet<()>) {
        if error.kind() == ErrorKind::StaleLease {
            tracing::warn!("the lease was lost; another worker takes over");
            for success in batch {
                success.place.meters.ended(End::LeaseLost);
            }
            return;
        }
        for Success { lease, place, .. } in batch {
            let span = job::span(lease.claim());
            span.in_scope(|| tracing::warn!(?error, "the queue refused the job's success"));
            place.meters.failed(Failure::Refused);
            let (outcome, event) = self.finisher.refusal(&lease, &error);
            let finisher = self.finisher.clone();
            let finish = async move {
                let finished = finisher.finish(&lease, &place, outcome, event);
                finished.await;
            };
            refused.spawn(finish.instrument(span));
        }
    }
}

fn note(batch: &[Success], outcomes: &[SettleOutcome]) {
    debug_assert_eq!(batch.len(), outcomes.len(), "P3: one answer for each lease");
    for (success, outcome) in batch.iter().zip(outcomes) {
        if *outcome == SettleOutcome::Stale {
            let job = success.lease.reference().job;
            tracing::warn!(%job, "the lease was lost; another worker takes over");
            success.place.meters.ended(End::LeaseLost);
        } else {
            success.place.meters.ended(End::Succeeded);
        }
    }
}
