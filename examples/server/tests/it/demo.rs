//! The recorded account: on both stores it gives exactly what its seeder meant to plant.

use serde_json::Value;

use crate::support::database::Database;
use crate::support::{User, assert_is_truth, json, run, text, truth};

#[test]
fn on_the_memory_store_it_equals_the_truth() {
    let user = User::new();
    let result = json(&run(
        &mut user.trueno(&["scan", "--demo", "--format", "json"])
    ));
    assert_is_truth(&result);
    assert_eq!(result["scan"]["status"], "succeeded");
    assert!(!user.key_file().exists(), "the demo leaves no key behind");
}

#[test]
fn on_postgres_it_equals_the_truth_and_the_second_scan_does_too() {
    let (user, database) = (User::new(), Database::create());
    let url = database.url();
    let migrated = run(&mut user.trueno(&["migrate", "--store", &url]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    let scan = ["scan", "--demo", "--format", "json", "--store", &url];
    let first = json(&run(&mut user.trueno(&scan)));
    assert_is_truth(&first);
    let second = json(&run(&mut user.trueno(&scan)));
    assert_is_truth(&second);
    assert_ne!(first["scan"]["id"], second["scan"]["id"]);
    let memory = json(&run(
        &mut user.trueno(&["scan", "--demo", "--format", "json"])
    ));
    for part in ["findings", "coverage", "totals"] {
        assert_eq!(
            first[part], memory[part],
            "{part} is the same on both stores"
        );
    }
    let statuses = database.query("select distinct status from trueno.finding");
    assert_eq!(statuses, "open", "what two scans found is no longer new");
}

#[test]
fn coverage_counts_what_was_seeded() {
    let user = User::new();
    let result = json(&run(
        &mut user.trueno(&["scan", "--demo", "--format", "json"])
    ));
    let rows = result["coverage"].as_array().unwrap();
    let row = |region: &str| -> &Value {
        rows.iter()
            .find(|row| row["region"] == region)
            .unwrap_or_else(|| panic!("no {region}"))
    };
    let truth = truth();
    for meant in truth["coverage"].as_array().unwrap() {
        let found = row(meant["region"].as_str().unwrap());
        assert_eq!(found["service"], meant["service"]);
        assert_eq!(found["status"], "complete");
        assert_eq!(found["resources"], meant["resources"]);
        assert!(found["requests"].as_u64() >= found["pages"].as_u64());
        for kind in found["kinds"].as_array().unwrap() {
            let name = kind["kind"].as_str().unwrap();
            assert_eq!(
                kind["resources"], meant["resources_by_kind"][name],
                "{name}"
            );
        }
    }
    for off in truth["regions_not_opted_in"].as_array().unwrap() {
        assert_eq!(row(off.as_str().unwrap())["status"], "not_enabled");
    }
}

#[test]
fn a_threshold_and_a_moment_can_be_overridden() {
    let user = User::new();
    let count = |extra: &[&str], check: &str| {
        let mut arguments = vec!["scan", "--demo", "--format", "json"];
        arguments.extend(extra);
        let result = json(&run(&mut user.trueno(&arguments)));
        let findings = result["findings"].as_array().unwrap();
        findings
            .iter()
            .filter(|finding| finding["check"] == check)
            .count()
    };
    let old = "ec2.snapshot.old";
    let usual = count(&[], old);
    assert!(count(&["--set", "ec2.snapshot.old.min_age_days=30"], old) > usual);
    assert!(count(&["--as-of", "2027-11-15"], old) > usual);
    assert_eq!(count(&["--as-of", "2020-01-01"], old), 0);
}

#[test]
fn the_table_shows_amounts_and_what_is_not_counted() {
    let user = User::new();
    let output = run(&mut user.trueno(&["scan", "--demo"]));
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("126 findings, USD 5967.09 a month"), "{said}");
    assert!(
        said.contains("43 of them have no known price and are not counted"),
        "{said}"
    );
}
