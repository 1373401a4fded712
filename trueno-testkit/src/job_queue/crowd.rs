//! Many workers at once, and a count of what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use trueno_core::port::{Claim, JobOutcome, LeaseRef, SettleOutcome, Settlement};

use super::World;

/// How many claim at once.
const WORKERS: usize = 6;

/// Counts the jobs that run: those of an answered claim, until they are told to be settled. So it
/// never counts more than there are, and what is too much for it was too much.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    limit: usize,
    running: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

impl Gauge {
    /// Fails where more than `limit` run.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: Arc::default(),
            begun: Arc::default(),
        }
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let running = 1 + self.running.fetch_add(1, Ordering::SeqCst);
        assert!(
            running <= self.limit,
            "{running} run, and {} may",
            self.limit
        );
    }

    fn end(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Workers that claim a few jobs, hold them, and settle them, until all are done.
pub(super) struct Crowd {
    w: Arc<World>,
    jobs: usize,
}

impl Crowd {
    /// Workers for this many jobs, each of which ends at its first success.
    pub(super) fn of(w: World, jobs: usize) -> Self {
        Self {
            w: Arc::new(w),
            jobs,
        }
    }

    /// Runs all of them; `gauge` says where a job is counted.
    pub(super) async fn work(
        self,
        gauge: impl Fn(&Claim) -> Option<Gauge> + Clone + Send + Sync + 'static,
    ) {
        let done = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for nth in 0..WORKERS {
            let (w, done, gauge) = (self.w.clone(), done.clone(), gauge.clone());
            let jobs = self.jobs;
            workers.spawn(async move { worker(&w, nth, jobs, &done, gauge).await });
        }
        // One that fails ends the case, and the others with it.
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(done.load(Ordering::SeqCst), self.jobs, "each job ran once");
    }
}

async fn worker(
    w: &World,
    nth: usize,
    jobs: usize,
    done: &AtomicUsize,
    gauge: impl Fn(&Claim) -> Option<Gauge>,
) {
    let request = w.claim_request(1 + nth % 4);
    let mut round = 0;
    // The case's deadline ends it where jobs are lost.
    while done.load(Ordering::SeqCst) < jobs {
        round += 1;
        let claims = w.queue.claim(&request).await.unwrap();
        if claims.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let gauges: Vec<Option<Gauge>> = claims.iter().map(&gauge).collect();
        gauges.iter().flatten().for_each(Gauge::begin);
        // Long enough for the others to claim meanwhile.
        tokio::time::sleep(Duration::from_millis(2)).await;
        gauges.iter().flatten().for_each(Gauge::end);
        // Some are given back first: that frees their places, too.
        let gives_back = round % 5 == 0;
        let outcome = match gives_back {
            true => JobOutcome::Returned,
            false => JobOutcome::Succeeded,
        };
        let leases: Vec<LeaseRef> = claims.iter().map(|claim| claim.lease).collect();
        let batch = leases.iter().map(|lease| Settlement {
            lease: *lease,
            outcome: outcome.clone(),
        });
        let answers = w.queue.settle(batch.collect()).await.unwrap();
        let settled = |answer: &SettleOutcome| matches!(answer, SettleOutcome::Settled(_));
        assert!(answers.iter().all(settled), "leases that hold: {answers:?}");
        if !gives_back {
            done.fetch_add(leases.len(), Ordering::SeqCst);
        }
    }
}
