//! awa, on its queue storage, as its own benchmark of a drain (`tests/benchmark_test.rs` of the
//! crate) configures it.

use std::time::Duration;

use anyhow::{Result, bail};
use awa::{
    Client, InsertOpts, JobArgs, JobContext, JobError, JobResult, QueueConfig, QueueStorage,
    QueueStorageConfig, Worker, worker::TransitionWorkerRole,
};
use peer::{Command, Drain};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};

const PEER: &str = "awa 0.6.9";
const QUEUE: &str = "noop";

#[derive(Serialize, Deserialize, JobArgs)]
struct Noop {}

struct NoopWorker(Drain);

#[async_trait::async_trait]
impl Worker for NoopWorker {
    fn kind(&self) -> &'static str {
        "noop"
    }

    async fn perform(&self, _: &JobContext) -> Result<JobResult, JobError> {
        self.0.started();
        Ok(JobResult::Completed)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let command = Command::read(&[
        ("workers", 1024),
        ("claimers", 1),
        ("claim-batch", QueueConfig::default().claim_batch_size),
        ("connections", 20),
    ])?;
    // All connections are made before work begins.
    let connections = command.setting("connections") as u32;
    let options = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections);
    let pool = options.connect(&command.url).await?;
    match command.phase.as_str() {
        "enqueue" => enqueue(&pool, command.jobs).await,
        "drain" => drain(pool, &command).await,
        other => bail!("no such phase: {other}"),
    }
}

async fn enqueue(pool: &PgPool, jobs: usize) -> Result<()> {
    awa::migrations::run(pool).await?;
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    store.install(pool).await?;
    let options = InsertOpts {
        queue: QUEUE.to_owned(),
        ..InsertOpts::default()
    };
    let one = awa::insert::params_with(&Noop {}, options)?;
    for batch in vec![one; jobs].chunks(5000) {
        store.enqueue_params_copy(pool, batch).await?;
    }
    Ok(())
}

async fn drain(pool: PgPool, command: &Command) -> Result<()> {
    let [workers, claimers, claim_batch] =
        ["workers", "claimers", "claim-batch"].map(|name| command.setting(name));
    let drain = Drain::new(command.jobs);
    let config = QueueStorageConfig::default();
    let store = QueueStorage::new(config.clone())?;
    let queue = QueueConfig {
        max_workers: workers as u32,
        claimers: claimers as u16,
        claim_batch_size: claim_batch,
        poll_interval: Duration::from_millis(50),
        // Without a deadline claims take the short path, by receipts.
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let client = Client::builder(pool.clone())
        .queue(QUEUE, queue)
        .queue_storage(
            config,
            Duration::from_millis(1000),
            Duration::from_millis(50),
        )
        .transition_role(TransitionWorkerRole::QueueStorageTarget)
        .register_worker(NoopWorker(drain.clone()))
        .build()?;
    client.start().await?;
    let jobs = command.jobs as i64;
    let elapsed = drain
        .finished(async || Ok(store.queue_counts(&pool, QUEUE).await?.terminal < jobs))
        .await?;
    let settings = format!(
        "queue storage, max_workers {workers}, claimers {claimers}, claim_batch_size {claim_batch}, \
         no deadline, pool {}",
        command.setting("connections"),
    );
    peer::report(PEER, command.jobs, elapsed, &settings);
    Ok(())
}
