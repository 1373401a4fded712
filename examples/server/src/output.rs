//! What a program says: results on stdout, everything else on stderr.

use std::io::{self, ErrorKind, Write};

/// Writes to stdout, all of it. Whoever closed it wanted no more: that is no error.
///
/// # Errors
/// Where it cannot be written (a full disk, for one).
pub fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the result could not be written: {error}"),
            )
        }),
    }
}

/// Writes a line to stderr. There is nowhere to say that it failed.
pub fn note(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{line}");
}
