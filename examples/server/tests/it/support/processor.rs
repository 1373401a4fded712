//! A `trueno-processor` of the test's own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use super::{User, wait};

/// Ended by its own pid when the test ends.
pub(crate) struct Processor(Option<Child>);

impl Processor {
    /// Started on this store, beside the server of the same user: with the same key file.
    pub(crate) fn start(user: &User, endpoint: &str, store: &str) -> Self {
        Self::spawn(&mut command(user, endpoint, store))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    /// Started with these arguments besides, and read until it takes jobs. Answers what it said.
    pub(crate) fn ready(command: &mut Command) -> (Self, Vec<String>) {
        let mut child = command.spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let last = line.starts_with("takes scans");
            lines.push(line);
            if last {
                break;
            }
        }
        (Self(Some(child)), lines)
    }

    /// Fails the test where it has ended by itself.
    pub(crate) fn still_runs(&mut self) {
        let ended = self.0.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{}", super::text(&self.ended()));
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn terminate(mut self) -> Output {
        let pid = self.0.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        self.ended()
    }

    fn ended(&mut self) -> Output {
        wait(self.0.take().unwrap())
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// The program in the server's surroundings.
pub(crate) fn command(user: &User, endpoint: &str, store: &str) -> Command {
    let like = user.trueno_at(endpoint, &[]);
    let mut command = Command::new(program());
    command.env_clear().current_dir(user.home.path());
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .env("TRUENO_STORE", store)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Cargo builds the binaries of a test's own package only: another package's has to be there.
/// `cargo test --workspace` makes it anew. What `cargo build` made last has a list of its sources beside
/// it (`PROGRAM: SOURCE SOURCE …`, blanks escaped), and none of them may be newer.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_trueno")).with_file_name("trueno-processor");
    let build = "run: cargo build -p trueno-processor";
    let made = modified(&program).unwrap_or_else(|| panic!("trueno-processor is missing; {build}"));
    let list = program.with_extension("d");
    // Cargo writes the list after the program: an older one is of another program.
    if modified(&list).is_none_or(|written| written < made) {
        return program;
    }
    let list = std::fs::read_to_string(list).unwrap();
    let (_, sources) = list.split_once(": ").unwrap();
    let sources = sources.replace("\\ ", "\0");
    for source in sources.split_whitespace() {
        let source = PathBuf::from(source.replace('\0', " "));
        assert!(
            modified(&source).is_some_and(|changed| changed <= made),
            "trueno-processor is older than {}; {build}",
            source.display()
        );
    }
    program
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
