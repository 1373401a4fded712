//! The peers, as `benches/peers/run` runs them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use sqlx::ConnectOptions as _;

use crate::Options;
use crate::support::Database;

/// One that drains.
pub(crate) struct Peer {
    /// As `benches/peers/run` knows it.
    pub(crate) name: &'static str,
    /// As the output names it.
    pub(crate) shown: &'static str,
    /// The least that our rate is to be of its rate.
    pub(crate) wanted: f64,
}

const fn peer(name: &'static str, shown: &'static str, wanted: f64) -> Peer {
    Peer {
        name,
        shown,
        wanted,
    }
}

pub(crate) const ALL: [Peer; 8] = [
    peer(
        "graphile-worker-batched",
        "graphile-worker 0.17.3 batched",
        1.5,
    ),
    peer(
        "graphile-worker-unbatched",
        "graphile-worker 0.17.3 unbatched",
        1.3,
    ),
    peer("graphile_worker", "graphile_worker 0.14.1", 1.3),
    peer("awa", "awa 0.6.9", 1.3),
    peer("pgqueuer", "pgqueuer 1.6.0", 2.5),
    peer("apalis-postgres", "apalis-postgres 1.0.0", 5.0),
    peer("pg-boss", "pg-boss 10.4.2", 5.0),
    peer("pgbench-limit", "pgbench limit", 0.6),
];

#[derive(Deserialize)]
struct Drained {
    rate: f64,
}

#[derive(Deserialize)]
struct PickedUp {
    p50_ms: f64,
    p99_ms: f64,
}

impl Peer {
    pub(crate) fn is_picked(&self, options: &Options) -> bool {
        options.peers.is_empty() || options.peers.iter().any(|name| name == self.name)
    }

    /// Its rate, in jobs/s; none where it does not run here.
    pub(crate) async fn drain(&self, jobs: usize) -> Option<f64> {
        let answer = run(self.name, "drain", jobs).await?;
        let drained: Drained = serde_json::from_str(&answer).expect("the peer's line");
        Some(drained.rate)
    }
}

/// graphile-worker's p50 and p99, in milliseconds.
pub(crate) async fn pickup(jobs: usize) -> Option<(f64, f64)> {
    let answer = run("graphile-worker-unbatched", "pickup", jobs).await?;
    let picked: PickedUp = serde_json::from_str(&answer).expect("the peer's line");
    Some((picked.p50_ms, picked.p99_ms))
}

/// As every client understands it: sqlx adds settings that only sqlx knows.
fn url(database: &Database) -> String {
    let mut url = database.options().to_url_lossy();
    url.set_query(None);
    url.into()
}

async fn run(peer: &str, mode: &str, jobs: usize) -> Option<String> {
    let database = Database::create().await;
    let url = url(&database);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers/run");
    let mut command = Command::new(program);
    // What cargo tells this bench of its package is another one's: build scripts of the peers look at it,
    // and would build them anew.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];
        if name
            .to_str()
            .is_some_and(|name| of_package.iter().any(|of| name.starts_with(of)))
        {
            command.env_remove(name);
        }
    }
    let output = command
        .args([peer, mode, "--jobs", &jobs.to_string(), "--database", &url])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("benches/peers/run starts");
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).expect("text"))
}
