//! `trueno serve`: the page, and in demo mode a processor that scans the recorded account.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use trueno_core::clock::SystemClock;
use trueno_http::{FixedIdentity, HttpState};
use trueno_server::output::out;
use trueno_server::signals::stop_token;

use crate::cli::{ServeArgs, StoreUrl};
use crate::local::Local;
use crate::local_scan::{Interrupted, LocalScan};
use crate::scan::{check_ended, engine};
use crate::{demo, store, table};

pub(crate) async fn run(args: &ServeArgs) -> Result<ExitCode> {
    let in_memory = matches!(args.store.store, StoreUrl::Memory);
    if !args.demo && in_memory {
        bail!("nothing to show: give --demo, or --store postgres://… with results in it");
    }
    if !args.listen.ip().is_loopback() {
        bail!(
            "{} is not a loopback address; there is no sign-in yet, so only those are served",
            args.listen
        );
    }
    let engine = engine(&args.checks)?;
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

    let identity = FixedIdentity::new(local.operator, local.organization);
    let state = HttpState::new(
        stores.tenants.clone(),
        Arc::new(identity),
        Arc::new(SystemClock),
    );
    let router = trueno_http::router(state).layer(trueno_http::loopback_only());
    let served = stop.clone();
    let server = tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(served.cancelled_owned())
            .await
    });
    out(&format!("page: http://{address}\n"))?;
    if in_memory {
        out("the memory store keeps nothing after exit\n")?;
    }
    if args.demo {
        let subject = demo::subject(&args.store.organization, &args.checks)?;
        let scan = LocalScan {
            stores,
            local,
            subject,
            engine,
        };
        match scan.run(stop.clone(), |_| ()).await {
            Ok(report) => {
                check_ended(&report)?;
                out(&table::overview(&report))?;
                out(&format!("page: http://{address}\n"))?;
            }
            Err(error) if error.is::<Interrupted>() => {}
            Err(error) => return Err(error),
        }
    }
    out("Ctrl-C stops it\n")?;
    let mut server = server;
    tokio::select! {
        ended = &mut server => { ended??; }
        () = stop.cancelled() => {
            // A browser that keeps its connection open does not hold the exit up.
            let grace = std::time::Duration::from_secs(2);
            let _ended_by_itself = tokio::time::timeout(grace, server).await.is_ok();
        }
    }
    Ok(ExitCode::SUCCESS)
}
