//! `trueno serve`: the page and the API; in demo mode with a processor that scans the recorded account.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trueno_aws::AwsScanner;
use trueno_core::check::Engine;
use trueno_core::clock::SystemClock;
use trueno_core::id::IdSource;
use trueno_core::runtime::{Scheduler, SchedulerConfig};
use trueno_http::{HttpState, LocalToken};
use trueno_server::output::out;
use trueno_server::signals::stop_token;
use trueno_server::{keys, operations, private};

use crate::cli::{ServeArgs, StoreUrl};
use crate::local::Local;
use crate::local_scan::{Interrupted, LocalScan};
use crate::scan::{check_ended, engine};
use crate::store::Stores;
use crate::{demo, store, table};

/// How long a browser that keeps its connection open may hold the exit up.
const GRACE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: &ServeArgs) -> Result<ExitCode> {
    check(args)?;
    let engine = engine(&args.checks)?;
    let tick_token = args
        .tick_token_file
        .as_deref()
        .map(private::token)
        .transpose()?;
    // The port is taken before anything is scanned: a server that cannot serve leaves nothing behind.
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; if it is in use, give another with --listen",
            args.listen
        )
    })?;
    let address = listener.local_addr()?;
    let stores = store::open(&args.store, &args.keys).await?;
    let local = Local::ensure(stores.tenants.as_ref(), &args.store.organization).await?;
    let stop = stop_token()?;

    let authenticator = LocalToken::generate(local.operator)?;
    // To whoever started this alone: it is in no log and no file.
    let page = format!("page: http://{address}/?token={}\n", authenticator.expose());
    let token = format!("token: {}\n", authenticator.expose());
    let scheduler = Arc::new(Scheduler::new(
        stores.tenants.clone(),
        SchedulerConfig::default(),
        IdSource::random(),
    )?);
    let mut state = state(args, &stores, authenticator)?;
    if let Some(token) = tick_token {
        state = state.with_system_tick(scheduler.clone(), token);
    }
    let router = trueno_http::router(state)
        .merge(operations::metrics(stores.queue.clone())?)
        .layer(trueno_http::loopback_only());
    let served = stop.clone();
    let firing = args.schedules.then(|| {
        let stop = stop.clone();
        tokio::spawn(async move { scheduler.run(stop).await })
    });
    let mut server = tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(served.cancelled_owned())
            .await
    });
    out(&page)?;
    out(&token)?;
    if is_in_memory(args) {
        out("the memory store keeps nothing after exit\n")?;
    }
    let demo = args
        .demo
        .then(|| recorded(args, stores, local, engine))
        .transpose()?;
    if let Some(demo) = &demo {
        show(demo, &stop, &page).await?;
    }
    out("Ctrl-C stops it\n")?;
    let working = async {
        match demo {
            // Nobody else has this store, so what is requested over the API runs here.
            Some(demo) if is_in_memory(args) => demo.run_requested(stop.clone()).await,
            _ => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = &mut server => return Ok(ended?.map(|()| ExitCode::SUCCESS)?),
        ended = working => ended,
        () = stop.cancelled() => Ok(()),
    };
    let _ended_by_itself = tokio::time::timeout(GRACE, server).await.is_ok();
    if let Some(firing) = firing {
        stop.cancel();
        firing.await?;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

fn is_in_memory(args: &ServeArgs) -> bool {
    matches!(args.store.store, StoreUrl::Memory)
}

fn check(args: &ServeArgs) -> Result<()> {
    if !args.demo && is_in_memory(args) {
        bail!("nothing to show: give --demo, or --store postgres://… with results in it");
    }
    if !args.demo && args.checks.is_given() {
        bail!(
            "--as-of, --set and --prices are for the scan of --demo; trueno-processor runs those of \
             a Postgres store"
        );
    }
    if !args.listen.ip().is_loopback() {
        bail!(
            "{} is not a loopback address; there is no sign-in but the local token yet, so only \
             those are served",
            args.listen
        );
    }
    Ok(())
}

/// What the routes work with. Accounts are connected where they can be scanned, which a recording's
/// processor cannot.
fn state(args: &ServeArgs, stores: &Stores, authenticator: LocalToken) -> Result<HttpState> {
    let state = HttpState::new(
        stores.tenants.clone(),
        Arc::new(authenticator),
        Arc::new(SystemClock),
    );
    if args.demo {
        return Ok(state);
    }
    let keys = Arc::new(keys::load(&keys::path(args.keys.key_file.as_deref())?)?);
    let scanner = AwsScanner::builder().keys(keys.clone()).build()?;
    Ok(state.with_keys(keys).with_scanners(vec![Arc::new(scanner)]))
}

/// The scan of the recorded account.
fn recorded(
    args: &ServeArgs,
    stores: Stores,
    local: Local,
    engine: Arc<Engine>,
) -> Result<LocalScan> {
    let subject = demo::subject(&args.store.organization, &args.checks)?;
    Ok(LocalScan {
        stores,
        local,
        subject,
        engine,
    })
}

/// Scans the recorded account, and says what was found and where to look.
async fn show(demo: &LocalScan, stop: &CancellationToken, page: &str) -> Result<()> {
    match demo.run(stop.clone(), |_| ()).await {
        Ok(report) => {
            check_ended(&report)?;
            out(&table::overview(&report))?;
            out(page)?;
        }
        Err(error) if error.is::<Interrupted>() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
