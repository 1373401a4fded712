//! Signals that end a program.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell makes of a process that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// A token that fires on Ctrl-C and on the termination signal. A second one ends the process at
/// once. Needs a tokio runtime.
///
/// # Errors
/// Where the operating system does not let signals be handled.
pub fn stop_token() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let fires = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        fires.cancel();
        // Whoever asks twice does not want to wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(INTERRUPTED.into());
    });
    Ok(stop)
}
