//! A job that ends the process of every worker it gets.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use trueno_core::clock::SystemClock;
use trueno_core::error::Result;
use trueno_core::id::IdSource;
use trueno_core::model::{JobKind, JobStatus};
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::runtime::{Completion, JobContext, JobHandler, Processor, ProcessorConfig};
use trueno_core::state::job::LOST_LEASE_LIMIT;
use trueno_store_postgres::{PostgresConfig, PostgresStore};
use trueno_testkit::fixtures::World;

use crate::support::{ROLES, harness, keys};

const TEST: &str = "crash::a_job_that_ends_every_process_that_runs_it_is_dead_after_five";

/// The URL of its database, for a process that this test starts to be a worker.
const WORKER: &str = "TRUENO_TEST_CRASHING_WORKER";

/// The signal of `abort`.
const SIGABRT: i32 = 6;

/// Far more than anything here takes.
const HANG: Duration = Duration::from_secs(60);

/// Ends its process where the payload says so, as a fault in foreign code does.
#[derive(Debug)]
struct Fragile;

#[async_trait]
impl JobHandler for Fragile {
    fn kind(&self) -> JobKind {
        JobKind::known("test.work")
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        if context.lease.claim().payload.body["work"] == "abort" {
            std::process::abort();
        }
        Ok(Completion::without_effects())
    }
}

fn processor(store: PostgresStore) -> Processor {
    let store = Arc::new(store);
    let config = ProcessorConfig::new("test")
        .with_concurrency(1)
        .with_lease_for(Duration::from_secs(1))
        .with_poll_interval(Duration::from_millis(20));
    let handlers = vec![Arc::new(Fragile) as _];
    let (clock, ids) = (Arc::new(SystemClock), IdSource::random());
    Processor::new(store.clone(), store, handlers, config, clock, ids).unwrap()
}

/// What the worker's process does: it runs jobs until one of them ends it.
async fn work(url: String) {
    let config = PostgresConfig::new(url.into()).with_role_prefix(ROLES);
    let store = PostgresStore::connect(config, &keys()).await.unwrap();
    let processor = processor(store);
    let works = processor.run(CancellationToken::new());
    let _: Result<(), _> = tokio::time::timeout(HANG, works).await;
    panic!("no job ended the worker");
}

#[tokio::test]
async fn a_job_that_ends_every_process_that_runs_it_is_dead_after_five() {
    if let Ok(url) = std::env::var(WORKER) {
        work(url).await;
    }
    let harness = harness().await;
    let (store, database) = (harness.store.clone(), harness.database.borrowed());
    let url = secrecy::ExposeSecret::expose_secret(&database.url()).to_owned();
    let world = World::new(harness).await;
    let tenant = world.organization().await;
    let mut bad = world.job();
    bad.payload.body = serde_json::json!({ "work": "abort" });
    let bad = world.enqueue(&tenant, bad).await;

    for nth in 1..=LOST_LEASE_LIMIT {
        let program = std::env::current_exe().unwrap();
        let mut worker = Command::new(program);
        let worker = worker.args(["--exact", TEST]).env(WORKER, &url);
        let worker = worker.stdout(Stdio::null()).stderr(Stdio::null());
        // Each takes the job back that its predecessor left behind, and is ended by it.
        let ended = worker.status().unwrap();
        assert_eq!(ended.signal(), Some(SIGABRT), "worker {nth}: {ended}");
        let lost = world.read_job(&tenant, bad).await.lost_leases;
        assert_eq!(lost, nth - 1, "worker {nth} holds it still");
        world.lose_leases().await;
    }

    let good = world.enqueue(&tenant, world.job()).await;
    let stop = CancellationToken::new();
    let (survivor, stopped) = (processor(store), stop.clone());
    let survivor = tokio::spawn(async move { survivor.run(stopped).await });
    let ends = async {
        loop {
            let jobs = [
                world.read_job(&tenant, bad).await,
                world.read_job(&tenant, good).await,
            ];
            if jobs.iter().all(|job| job.status.is_terminal()) {
                return jobs;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let [bad, good] = tokio::time::timeout(HANG, ends).await.expect("both end");
    assert_eq!(
        (bad.status, bad.lost_leases, bad.failed_attempts),
        (JobStatus::Dead, LOST_LEASE_LIMIT, 0)
    );
    assert_eq!(bad.last_error(), Some(CRASH_LOOPED));
    assert_eq!(good.status, JobStatus::Succeeded);
    stop.cancel();
    tokio::time::timeout(HANG, survivor)
        .await
        .expect("it stops")
        .unwrap();
}
