//! `trueno serve` where it cannot start: nothing is said on stdout, so no token and no link, and
//! nothing is left behind. What it does when the store goes away later is in `processes`.

use std::net::TcpListener;

use crate::support::database::Database;
use crate::support::{User, run, text};

fn refused(user: &User, options: &[&str], words: &[&str]) {
    let mut arguments = vec!["serve"];
    if !options.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    arguments.extend(options);
    let output = run(&mut user.trueno(&arguments));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{options:?}: {said}");
    assert!(output.stdout.is_empty(), "{options:?}: {said}");
    assert!(!said.contains("hunter2"), "{said}");
    for word in words {
        assert!(said.contains(word), "{options:?}: no {word:?} in {said}");
    }
}

/// A user whose database is migrated.
fn prepared() -> (User, Database) {
    let (user, database) = (User::new(), Database::create());
    let migrated = run(&mut user.trueno(&["migrate", "--store", &database.url()]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    (user, database)
}

fn organizations(database: &Database) -> String {
    database.query("select count(*) from trueno.organization")
}

#[test]
fn a_port_that_is_taken_is_said_and_nothing_is_written() {
    let (taken, (user, database)) = (TcpListener::bind("127.0.0.1:0").unwrap(), prepared());
    let (address, url) = (taken.local_addr().unwrap().to_string(), database.url());
    let words = [address.as_str(), "--listen"];
    refused(&user, &["--demo", "--listen", &address], &words);
    refused(&user, &["--store", &url, "--listen", &address], &words);
    assert_eq!(organizations(&database), "0");
}

#[test]
fn only_loopback_addresses_are_served() {
    let everywhere = ["--demo", "--listen", "0.0.0.0:0"];
    refused(&User::new(), &everywhere, &["not a loopback address"]);
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let user = User::new();
    refused(&user, &[], &["--demo", "--store postgres://"]);
    let url = "postgres://trueno:hunter2@127.0.0.1:1/trueno";
    for given in [
        ["--as-of", "2026-11-15"],
        ["--set", "ec2.snapshot.old.min_age_days=1"],
        ["--prices", "prices.json"],
    ] {
        let options = ["--store", url, given[0], given[1]];
        refused(&user, &options, &[given[0], "--demo"]);
    }
}

#[test]
fn a_missing_key_file_is_said_and_none_is_made() {
    let (_, database) = prepared();
    let (stranger, url) = (User::new(), database.url());
    refused(
        &stranger,
        &["--store", &url],
        &["key file", "not there", "trueno migrate"],
    );
    assert!(!stranger.key_file().exists());
    assert_eq!(organizations(&database), "0");
}

#[test]
fn a_key_file_that_the_store_does_not_know_is_refused() {
    let (_, database) = prepared();
    let ((stranger, _), url) = (prepared(), database.url());
    refused(&stranger, &["--store", &url], &["key"]);
    assert_eq!(organizations(&database), "0");
}

#[test]
fn a_database_that_is_not_migrated_says_what_to_run() {
    let ((user, _), bare) = (prepared(), Database::create());
    refused(&user, &["--store", &bare.url()], &["trueno migrate"]);
}

#[test]
fn a_database_that_is_down_is_said_without_its_password() {
    let (user, _) = prepared();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("postgres://trueno:hunter2@{address}/trueno");
    refused(&user, &["--store", &url], &["error: ", "database"]);
}
