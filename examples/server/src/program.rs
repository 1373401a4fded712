//! How a program runs and ends.

use std::process::ExitCode;

use anyhow::Result;

use crate::logs;
use crate::output::note;

/// Runs a program to its exit status. An error is one line on stderr and a failure.
pub fn run(main: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    logs::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(main);
    // Work that was left behind (a request to a provider that hangs) does not hold the exit up.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

/// The message that a person reads: what, and what it came from, without internals.
fn fail(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {error:#}"));
    tracing::debug!(?error, "the program failed");
    ExitCode::FAILURE
}
