//! The server is killed over and over while it is written to (P2): what was acknowledged stays, a
//! batch is there as a whole or not at all, and the pools recover by themselves.

mod ingesting;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::port::AuditOutbox as _;
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::World;
use trueno_testkit::proof;

use crate::server::Server;

/// Kills of the full proof.
const KILLS: u32 = 20;
/// How soon every pool is to work again once the server does.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long anything may take before the test is said to hang.
const HANG: Duration = Duration::from_secs(60);
/// Between two steps of a worker.
const PAUSE: Duration = Duration::from_millis(4);

/// What was said of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Acknowledged,
    CertainlyNot,
    Unknown,
}

/// What the workers share with the killer.
#[derive(Default)]
struct Storm {
    over: AtomicBool,
    errors: AtomicU64,
    /// How often each worker succeeded.
    successes: [AtomicU64; WORKERS.len()],
}

/// Between them they use every pool: the processor's, the app's and the sequencer's.
const WORKERS: [&str; 7] = [
    "ingester 0",
    "ingester 1",
    "ingester 2",
    "writer 0",
    "writer 1",
    "reader",
    "sequencer",
];
const INGESTERS: [usize; 3] = [0, 1, 2];
const WRITERS: [usize; 2] = [3, 4];
const READER: usize = 5;
const SEQUENCER: usize = 6;

impl Storm {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Judges an answer. Nothing goes wrong here but a server that is away.
    fn verdict<T>(&self, worker: usize, answer: &Result<T>) -> Verdict {
        let Err(error) = answer else {
            self.successes[worker].fetch_add(1, Ordering::Relaxed);
            return Verdict::Acknowledged;
        };
        self.errors.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "{}: {error:?}",
            WORKERS[worker]
        );
        assert!(error.is_retryable(), "{error:?}");
        if error.certainly_not_applied() {
            Verdict::CertainlyNot
        } else {
            Verdict::Unknown
        }
    }

    fn counts(&self) -> [u64; WORKERS.len()] {
        std::array::from_fn(|worker| self.successes[worker].load(Ordering::Relaxed))
    }

    /// Waits until every worker has succeeded once more than `before`, and tells how long the last
    /// of them took since then.
    async fn recovered(&self, since: Instant, before: [u64; WORKERS.len()]) -> Duration {
        loop {
            let counts = self.counts();
            let behind: Vec<&str> = (0..WORKERS.len())
                .filter(|&worker| counts[worker] <= before[worker])
                .map(|worker| WORKERS[worker])
                .collect();
            if behind.is_empty() {
                return since.elapsed();
            }
            assert!(since.elapsed() < HANG, "did not recover: {behind:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_the_server_and_nothing_is_half_there() {
    let (kills, seed) = (proof::count(KILLS), proof::seed());
    let figures = storm(Server::start(&[]).await, kills, seed, None).await;
    // Shown by a run with --nocapture, and by one that fails.
    println!("kills: {figures}");
    proof::report("kills", &figures);
}

/// What was lost behind the server's back is found out, so the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "batch 0 was acknowledged and is lost")]
async fn a_batch_that_is_lost_is_found_out() {
    let lose = "delete from trueno.resource where native_id like '0-%';
        delete from trueno.finding where native_id like '0-%'";
    storm(Server::start(&[]).await, 1, proof::seed(), Some(lose)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "batch 0 is there in part")]
async fn a_batch_that_lost_a_row_is_found_out() {
    let lose = "delete from trueno.finding where native_id = '0-1'";
    storm(Server::start(&[]).await, 1, proof::seed(), Some(lose)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "is there in part")]
async fn a_change_that_lost_its_event_is_found_out() {
    let lose = "delete from trueno.audit_staged where id = (
        select max(id::text)::uuid from trueno.audit_staged where action = 'cloud_account.connected')";
    storm(Server::start(&[]).await, 1, proof::seed(), Some(lose)).await;
}

/// Kills the server this often, lets `loss` happen, and holds what is there to what was said.
async fn storm(mut server: Server, kills: u32, seed: u64, loss: Option<&'static str>) -> Value {
    let mut random = Random(seed);
    let harness = server.harness(|config| config).await;
    let (store, database) = (harness.store.clone(), harness.database.borrowed());
    let world = Arc::new(World::new(harness).await);

    let storm = Arc::new(Storm::default());
    let mut ingesters = Vec::new();
    for worker in INGESTERS {
        ingesters.push(ingesting::start(worker, &world, &store, &storm).await);
    }
    let mut writers = Vec::new();
    for worker in WRITERS {
        writers.push(writing::start(worker, &world, &storm).await);
    }
    let targets = ingesters.iter().map(|one| one.target.clone()).collect();
    let reader = tokio::spawn(ingesting::watch(store.clone(), storm.clone(), targets));
    let sequencer = tokio::spawn(sequence(store.clone(), storm.clone()));

    let mut slowest = Duration::ZERO;
    storm.recovered(Instant::now(), storm.counts()).await;
    for kill in 1..=kills {
        tokio::time::sleep(random.up_to(Duration::from_millis(400))).await;
        server.kill();
        tokio::time::sleep(random.up_to(Duration::from_millis(600))).await;
        server.launch();
        let accepted = server.accepts().await;
        let recovered = storm.recovered(accepted, storm.counts()).await;
        assert!(
            recovered <= RECOVERY,
            "kill {kill} of seed {seed}: the pools took {recovered:?} to recover"
        );
        slowest = slowest.max(recovered);
    }
    storm.over.store(true, Ordering::Relaxed);
    let views = reader.await.unwrap();
    sequencer.await.unwrap();
    if let Some(loss) = loss {
        database.execute(loss).await;
    }

    let mut tally = Tally::default();
    for ingester in ingesters {
        tally += ingester.verify(&store).await;
    }
    let mut units = Tally::default();
    let staged = store.staged(usize::MAX).await.unwrap();
    for writer in writers {
        units += writer.verify(&store, &staged).await;
    }
    let errors = storm.errors.load(Ordering::Relaxed);
    assert!(
        errors >= u64::from(kills) && views > 0,
        "the kills hit nothing: {errors} errors, {views} views"
    );
    json!({
        "kills": kills,
        "seed": seed,
        "slowest_recovery_ms": slowest.as_secs_f64() * 1_000.0,
        "errors": errors,
        "consistent_views": views,
        "batches": tally.figures(),
        "units_of_work": units.figures(),
    })
}

/// Reads the outbox until the storm is over.
async fn sequence(store: PostgresStore, storm: Arc<Storm>) {
    while storm.goes_on() {
        let staged = store.staged(1).await;
        storm.verdict(SEQUENCER, &staged);
        tokio::time::sleep(PAUSE).await;
    }
}

/// How writes ended.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    certainly_not: u64,
    unknown_and_there: u64,
    unknown_and_not_there: u64,
}

impl Tally {
    /// Holds what is there to what was said of it.
    fn add(&mut self, what: &str, said: Verdict, is_there: bool) {
        match (said, is_there) {
            (Verdict::Acknowledged, true) => self.acknowledged += 1,
            (Verdict::CertainlyNot, false) => self.certainly_not += 1,
            (Verdict::Unknown, true) => self.unknown_and_there += 1,
            (Verdict::Unknown, false) => self.unknown_and_not_there += 1,
            (Verdict::Acknowledged, false) => panic!("{what} was acknowledged and is lost"),
            (Verdict::CertainlyNot, true) => {
                panic!("{what} was certainly not applied and is there")
            }
        }
    }
}

impl Tally {
    fn figures(&self) -> Value {
        json!({
            "acknowledged_and_there": self.acknowledged,
            "certainly_not_and_not_there": self.certainly_not,
            "unknown_and_there": self.unknown_and_there,
            "unknown_and_not_there": self.unknown_and_not_there,
        })
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.certainly_not += other.certainly_not;
        self.unknown_and_there += other.unknown_and_there;
        self.unknown_and_not_there += other.unknown_and_not_there;
    }
}

/// Numbers that a seed gives again: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        most.mul_f64((bits ^ (bits >> 31)) as f64 / u64::MAX as f64)
    }
}
