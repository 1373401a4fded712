//! graphile_worker (Rust), with a local queue and batched completion, as its own benchmark
//! (`benches/perf_test.rs` of the crate) and its guide to local queues configure it.

use std::time::Duration;

use anyhow::{Result, bail};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext,
    WorkerOptions, WorkerUtils,
};
use peer::{Command, Drain};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};

const PEER: &str = "graphile_worker 0.14.1";
const SCHEMA: &str = "graphile_worker";

#[derive(Serialize, Deserialize)]
struct Noop {}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(drain) = context.get_ext::<Drain>() {
            drain.started();
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let command = Command::read(&[
        ("concurrency", 500),
        ("local-queue", 2500),
        ("queues", 2),
        ("batch-delay", 5),
        ("connections", 10),
    ])?;
    // All connections are made before work begins.
    let connections = command.setting("connections") as u32;
    let options = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections);
    let pool = options.connect(&command.url).await?;
    match command.phase.as_str() {
        "enqueue" => enqueue(pool, command.jobs).await,
        "drain" => drain(pool, &command).await,
        other => bail!("no such phase: {other}"),
    }
}

async fn enqueue(pool: PgPool, jobs: usize) -> Result<()> {
    let utils = WorkerUtils::new(pool, SCHEMA);
    utils.migrate().await?;
    let one = || RawJobSpec {
        identifier: Noop::IDENTIFIER.to_owned(),
        payload: serde_json::json!({}),
        spec: JobSpec::default(),
    };
    let jobs: Vec<_> = std::iter::repeat_with(one).take(jobs).collect();
    for batch in jobs.chunks(5000) {
        utils.add_raw_jobs(batch).await?;
    }
    Ok(())
}

async fn drain(pool: PgPool, command: &Command) -> Result<()> {
    let [concurrency, size, queues, delay] =
        ["concurrency", "local-queue", "queues", "batch-delay"].map(|name| command.setting(name));
    let drain = Drain::new(command.jobs);
    let local_queue = LocalQueueConfig::default()
        .with_size(size)
        .with_queue_count(queues);
    let worker = WorkerOptions::default()
        .pg_pool(pool.clone())
        .schema(SCHEMA)
        .concurrency(concurrency)
        .poll_interval(Duration::from_millis(5))
        .complete_job_batch_delay(Duration::from_millis(delay as u64))
        .local_queue(local_queue)
        .add_extension(drain.clone())
        .define_job::<Noop>()
        .init()
        .await?;
    let observer = pool.clone();
    let finished = drain.finished(async || {
        let sql = "select exists (select from graphile_worker._private_jobs)";
        Ok(sqlx::query_scalar(sql).fetch_one(&observer).await?)
    });
    let elapsed = tokio::select! {
        elapsed = finished => elapsed?,
        ended = worker.run() => bail!("the worker ended early: {ended:?}"),
    };
    let settings = format!(
        "driver sqlx, concurrency {concurrency}, pool {}, local_queue size {size} x {queues}, \
         complete_job_batch_delay {delay} ms, poll_interval 5 ms",
        command.setting("connections"),
    );
    peer::report(PEER, command.jobs, elapsed, &settings);
    Ok(())
}
