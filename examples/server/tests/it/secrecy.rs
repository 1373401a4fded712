//! Nothing secret is logged or stored (P5).

use crate::support::database::Database;
use crate::support::proxy::{Answer, Proxy};
use crate::support::seeded::seeded;
use crate::support::{SECRET_KEY, User, json, run, text};

/// A scan with everything logged at trace, through an assumed role, into Postgres: afterwards
/// neither the log nor any table holds a credential, the external id or a byte of a key.
#[test]
fn a_scan_leaves_no_secret_in_logs_or_in_the_store() {
    let (user, database, account) = (User::new(), Database::create(), seeded());
    let url = database.url();
    assert!(
        run(&mut user.trueno(&["migrate", "--store", &url]))
            .status
            .success()
    );
    let external_id = user.connect(&account.role_arn)["external_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let key_file = std::fs::read_to_string(user.key_file()).unwrap();
    let key = key_file.split_whitespace().nth(2).unwrap().to_owned();

    let proxy = Proxy::start(&account.endpoint, |_| Answer::Forward);
    let scan = [
        "scan",
        "--ambient",
        "--format",
        "json",
        "--as-of",
        &account.as_of,
        "--store",
        &url,
        "--role-arn",
        &account.role_arn,
    ];
    let output = run(user
        .trueno_at(&proxy.endpoint, &scan)
        .env("TRUENO_LOG", "trace"));
    json(&output);
    let sessions = proxy.sessions();
    assert!(
        sessions
            .iter()
            .any(|session| session.asked.body.contains(&external_id)),
        "the external id did go to AWS"
    );

    let said = text(&output);
    assert!(said.contains(" trueno_"), "Trueno's own log is on: {said}");
    let tables = database.query(
        "select string_agg(format('select t::text from trueno.%I t', relname), ' union all ')
         from pg_class where relnamespace = 'trueno'::regnamespace and relkind = 'r'",
    );
    let stored = database.query(&tables);
    assert!(
        stored.contains(&account.role_arn),
        "the dump holds the connection"
    );
    let mut secrets = vec![
        ("the secret access key".to_owned(), SECRET_KEY.to_owned()),
        ("the external id".to_owned(), external_id),
        ("the key file's key".to_owned(), key.clone()),
    ];
    for session in &sessions {
        for part in ["AccessKeyId", "SecretAccessKey", "SessionToken"] {
            let value = element(&session.answer, part);
            assert!(value.len() > 8, "moto answered a {part}: {value:?}");
            secrets.push((format!("a session's {part}"), value));
        }
    }
    assert!(secrets.len() > 3, "a session was opened");
    for (what, secret) in &secrets {
        assert!(!said.contains(secret), "{what} is in the log");
        assert!(!stored.contains(secret), "{what} is in the store");
    }
    let raw = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
    let hex = data_encoding::HEXLOWER.encode(&raw);
    assert!(
        !stored.contains(&hex) && !said.contains(&hex),
        "the key as hex"
    );
}

/// The text of an XML element.
fn element(xml: &str, name: &str) -> String {
    let after = xml.split(&format!("<{name}>")).nth(1).unwrap_or_default();
    after
        .split("</")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}
