//! A live moto, over HTTP.

use crate::support::database::Database;
use crate::support::proxy::{Answer, Proxy};
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

/// The life of a finding over four scans: found, not looked for, looked for and gone, back again.
#[test]
fn only_a_complete_look_resolves_a_finding_and_finding_it_again_reopens_it() {
    let (user, database, account) = (User::new(), Database::create(), seeded());
    let url = database.url();
    let migrated = run(&mut user.trueno(&["migrate", "--store", &url]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    let scan = |endpoint: &str, extra: &[&str]| {
        let mut arguments = vec!["scan", "--ambient", "--format", "json", "--store", &url];
        arguments.extend(["--as-of", &account.as_of]);
        arguments.extend(extra);
        json(&run(&mut user.trueno_at(endpoint, &arguments)))
    };
    let statuses = || {
        database.query(
            "select string_agg(distinct status, ',' order by status) from trueno.finding
             where check_id = 'ec2.volume.unattached'",
        )
    };
    scan(&account.endpoint, &[]);
    assert_eq!(statuses(), "new");

    // Under this threshold nothing is found; and the volumes cannot be read.
    let gone = ["--set", "ec2.volume.unattached.min_age_days=3650"];
    let blind = Proxy::start(&account.endpoint, |asked| {
        if asked.action == "DescribeVolumes" {
            Answer::Error(403, "UnauthorizedOperation")
        } else {
            Answer::Forward
        }
    });
    let partial = scan(&blind.endpoint, &gone);
    assert_eq!(partial["scan"]["status"], "partial");
    assert_eq!(
        statuses(),
        "new",
        "P8: nobody looked, so nothing is resolved"
    );

    scan(&account.endpoint, &gone);
    assert_eq!(statuses(), "resolved");
    scan(&account.endpoint, &[]);
    assert_eq!(statuses(), "reopened");
}
