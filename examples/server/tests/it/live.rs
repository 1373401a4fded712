//! A live moto, over HTTP.

use crate::support::seeded::seeded;
use crate::support::{User, assert_is_truth, json, run, text};

#[test]
fn ambient_credentials_find_exactly_what_was_seeded() {
    let (user, account) = (User::new(), seeded());
    let scan = [
        "scan",
        "--ambient",
        "--format",
        "json",
        "--as-of",
        &account.as_of,
    ];
    let result = json(&run(&mut user.trueno_at(&account.endpoint, &scan)));
    assert_is_truth(&result);
    assert_eq!(result["scan"]["status"], "succeeded");
}

#[test]
fn an_assumed_role_finds_exactly_what_was_seeded() {
    let (user, account) = (User::new(), seeded());
    let connection = user.connect(&account.role_arn);
    assert!(
        connection["external_id"]
            .as_str()
            .unwrap()
            .starts_with("tru1-")
    );
    let role = ["--role-arn", &account.role_arn];
    let mut scan = vec![
        "scan",
        "--ambient",
        "--format",
        "json",
        "--as-of",
        &account.as_of,
    ];
    scan.extend(role);
    let output = run(&mut user.trueno_at(&account.endpoint, &scan));
    assert_is_truth(&json(&output));
    // moto lets everybody in, whatever the external id: that is said.
    let said = text(&output);
    assert!(
        said.contains("assume without an external id is denied"),
        "{said}"
    );
}

#[test]
fn regions_that_are_named_are_the_only_ones_read() {
    let (user, account) = (User::new(), seeded());
    let scan = [
        "scan",
        "--ambient",
        "--format",
        "json",
        "--region",
        "eu-west-1",
        "--as-of",
        &account.as_of,
    ];
    let result = json(&run(&mut user.trueno_at(&account.endpoint, &scan)));
    let regions: Vec<&str> = result["coverage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["region"].as_str().unwrap())
        .collect();
    assert_eq!(regions, ["eu-west-1"]);
    let truth = crate::support::truth();
    let meant = truth["findings"].as_array().unwrap();
    let meant = meant
        .iter()
        .filter(|f| f["resource"]["region"] == "eu-west-1")
        .count();
    assert_eq!(result["findings"].as_array().unwrap().len(), meant);
}

#[test]
fn the_external_id_is_the_same_on_every_run_and_differs_by_role_and_key() {
    let (user, other) = (User::new(), User::new());
    let role = "arn:aws:iam::123456789012:role/TruenoReadOnly";
    let first = user.connect(role);
    assert_eq!(first, user.connect(role));
    let id = &first["external_id"];
    assert_ne!(
        id,
        &user.connect("arn:aws:iam::123456789012:role/Another")["external_id"]
    );
    assert_ne!(id, &other.connect(role)["external_id"], "another key file");
    let condition = &first["trust_policy"]["Statement"][0]["Condition"];
    assert_eq!(&condition["StringEquals"]["sts:ExternalId"], id);
}
