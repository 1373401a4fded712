//! What the provider does wrong, shown by a proxy in front of a live moto.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::proxy::{Answer, Asked, Proxy};
use crate::support::seeded::seeded;
use crate::support::{User, json, run, text, truth};

/// A scan of the seeded account through a proxy with this rule.
fn scan_through(rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Value {
    let (user, account) = (User::new(), seeded());
    let proxy = Proxy::start(&account.endpoint, rule);
    let scan = [
        "scan",
        "--ambient",
        "--format",
        "json",
        "--as-of",
        &account.as_of,
    ];
    let result = json(&run(&mut user.trueno_at(&proxy.endpoint, &scan)));
    assert!(proxy.requests() > 0, "the proxy was asked");
    result
}

fn row<'a>(result: &'a Value, region: &str) -> &'a Value {
    let rows = result["coverage"].as_array().unwrap();
    rows.iter()
        .find(|row| row["region"] == region)
        .unwrap_or_else(|| panic!("no row of {region}"))
}

/// Keys of findings in a result or truth for which `keep` holds.
fn keys(result: &Value, keep: impl Fn(&Value) -> bool) -> Vec<String> {
    let findings = result["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| keep(finding));
    let mut keys: Vec<String> = findings
        .map(|finding| finding["key"].as_str().unwrap().to_owned())
        .collect();
    keys.sort();
    keys
}

#[test]
fn one_region_denied_leaves_a_partial_result_of_the_others() {
    let result = scan_through(|asked| {
        if asked.region == "eu-west-1" && asked.action != "DescribeRegions" {
            Answer::Error(403, "UnauthorizedOperation")
        } else {
            Answer::Forward
        }
    });
    assert_eq!(result["scan"]["status"], "partial");
    assert_eq!(row(&result, "eu-west-1")["status"], "denied");
    assert_eq!(
        row(&result, "eu-west-1")["error_code"],
        "UnauthorizedOperation"
    );
    assert_eq!(row(&result, "us-east-1")["status"], "complete");
    let elsewhere = |f: &Value| f["resource"]["region"] != "eu-west-1";
    assert_eq!(keys(&result, |_| true), keys(&truth(), elsewhere));
}

/// Without the volumes nobody can say that a snapshot's volume is gone, nor what gp2 costs.
#[test]
fn one_kind_denied_makes_what_depends_on_it_undetermined_not_clean_and_not_found() {
    let result = scan_through(|asked| {
        if asked.action == "DescribeVolumes" {
            Answer::Error(403, "UnauthorizedOperation")
        } else {
            Answer::Forward
        }
    });
    assert_eq!(result["scan"]["status"], "partial");
    for region in ["us-east-1", "eu-west-1", "sa-east-1"] {
        assert_eq!(row(&result, region)["status"], "denied");
        let kinds = row(&result, region)["kinds"].as_array().unwrap();
        let denied: Vec<&Value> = kinds
            .iter()
            .filter(|kind| kind["status"] == "denied")
            .collect();
        assert_eq!(denied.len(), 1);
        assert_eq!(denied[0]["kind"], "ec2.volume");
    }
    let unaffected = |f: &Value| {
        let check = f["check"].as_str().unwrap();
        !check.starts_with("ec2.volume.") && check != "ec2.snapshot.orphaned"
    };
    assert_eq!(keys(&result, |_| true), keys(&truth(), unaffected));
}

#[test]
fn throttling_is_tried_again_within_a_budget_and_then_reported() {
    let result = scan_through(|asked| {
        if asked.action == "DescribeSnapshots" && asked.region == "sa-east-1" {
            Answer::Error(503, "RequestLimitExceeded")
        } else {
            Answer::Forward
        }
    });
    assert_eq!(result["scan"]["status"], "partial");
    let row = row(&result, "sa-east-1");
    assert_eq!(row["status"], "throttled");
    assert_eq!(row["error_code"], "RequestLimitExceeded");
    let kinds = row["kinds"].as_array().unwrap();
    let throttled = kinds
        .iter()
        .find(|kind| kind["kind"] == "ec2.snapshot")
        .unwrap();
    assert!(
        throttled["requests"].as_u64().unwrap() > 1,
        "it was tried again: {throttled}"
    );
}

#[test]
fn a_page_that_cannot_be_parsed_is_never_taken_for_a_short_one() {
    let result = scan_through(|asked| {
        if asked.action == "DescribeVolumes" && asked.region == "us-east-1" {
            Answer::Torn
        } else {
            Answer::Forward
        }
    });
    assert_eq!(result["scan"]["status"], "partial");
    assert_eq!(row(&result, "us-east-1")["status"], "undetermined");
    assert_eq!(row(&result, "eu-west-1")["status"], "complete");
    let of_volumes = |f: &Value| {
        f["check"].as_str().unwrap().starts_with("ec2.volume.")
            && f["resource"]["region"] == "us-east-1"
    };
    assert_eq!(keys(&result, of_volumes), Vec::<String>::new());
}

#[test]
fn a_region_that_hangs_is_bounded_and_reported_as_unreachable() {
    let result = scan_through(|asked| {
        if asked.region == "sa-east-1" {
            Answer::Hang
        } else {
            Answer::Forward
        }
    });
    assert_eq!(result["scan"]["status"], "partial");
    assert_eq!(row(&result, "sa-east-1")["status"], "unreachable");
    assert_eq!(row(&result, "us-east-1")["status"], "complete");
}

/// A command that has to fail, and these words.
fn fails(user: &User, endpoint: &str, extra: &[&str], words: &[&str]) {
    let mut scan = vec!["scan", "--ambient", "--format", "json"];
    scan.extend(extra);
    let output = run(&mut user.trueno_at(endpoint, &scan));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "nothing half-written: {said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn an_endpoint_that_is_down_is_said() {
    // A port that was free a moment ago, and that nobody listens on.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    fails(&User::new(), &endpoint, &[], &["error:", "reach"]);
}

#[test]
fn expired_and_missing_credentials_are_said() {
    let expired = Proxy::start(&seeded().endpoint, |_| Answer::Error(400, "RequestExpired"));
    fails(&User::new(), &expired.endpoint, &[], &["error:", "expired"]);

    let output = run(&mut User::new().trueno(&["scan", "--ambient", "--region", "us-east-1"]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("credentials"), "{said}");
}

#[test]
fn a_role_that_does_not_let_us_in_is_said_without_the_external_id() {
    let (user, account) = (User::new(), seeded());
    let denying = Proxy::start(&account.endpoint, |asked| {
        if asked.action == "AssumeRole" {
            Answer::Error(403, "AccessDenied")
        } else {
            Answer::Forward
        }
    });
    let external_id = user.connect(&account.role_arn)["external_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let scan = ["scan", "--ambient", "--role-arn", &account.role_arn];
    let output = run(&mut user.trueno_at(&denying.endpoint, &scan));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lets nobody in"), "{said}");
    assert!(!said.contains(&external_id), "{said}");
}
