//! `trueno`: the reference server and command line of Trueno. Wiring only: everything it does is in
//! the crates that it composes.

mod ambient;
mod cli;
mod connect;
mod demo;
mod local;
mod local_scan;
mod queue;
mod scan;
mod serve;
mod store;
mod table;

use std::process::ExitCode;

use clap::Parser;
use trueno_server::program;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    program::run(async {
        match cli.command {
            Command::Scan(args) => scan::run(&args).await,
            Command::Connect(args) => connect::run(&args),
            Command::Migrate(args) => store::migrate(&args).await,
            Command::History(args) => store::history(&args).await,
            Command::Serve(args) => serve::run(&args).await,
            Command::Queue(args) => queue::run(&args).await,
        }
    })
}
