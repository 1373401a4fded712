//! Who gets what of the workers: how evenly organizations are served, and whether a cap holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use trueno_core::error::Result;
use trueno_core::id::OrganizationId;
use trueno_core::model::{Concurrency, JobKind, OrganizationLimits};
use trueno_core::port::JobQueue as _;
use trueno_core::runtime::{Completion, JobContext, JobHandler, ProcessorConfig};

use crate::report::{Line, Target};
use crate::world::{Bench, KIND, Worker};
use crate::{Options, note};

/// Organizations beside the one that has most.
const SMALL: usize = 10;
const SKEW: usize = 1_000;
const PROCESSORS: usize = 2;

pub(crate) async fn run(options: &Options) {
    fairness(options.jobs).await;
    overshoot(options.jobs / 25).await;
}

/// One organization has a thousand times what each of the others has, and had it first. Counted is who
/// begins while all of them have something: the fewest starts in which all could be done.
async fn fairness(jobs: usize) {
    let bench = Bench::new().await;
    let each = jobs / SKEW;
    let large = bench.organization().await;
    bench.enqueue(&large, jobs).await;
    for _ in 0..SMALL {
        let small = bench.organization().await;
        bench.enqueue(&small, each).await;
    }
    bench.settle_down().await;
    let handler = Arc::new(Order::default());
    // Batches that are small beside what waits: it is the queue that chooses.
    let config = || {
        ProcessorConfig::new("bench")
            .with_concurrency(40)
            .with_claim_batch(20)
    };
    let workers: Vec<Worker> = (0..PROCESSORS)
        .map(|_| Worker::of(&bench, handler.clone(), config()))
        .collect();
    let counted = each * (SMALL + 1);
    while handler.starts().len() < counted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut shares: BTreeMap<OrganizationId, f64> = BTreeMap::new();
    for organization in &handler.starts()[..counted] {
        *shares.entry(*organization).or_default() += 1.0;
    }
    for worker in workers {
        worker.stop().await;
    }
    Line {
        metric: "fairness",
        peer: "the same for each of 11 organizations, one with 1,000 times the jobs (Jain index)",
        ours: jain(&shares, SMALL + 1),
        peer_value: 1.0,
        target: Some(Target::AtLeast(0.95)),
    }
    .print("queue");
}

/// Jain's index of `organizations` shares: 1 where all are the same, 1/n where one has all. From R. Jain,
/// D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
fn jain(shares: &BTreeMap<OrganizationId, f64>, organizations: usize) -> f64 {
    let sum: f64 = shares.values().sum();
    let squares: f64 = shares.values().map(|share| share * share).sum();
    sum * sum / (organizations as f64 * squares)
}

/// Jobs under a cap of their organization and of their keys, with more workers than either lets begin.
async fn overshoot(jobs: usize) {
    const CAP: usize = 7;
    const KEY_CAP: u32 = 3;
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    let limits = OrganizationLimits::default()
        .with_max_running(CAP as u32)
        .unwrap();
    bench.store.set_limits(tenant.id, &limits).await.unwrap();
    let keys = ["a", "b", "c", "d"].map(|key| Concurrency::new(key, KEY_CAP).unwrap());
    for from in (0..jobs).step_by(1_000) {
        let batch = (from..jobs.min(from + 1_000)).map(|nth| {
            let key = keys[nth % keys.len()].clone();
            bench.job(nth).with_concurrency(key)
        });
        let batch = batch.collect();
        bench.store.enqueue(&tenant.scan, batch).await.unwrap();
    }
    let handler = Arc::new(Beside::default());
    let config = || ProcessorConfig::new("bench").with_concurrency(100);
    let workers: Vec<Worker> = (0..PROCESSORS)
        .map(|_| Worker::of(&bench, handler.clone(), config()))
        .collect();
    while handler.done.load(Ordering::Relaxed) < jobs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for worker in workers {
        worker.stop().await;
    }
    let of_key = |nth: usize| handler.keys[nth].most.load(Ordering::Relaxed);
    let over_keys = (0..keys.len()).map(|nth| of_key(nth).saturating_sub(KEY_CAP as usize));
    let most = handler.all.most.load(Ordering::Relaxed);
    note!("cap overshoot: {most} ran beside each other at the most, under a cap of {CAP}");
    assert!(
        most > 1,
        "jobs that never ran beside each other tell nothing"
    );
    Line {
        metric: "cap overshoot",
        peer: "none (jobs over a cap of 7 and over four keys' caps of 3)",
        ours: (most.saturating_sub(CAP) + over_keys.sum::<usize>()) as f64,
        peer_value: 0.0,
        target: Some(Target::AtMost(0.0)),
    }
    .print("queue");
}

/// Notes whose jobs begin, in their order.
#[derive(Debug, Default)]
struct Order(Mutex<Vec<OrganizationId>>);

impl Order {
    fn starts(&self) -> std::sync::MutexGuard<'_, Vec<OrganizationId>> {
        self.0.lock().expect("nobody panics with it")
    }
}

#[async_trait]
impl JobHandler for Order {
    fn kind(&self) -> JobKind {
        KIND
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        self.starts().push(context.lease.reference().organization);
        Ok(Completion::without_effects())
    }
}

/// How many run, and ran at the most.
#[derive(Debug, Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Count {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts the jobs that run beside each other.
#[derive(Debug, Default)]
struct Beside {
    all: Count,
    keys: [Count; 4],
    done: AtomicUsize,
}

#[async_trait]
impl JobHandler for Beside {
    fn kind(&self) -> JobKind {
        KIND
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let nth = context.lease.claim().payload.body["nth"].as_u64();
        let key = &self.keys[nth.expect("a number") as usize % self.keys.len()];
        self.all.enter();
        key.enter();
        tokio::time::sleep(Duration::from_millis(1)).await;
        key.leave();
        self.all.leave();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(Completion::without_effects())
    }
}
