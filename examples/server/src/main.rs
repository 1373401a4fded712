//! `trueno`: the reference server and command line of Trueno. Wiring only: everything it does is in
//! the crates that it composes.

mod ambient;
mod cli;
mod connect;
mod demo;
mod local;
mod local_scan;
mod scan;
mod serve;
mod store;
mod table;

use std::process::ExitCode;

use clap::Parser;
use trueno_server::logs;
use trueno_server::output::note;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    logs::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Scan(args) => scan::run(&args).await,
            Command::Connect(args) => connect::run(&args),
            Command::Migrate(args) => store::migrate(&args).await,
            Command::Serve(args) => serve::run(&args).await,
        }
    });
    // Work that was left behind (a request to a provider that hangs) does not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// The message that a person reads: what, and what it came from, without internals.
fn fail(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {error:#}"));
    tracing::debug!(?error, "the command failed");
    ExitCode::FAILURE
}
