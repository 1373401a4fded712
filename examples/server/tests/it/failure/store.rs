//! What is wrong with the store.

use std::net::TcpListener;

use trueno_core::vault::Key;

use crate::support::database::Database;
use crate::support::{User, run, text};

fn scan_on(user: &User, url: &str, words: &[&str]) {
    let output = run(&mut user.trueno(&["scan", "--demo", "--format", "json", "--store", url]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "nothing half-written: {said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

/// A user who has migrated some database, so that the key file is there.
fn user_with_keys() -> User {
    let (user, database) = (User::new(), Database::create());
    assert!(
        run(&mut user.trueno(&["migrate", "--store", &database.url()]))
            .status
            .success()
    );
    user
}

#[test]
fn a_database_that_is_not_migrated_says_what_to_run() {
    let (user, database) = (user_with_keys(), Database::create());
    scan_on(&user, &database.url(), &["trueno migrate"]);
    let made = database.query("select count(*) from pg_namespace where nspname = 'trueno'");
    assert_eq!(made, "0", "nothing was made on the way");
}

#[test]
fn a_database_that_cannot_be_reached_is_said_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("postgres://trueno:hunter2@{address}/trueno");
    let user = user_with_keys();
    scan_on(&user, &url, &["error:", "database"]);
    let output = run(&mut user.trueno(&["migrate", "--store", &url]));
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output).contains("hunter2"), "{}", text(&output));
}

#[test]
fn a_store_that_another_key_file_was_migrated_with_is_refused() {
    let (owner, stranger, database) = (User::new(), user_with_keys(), Database::create());
    assert!(
        run(&mut owner.trueno(&["migrate", "--store", &database.url()]))
            .status
            .success()
    );
    scan_on(&stranger, &database.url(), &["key"]);
}

#[test]
fn logins_for_roles_that_would_not_bind_are_refused() {
    let (user, database) = (User::new(), Database::create());
    let url = database.url();
    assert!(
        run(&mut user.trueno(&["migrate", "--store", &url]))
            .status
            .success()
    );
    for (store, words) in [
        (url.as_str(), ["superuser", "row-level security"]),
        ("memory", ["--processor-store", "postgres://"]),
    ] {
        let scan = ["scan", "--demo", "--store", store];
        let roles = ["--processor-store", &url, "--sequencer-store", &url];
        let output = run(&mut user.trueno(&[scan, roles].concat()));
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
    }
}

#[test]
fn migrating_again_changes_nothing_and_says_so() {
    let (user, database) = (User::new(), Database::create());
    let migrate = ["migrate", "--store", &database.url()];
    let first = run(&mut user.trueno(&migrate));
    assert!(text(&first).contains("applied"), "{}", text(&first));
    let again = run(&mut user.trueno(&migrate));
    assert!(
        again.status.success() && !text(&again).contains("applied"),
        "{}",
        text(&again)
    );
}

/// A key is added, then taken out of the file again: only the command that says so retires it.
#[test]
fn a_key_is_retired_by_the_command_for_it_alone() {
    let (user, database) = (User::new(), Database::create());
    let url = database.url();
    let migrate = ["migrate", "--store", &url];
    let retire = ["migrate", "--store", &url, "--retire-keys"];
    let missing = run(&mut user.trueno(&retire));
    assert_eq!(missing.status.code(), Some(1), "no key file is made for it");
    assert!(!user.key_file().exists());

    assert!(run(&mut user.trueno(&migrate)).status.success());
    let first = std::fs::read_to_string(user.key_file()).unwrap();
    let second = Key::new("second", [7; 32]).unwrap().to_line().to_string();
    std::fs::write(user.key_file(), format!("{first}{second}")).unwrap();
    assert!(run(&mut user.trueno(&migrate)).status.success());
    let known = "select count(*) from trueno.context_key where key_id <> '_server'";
    assert_eq!(database.query(known), "2");

    std::fs::write(user.key_file(), second).unwrap();
    assert!(run(&mut user.trueno(&migrate)).status.success());
    assert_eq!(database.query(known), "2", "no migration retires a key");
    let retired = run(&mut user.trueno(&retire));
    assert!(
        text(&retired).contains("retired the key"),
        "{}",
        text(&retired)
    );
    assert_eq!(database.query(known), "1");
    let again = run(&mut user.trueno(&retire));
    assert!(
        text(&again).contains("no key to retire"),
        "{}",
        text(&again)
    );
}
