//! `trueno-processor` where it cannot start: a clear message, a non-zero exit. What it does once it
//! has started is tested beside `trueno serve`, in examples/server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use trueno_core::vault::Key;

const URL: &str = "postgres://trueno:hunter2@127.0.0.1:1/trueno";

/// The binary, and no settings but those in `home`.
fn processor(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueno-processor"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(home);
    command
}

/// A run that has to fail with this status and these words, on stderr alone.
fn refused(command: &mut Command, code: i32, words: &[&str]) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "it says nothing of a start");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    output
}

fn with_key_file() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/trueno");
    std::fs::create_dir_all(&folder).unwrap();
    let (path, key) = (folder.join("keys"), Key::new("one", [7; 32]).unwrap());
    std::fs::write(&path, key.to_line().as_bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    home
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let home = tempfile::tempdir().unwrap();
    refused(&mut processor(home.path(), &[]), 2, &["--store", "Usage"]);
    let none = ["--store", URL, "--concurrency", "0"];
    refused(&mut processor(home.path(), &none), 2, &["--concurrency"]);
    let two = ["--store", URL, "--processor-store", URL];
    let words = ["--sequencer-store"];
    refused(&mut processor(home.path(), &two), 2, &words);
    let pooled = ["--store", URL, "--pooled"];
    let words = ["--processor-store", "--sequencer-store"];
    refused(&mut processor(home.path(), &pooled), 2, &words);
    let help = processor(home.path(), &["--help"])
        .env("TRUENO_STORE", URL)
        .env("TRUENO_PROCESSOR_STORE", URL)
        .env("TRUENO_SEQUENCER_STORE", URL)
        .output()
        .unwrap();
    let said = String::from_utf8(help.stdout).unwrap();
    assert!(
        said.contains("TRUENO_STORE") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn a_missing_key_file_is_said_and_none_is_made() {
    let home = tempfile::tempdir().unwrap();
    let words = ["key file", "not there", "trueno migrate"];
    refused(&mut processor(home.path(), &["--store", URL]), 1, &words);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_is_no_database_is_said() {
    let home = with_key_file();
    for store in ["memory", "mysql://u:hunter2@h/d"] {
        let words = ["error: ", "postgres://USER:PASSWORD@HOST"];
        refused(&mut processor(home.path(), &["--store", store]), 1, &words);
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_said_without_its_password() {
    let home = with_key_file();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let store = format!("postgres://trueno:hunter2@{address}/trueno");
    refused(
        processor(home.path(), &[]).env("TRUENO_STORE", &store),
        1,
        &["error: ", "database"],
    );
}
