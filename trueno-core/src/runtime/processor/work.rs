//! The loop: claims for free places, starts what was claimed, and sees jobs end.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use super::Processor;
use super::job::JobRunner;
use super::kinds::{Ask, Kinds};
use super::meters::{Answer, Meters};
use super::pace::{Brought, Pace};
use super::session::{Session, StopReason};
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerSessionId;
use crate::port::{ClaimRequest, Lease, claim_leases};

/// A claim whose answer has not come. The request runs in a task of its own, so that its answer is
/// not lost when the loop ends.
#[derive(Debug)]
struct Claiming {
    answer: JoinHandle<Result<Vec<Lease>>>,
    session: WorkerSessionId,
    sent: Instant,
    asked: usize,
}

/// What a processor does at the moment.
#[derive(Debug)]
pub(super) struct Work<'a> {
    processor: &'a Processor,
    session: Arc<Session>,
    runner: Arc<JobRunner>,
    meters: Arc<Meters>,
    jobs: JoinSet<()>,
    claiming: Option<Claiming>,
    kinds: Kinds,
    pace: Pace,
    hints: Arc<Notify>,
    settled: Arc<Notify>,
    /// The last error of a claim that no new try can mend, so that each is logged once.
    refused: Option<(ErrorKind, String)>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        processor: &'a Processor,
        session: Arc<Session>,
        runner: JobRunner,
        meters: Arc<Meters>,
        hints: Arc<Notify>,
        settled: Arc<Notify>,
    ) -> Self {
        let config = &processor.config;
        let kinds = Kinds::new(processor.handlers.keys(), &config.kind_concurrency);
        let places = kinds.capacity(config.concurrency);
        let (batch, poll) = (config.claim_batch, config.poll_interval);
        Self {
            processor,
            session,
            runner: Arc::new(runner),
            meters,
            jobs: JoinSet::new(),
            claiming: None,
            kinds,
            pace: Pace::new(places, batch, poll, Instant::now()),
            hints,
            settled,
            refused: None,
        }
    }

    /// Claims and runs until it is dropped. A claim under way stays in `claiming`.
    pub(super) async fn go_on(&mut self) {
        // Turns also when nothing happens, for those who watch.
        let tick = self.processor.config.lease_for / 3;
        loop {
            self.processor.status.turned(self.jobs.len());
            self.claim_if_due();
            let idle = self.claiming.is_none() && self.free() > 0;
            let at = self.pace.at().filter(|_| idle);
            tokio::select! {
                biased;
                answer = answer_of(&mut self.claiming) => self.take(answer),
                Some(_) = self.jobs.join_next() => {
                    while self.jobs.try_join_next().is_some() {}
                    self.stir();
                }
                () = self.settled.notified() => self.stir(),
                // Not while a claim is under way, whose answer may not know of it.
                () = self.hints.notified(), if idle => self.pace.hint(Instant::now()),
                () = sleep_until(at) => {}
                () = tokio::time::sleep(tick) => self.look_around(),
            }
        }
    }

    /// Ends what is left, after [`go_on`](Self::go_on) was dropped and everything was told to stop.
    pub(super) async fn end(mut self) {
        // A claim that is dropped half-way would leave its jobs held by nobody.
        if let Some(claim) = self.claiming.take()
            && let Ok(leases) = claim.answer.await
        {
            self.start(leases.unwrap_or_default(), claim.sent);
            self.session.stop_all(StopReason::Shutdown);
        }
        while self.jobs.join_next().await.is_some() {
            self.processor.status.turned(self.jobs.len());
        }
    }

    /// How many jobs could be claimed now.
    fn free(&self) -> usize {
        let asked = self.claiming.as_ref().map_or(0, |claim| claim.asked);
        let taken = self.jobs.len() + asked;
        let places = self.processor.config.concurrency;
        self.kinds.room(places.saturating_sub(taken))
    }

    fn stir(&mut self) {
        // Without a free place there is nothing to come back for.
        if self.free() > 0 {
            self.pace.stir(Instant::now());
        }
    }

    fn claim_if_due(&mut self) {
        let (free, now) = (self.free(), Instant::now());
        if self.claiming.is_some() || !self.pace.is_due(free, now) {
            return;
        }
        let config = &self.processor.config;
        let Some(Ask { kinds, limit }) = self.kinds.next(free.min(config.claim_batch)) else {
            return;
        };
        let session = self.session.id();
        let request = ClaimRequest::new(session, &config.worker, kinds, limit)
            .with_lease_for(config.lease_for);
        let queue = self.processor.queue.clone();
        let answer = tokio::spawn(async move { claim_leases(queue.as_ref(), &request).await });
        self.pace.sent();
        self.claiming = Some(Claiming {
            answer,
            session,
            sent: now,
            asked: limit,
        });
    }

    /// Takes the answer of a claim.
    fn take(&mut self, answer: Result<Result<Vec<Lease>>, JoinError>) {
        let Some(claim) = self.claiming.take() else {
            return;
        };
        let took = claim.sent.elapsed();
        let brought = match answer {
            Ok(Ok(leases)) => {
                let answer = if leases.is_empty() {
                    Answer::Empty
                } else {
                    Answer::Well
                };
                self.meters.claimed(answer, took);
                self.processor.status.claimed();
                self.refused = None;
                self.session.extended(claim.session, claim.sent);
                let count = leases.len();
                self.start(leases, claim.sent);
                let most = self.free().min(self.processor.config.claim_batch);
                self.kinds.brought(count, most)
            }
            Ok(Err(error)) if error.kind() == ErrorKind::StaleLease => {
                self.meters.claimed(Answer::SessionOver, took);
                self.session.renew(claim.session);
                Brought::Failure
            }
            Ok(Err(error)) => {
                self.meters.claimed(Answer::Error, took);
                self.processor.status.claim_failed();
                self.log(&error);
                Brought::Failure
            }
            Err(panic) => {
                self.meters.claimed(Answer::Error, took);
                self.processor.status.claim_failed();
                tracing::error!(error = %panic, "the queue panicked");
                Brought::Failure
            }
        };
        self.pace.answered(brought, self.free(), Instant::now());
    }

    /// An error that no new try can mend is logged when it is another one than the last.
    fn log(&mut self, error: &Error) {
        if error.is_retryable() {
            tracing::warn!(?error, "claim failed");
            return;
        }
        let refusal = (error.kind(), error.to_string());
        if self.refused.as_ref() != Some(&refusal) {
            tracing::error!(?error, "the queue refuses to hand out jobs");
            self.refused = Some(refusal);
        }
    }

    /// Sees to what no event tells of.
    fn look_around(&mut self) {
        // A claim that is not answered for as long as a lease lasts is no sign of health.
        let limit = self.processor.config.lease_for;
        let hangs = |claim: &Claiming| claim.sent.elapsed() > limit;
        if self.claiming.as_ref().is_some_and(hangs) {
            self.processor.status.claim_failed();
        }
        // A handler that was dropped and blocked its thread has room for its kind once it returns.
        if self.pace.at().is_none() {
            self.stir();
        }
    }

    /// Runs what was claimed by a request of this moment.
    fn start(&mut self, leases: Vec<Lease>, asked: Instant) {
        let since_claimed = asked.elapsed();
        for lease in leases {
            let kind = &lease.claim().kind;
            let handler = self.processor.handlers.get(kind);
            let Some((handler, meters)) = handler.zip(self.meters.of(kind)) else {
                // The queue was asked for these kinds only; a heartbeat gives the job back.
                debug_assert!(false, "P3: a claim of a kind that was not asked for");
                continue;
            };
            let room = self.kinds.begin(kind);
            let lease_for = self.processor.config.lease_for;
            meters.began(lease.claim(), lease_for, since_claimed);
            let place = self.session.add(lease.reference().token, meters);
            let runner = self.runner.clone();
            self.jobs
                .spawn(runner.run(handler.clone(), lease, place, room));
        }
    }
}

/// Waits for the claim under way; for ever where there is none. Cancel-safe.
async fn answer_of(claiming: &mut Option<Claiming>) -> Result<Result<Vec<Lease>>, JoinError> {
    match claiming {
        Some(claim) => (&mut claim.answer).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
