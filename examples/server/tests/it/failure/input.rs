//! What a user gets wrong.

use std::os::unix::fs::PermissionsExt;

use crate::support::{User, run, text};

/// Runs a command that has to fail with this status, and these words on stderr.
fn refused(user: &User, arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(&mut user.trueno(arguments));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{arguments:?} does not say {word:?}: {said}"
        );
    }
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let user = User::new();
    refused(
        &user,
        &["scan", "--demo", "--nonsense"],
        2,
        &["--nonsense", "Usage"],
    );
    refused(&user, &["scan"], 2, &["--demo", "--ambient"]);
    refused(
        &user,
        &["scan", "--demo", "--format", "xml"],
        2,
        &["xml", "json", "table"],
    );
    refused(
        &user,
        &["scan", "--demo", "--as-of", "soon"],
        2,
        &["soon", "2026-11-15"],
    );
    refused(
        &user,
        &["scan", "--demo", "--store", "mysql://x"],
        2,
        &["postgres://"],
    );
    refused(
        &user,
        &["scan", "--ambient", "--region", "EU WEST"],
        2,
        &["region", "eu-west-1"],
    );
}

#[test]
fn malformed_role_arns_are_refused_with_the_expected_form() {
    let user = User::new();
    for arn in [
        "TruenoReadOnly",
        "arn:aws:iam::12:role/x",
        "arn:aws:iam::123456789012:user/x",
    ] {
        refused(
            &user,
            &["connect", "--role-arn", arn],
            2,
            &["arn:aws:iam::ACCOUNT:role/NAME"],
        );
        refused(
            &user,
            &["scan", "--ambient", "--role-arn", arn],
            2,
            &["role ARN"],
        );
    }
    assert!(!user.key_file().exists(), "nothing was made");
}

#[test]
fn wrong_overrides_name_what_there_is() {
    let user = User::new();
    let set = |value: &str, words: &[&str]| {
        refused(&user, &["scan", "--demo", "--set", value], 1, words);
    };
    set("ec2.snapshot.old", &["CHECK.PARAMETER=VALUE"]);
    set(
        "ec2.nothing.min_age_days=3",
        &["no check", "ec2.snapshot.old"],
    );
    set(
        "ec2.snapshot.old.age=3",
        &["no such parameter", "min_age_days"],
    );
    set("ec2.snapshot.old.min_age_days=-1", &["whole number"]);
}

#[test]
fn a_key_file_that_others_may_read_or_that_is_corrupt_is_refused() {
    let user = User::new();
    let role = "arn:aws:iam::123456789012:role/TruenoReadOnly";
    user.connect(role);
    let path = user.key_file();
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    mode(0o640);
    refused(
        &user,
        &["connect", "--role-arn", role],
        1,
        &["640", "chmod 600"],
    );
    mode(0o600);
    std::fs::write(&path, "trueno-key-v1 a c2VjcmV0\n").unwrap();
    refused(
        &user,
        &["connect", "--role-arn", role],
        1,
        &["line 1", "32 bytes"],
    );
    let scan = ["scan", "--ambient", "--role-arn", role];
    refused(&user, &scan, 1, &["line 1", "32 bytes"]);
}

#[test]
fn a_scan_through_a_role_needs_the_key_file_that_connect_made() {
    let user = User::new();
    let role = "arn:aws:iam::123456789012:role/TruenoReadOnly";
    refused(
        &user,
        &["scan", "--ambient", "--role-arn", role],
        1,
        &["not there", "trueno connect"],
    );
    assert!(!user.key_file().exists(), "a scan makes no key");
}

#[test]
fn a_corrupt_price_table_is_refused_at_start() {
    let user = User::new();
    let path = user.home.path().join("prices.json");
    let path = path.to_str().unwrap();
    refused(
        &user,
        &["scan", "--demo", "--prices", path],
        1,
        &["price table", "prices.json"],
    );
    for text in ["", "{", "[]", r#"{"entries": [{"sku": "x"}]}"#] {
        std::fs::write(path, text).unwrap();
        refused(
            &user,
            &["scan", "--demo", "--prices", path],
            1,
            &["price table", "prices.json"],
        );
    }
}
