//! What whoever operates a program asks of it over HTTP: metrics for Prometheus, and probes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use trueno_core::port::JobQueue;
use trueno_core::runtime::ProcessorStatus;
use trueno_core::runtime::metrics::{describe, observe};

/// Bounds of durations, in seconds: a claim takes a millisecond, a scan an hour.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1_800.0, 7_200.0,
];

/// Bounds of batches, in jobs: the largest has 500.
const BATCHES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0];

/// How often samples are sorted into their buckets while nobody asks for them, so that they do not
/// gather.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long a scrape waits for the queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// The text format of the exposition.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Debug)]
struct Exporter {
    recorded: PrometheusHandle,
    queue: Arc<dyn JobQueue>,
}

/// Records the program's metrics from now on, and answers the route `GET /metrics`, which also tells
/// how much waits and runs in `queue`. Once, before a processor runs. Needs a tokio runtime.
///
/// # Errors
/// Where the program has a recorder of metrics already.
pub fn metrics(queue: Arc<dyn JobQueue>) -> Result<Router> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_jobs".to_owned()), BATCHES)?
        .build_recorder();
    let recorded = recorder.handle();
    metrics::set_global_recorder(recorder).context("cannot record metrics")?;
    describe();
    let kept = recorded.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    let exporter = Exporter { recorded, queue };
    Ok(Router::new()
        .route("/metrics", get(scrape))
        .with_state(exporter))
}

async fn scrape(State(exporter): State<Exporter>) -> impl IntoResponse {
    // A queue that does not answer keeps nobody from the other figures.
    match tokio::time::timeout(PATIENCE, observe(&*exporter.queue)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(?error, "how much waits is not known"),
        Err(_) => tracing::warn!("how much waits is not known: the queue does not answer"),
    }
    let headers = [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")];
    (headers, exporter.recorded.render())
}

/// The probes of a processor: `GET /healthz` is 200 while it is live, and otherwise 503: restart it.
/// `GET /readyz` is 200 while it takes jobs.
pub fn probes(status: ProcessorStatus) -> Router {
    let live = status.clone();
    Router::new()
        .route("/healthz", get(async move || said(live.is_live())))
        .route("/readyz", get(async move || said(status.is_ready())))
}

fn said(well: bool) -> (StatusCode, &'static str) {
    if well {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no")
    }
}

/// Opens the socket of a processor's routes, and puts them behind what keeps other sites' pages away
/// from a loopback address.
///
/// # Errors
/// Where nobody can listen on `address`.
pub async fn listen(address: SocketAddr, routes: Router) -> Result<(TcpListener, Router)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; if it is in use, give another"))?;
    let routes = if address.ip().is_loopback() {
        routes.layer(trueno_http::loopback_only())
    } else {
        routes
    };
    Ok((listener, routes))
}
