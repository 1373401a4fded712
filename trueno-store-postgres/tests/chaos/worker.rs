//! A worker: a process of its own, which is this test program run once more.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use trueno_core::clock::{Clock, SharedClock, SystemClock};
use trueno_core::id::IdSource;
use trueno_core::runtime::{Processor, ProcessorConfig};
use trueno_store_postgres::{PostgresConfig, PostgresStore};

use crate::handler::Handler;
use crate::plan::LEASE;
use crate::support::{ROLES, keys};

/// What a worker is told: [`Brief`] as JSON.
pub(crate) const BRIEF: &str = "TRUENO_CHAOS_WORKER";

/// The test that is a worker where it is told to be.
pub(crate) const TEST: &str = "worker::process";

/// Jobs at the same time.
const CONCURRENCY: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Brief {
    pub(crate) url: String,
    pub(crate) name: String,
    /// By how many seconds its clock is wrong.
    pub(crate) skew: i64,
}

/// The time of day, wrong by this much.
#[derive(Debug)]
struct Skewed(SignedDuration);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

#[test]
#[ignore = "a process of the proof, which starts it: no test"]
fn process() {
    let brief = std::env::var(BRIEF)
        .unwrap_or_else(|_| panic!("{BRIEF} is not set: this is a process of the proof, no test"));
    let brief: Brief = serde_json::from_str(&brief).unwrap();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(&brief, end_of_input()));
}

/// Fires when whoever started this process closes its input, or is gone.
fn end_of_input() -> CancellationToken {
    let ended = CancellationToken::new();
    let token = ended.clone();
    std::thread::spawn(move || {
        let _any = std::io::stdin().read(&mut [0]);
        token.cancel();
    });
    ended
}

async fn work(brief: &Brief, shutdown: CancellationToken) {
    let clock: SharedClock = Arc::new(Skewed(SignedDuration::from_secs(brief.skew)));
    let ids = IdSource::random();
    let Some(store) = shutdown.run_until_cancelled(connect(brief)).await else {
        return;
    };
    let store = Arc::new(store);
    let config = ProcessorConfig::new(&brief.name)
        .with_concurrency(CONCURRENCY)
        .with_lease_for(LEASE)
        .with_poll_interval(Duration::from_millis(250))
        .with_stop_grace(Duration::from_secs(1));
    let handlers = Handler::all(&ids, &clock);
    let processor = Processor::new(store.clone(), store, handlers, config, clock, ids).unwrap();
    processor.run(shutdown).await;
}

/// Connects as soon as the server is there, as something that starts programs again would.
async fn connect(brief: &Brief) -> PostgresStore {
    loop {
        let config = PostgresConfig::new(brief.url.clone().into())
            .with_role_prefix(ROLES)
            .with_max_connections(5)
            .with_poll_interval(Duration::from_millis(250));
        match PostgresStore::connect(config, &keys()).await {
            Ok(store) => return store,
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
