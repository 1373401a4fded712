//! How many jobs a second go through the queue, and how soon one is picked up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use trueno_core::port::JobQueue as _;

use crate::peers::{self, Peer};
use crate::report::{Line, Target};
use crate::world::{Bench, Nothing, Worker};
use crate::{Options, note};

const PROCESSORS: usize = 2;

/// Each peer, and right before it ours, on databases of their own: a machine's speed wanders within a run.
pub(crate) async fn beside_peers(options: &Options) {
    note!("drain: {} jobs", options.jobs);
    let is_picked = |peer: &&Peer| peer.is_picked(options);
    let picked: Vec<&Peer> = peers::ALL.iter().filter(is_picked).collect();
    if picked.is_empty() {
        note!("drain: ours {:.0} jobs/s", rate(options.jobs).await);
    }
    for peer in picked {
        let ours = rate(options.jobs).await;
        match peer.drain(options.jobs).await {
            Some(theirs) => line("drain", peer, ours, theirs),
            None => note!("drain: {} did not run here", peer.name),
        }
    }
}

async fn rate(jobs: usize) -> f64 {
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    bench.enqueue(&tenant, jobs).await;
    bench.settle_down().await;
    let took = bench.drain(jobs, PROCESSORS).await;
    jobs as f64 / took.as_secs_f64()
}

fn line(metric: &'static str, peer: &'static Peer, ours: f64, peer_value: f64) {
    Line {
        metric,
        peer: peer.shown,
        ours,
        peer_value,
        target: Some(Target::AtLeast(peer.wanted)),
    }
    .print("queue");
}

/// From just before a job is enqueued to its handler's start, one at a time.
pub(crate) async fn pickup(_: &Options) {
    const JOBS: usize = 1_000;
    const WARM_UP: usize = 100;
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let handler = Arc::new(Nothing {
        starts: Some(starts),
        ..Nothing::default()
    });
    let worker = Worker::start(&bench, handler);
    let mut times = Vec::with_capacity(JOBS);
    for nth in 0..WARM_UP + JOBS {
        let before = Instant::now();
        bench
            .store
            .enqueue(&tenant.scan, vec![bench.job(nth)])
            .await
            .unwrap();
        let start = started.recv().await.unwrap();
        if nth >= WARM_UP {
            times.push((start - before).as_secs_f64() * 1_000.0);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.stop().await;
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (times[JOBS / 2], times[JOBS * 99 / 100]);
    let Some((peer_p50, peer_p99)) = peers::pickup(JOBS).await else {
        note!("pickup: ours p50 {p50:.2} ms, p99 {p99:.2} ms; the peer did not run here");
        return;
    };
    for (metric, ours, peer_value, most) in [
        ("pickup p50", p50, peer_p50, 0.5),
        ("pickup p99", p99, peer_p99, 1.0),
    ] {
        Line {
            metric,
            peer: "graphile-worker 0.17.3, ms",
            ours,
            peer_value,
            target: Some(Target::AtMost(most)),
        }
        .print("queue");
    }
}
