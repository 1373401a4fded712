//! A processor of Trueno jobs on Postgres: scans the accounts that the organizations of the store
//! connected, with leases, and fires their schedules, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use secrecy::SecretString;
use trueno_aws::price::PriceTable;
use trueno_aws::{AwsScanner, check};
use trueno_core::check::Engine;
use trueno_core::clock::SystemClock;
use trueno_core::id::IdSource;
use trueno_core::runtime::scan::{ScanConfig, ScanHandler};
use trueno_core::runtime::{Processor, ProcessorConfig, Scheduler, SchedulerConfig};
use trueno_server::logins::LoginArgs;
use trueno_server::output::out;
use trueno_server::signals::stop_token;
use trueno_server::{keys, operations, program};
use trueno_store_postgres::PostgresStore;

/// Runs the scans that are requested of a Postgres store, and fires its schedules, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "trueno-processor", version, max_term_width = 100)]
struct Args {
    /// The store: postgres://…, prepared with `trueno migrate`.
    #[arg(long, value_name = "URL", env = "TRUENO_STORE", hide_env_values = true)]
    store: SecretString,
    #[command(flatten)]
    logins: LoginArgs,
    /// The file with the keys that external ids and database contexts are derived from.
    #[arg(long, value_name = "FILE", env = "TRUENO_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// Scans at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// After how many days jobs that ended are forgotten, dead ones apart; `never` where `trueno history`
    /// sees to it.
    #[arg(long, value_name = "DAYS", default_value = "30")]
    retention_days: Retention,
    /// Leave the schedules that are due to other processors and servers.
    #[arg(long)]
    no_schedules: bool,
    /// Answer GET /metrics (for Prometheus), /healthz and /readyz here: 127.0.0.1:9464, for one. They
    /// tell no organization's data, and ask for no token.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// How long jobs that ended are kept.
#[derive(Clone, Copy, Debug)]
struct Retention(Option<Duration>);

impl FromStr for Retention {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self(None));
        }
        match text.parse::<u32>() {
            Ok(days @ 1..) => Ok(Self(Some(Duration::from_secs(
                u64::from(days) * 24 * 3_600,
            )))),
            _ => Err("needs a number of days, at least 1, or `never`"),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    program::run(run(args))
}

async fn run(args: Args) -> Result<ExitCode> {
    let keys = Arc::new(keys::load(&keys::path(args.key_file.as_deref())?)?);
    let store = PostgresStore::connect(args.logins.config(args.store), &keys).await?;
    let store = Arc::new(store);
    let engine = Arc::new(Engine::new(check::all(), Arc::new(PriceTable::builtin()?))?);
    let scanner = AwsScanner::builder().keys(keys).build()?;
    let clock = Arc::new(SystemClock);
    let handler = ScanHandler::new(
        vec![Arc::new(scanner)],
        engine,
        clock.clone(),
        ScanConfig::default(),
    );
    let name = format!("trueno-processor {}", std::process::id());
    let config = ProcessorConfig::new(&name)
        .with_concurrency(args.concurrency.into())
        .with_retention(args.retention_days.0);
    let handlers: Vec<Arc<dyn trueno_core::runtime::JobHandler>> = vec![Arc::new(handler)];
    let ids = IdSource::random();
    let scheduler = Scheduler::new(store.clone(), SchedulerConfig::default(), ids.clone())?;
    let queue = store.clone();
    let processor = Processor::new(store.clone(), store, handlers, config, clock, ids)?;
    let stop = stop_token()?;
    if let Some(address) = args.listen {
        let routes = operations::metrics(queue)?.merge(operations::probes(processor.status()));
        let (listener, routes) = operations::listen(address, routes).await?;
        out(&format!(
            "metrics: http://{}/metrics\n",
            listener.local_addr()?
        ))?;
        // Until the end, also while it shuts down.
        tokio::spawn(axum::serve(listener, routes).into_future());
    }
    out("takes scans; Ctrl-C stops it\n")?;
    if args.no_schedules {
        processor.run(stop).await;
    } else {
        tokio::join!(processor.run(stop.clone()), scheduler.run(stop));
    }
    Ok(ExitCode::SUCCESS)
}
