//! apalis-postgres, as its own example (`examples/basic.rs` of the crate) configures it, with
//! larger batches and several workers.

use std::time::Duration;

use anyhow::{Result, bail};
use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use futures::{StreamExt as _, stream::FuturesUnordered};
use peer::{Command, Drain};
use sqlx::{PgPool, postgres::PgPoolOptions};

const PEER: &str = "apalis-postgres 1.0.0";
const QUEUE: &str = "noop";
const POLL: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> Result<()> {
    let command = Command::read(&[
        ("workers", 3),
        ("batch", 5000),
        ("lock", 0),
        ("connections", 10),
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
    PostgresStorage::setup(pool).await?;
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(5000);
        let tasks = (0..batch)
            .map(|_| TaskBuilder::new(b"0".to_vec()).build())
            .collect();
        let mut connection = pool.acquire().await?;
        apalis_postgres::queries::push_tasks(&mut *connection, QUEUE, tasks).await?;
        left -= batch;
    }
    Ok(())
}

async fn noop(_: u32, drain: Data<Drain>) -> Result<(), BoxDynError> {
    drain.started();
    Ok(())
}

async fn drain(pool: PgPool, command: &Command) -> Result<()> {
    let [workers, batch, lock] = ["workers", "batch", "lock"].map(|name| command.setting(name));
    let drain = Drain::new(command.jobs);
    let config = Config::default()
        .queue(QUEUE)
        .batch_size(batch)
        .lock_tasks(lock != 0);
    let mut running = FuturesUnordered::new();
    for i in 0..workers {
        // A worker stores the results of finished jobs when it is polled. Without an interval,
        // those of the last jobs can wait for its heartbeat, which comes every 30 s.
        let backend = PostgresStorage::<u32>::new(&pool)
            .with_config(config.clone())
            .with_pubsub()
            .poll_with_interval(POLL);
        let worker = WorkerBuilder::new(format!("worker-{i}"))
            .backend(backend)
            .data(drain.clone())
            .parallelize(tokio::spawn)
            .build(noop);
        running.push(tokio::spawn(worker.run()));
    }
    let finished = drain.finished(async || {
        let sql = "select exists (select from apalis.jobs where status <> 'Done')";
        Ok(sqlx::query_scalar(sql).fetch_one(&pool).await?)
    });
    let elapsed = tokio::select! {
        elapsed = finished => elapsed?,
        ended = running.next() => bail!("a worker ended early: {ended:?}"),
    };
    let settings = format!(
        "workers {workers}, batch_size {batch}, lock_tasks {}, parallelize, pubsub, \
         poll_with_interval 5 ms, pool {}",
        lock != 0,
        command.setting("connections"),
    );
    peer::report(PEER, command.jobs, elapsed, &settings);
    Ok(())
}
