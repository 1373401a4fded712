//! Every method of every port that keeps tenants' data has its isolation case (P1), or says why it
//! needs none: read from the traits' own source, so that a new method without a case fails here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use trueno_testkit::suite::Isolation;
use trueno_testkit::{audit_sink, job_queue, secret_vault, tenant_store};

/// The methods of the traits in a file of core's ports, as `Trait::method`.
fn methods_of(file: &str) -> BTreeSet<String> {
    let ports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trueno-core/src/port");
    let source =
        fs::read_to_string(ports.join(file)).expect("core's ports lie next to the testkit");
    let mut methods = BTreeSet::new();
    let mut inside: Option<String> = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("pub trait ") {
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            inside = (!rest.contains("{}")).then(|| name.to_owned());
        } else if line == "}" {
            inside = None;
        } else if let (Some(of), Some(method)) = (&inside, method_name(line)) {
            methods.insert(format!("{of}::{method}"));
        }
    }
    methods
}

fn method_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("    ")?;
    let rest = line
        .strip_prefix("async fn ")
        .or_else(|| line.strip_prefix("fn "))?;
    rest.split('(').next()
}

#[track_caller]
fn covers(files: &[&str], isolation: &[(&str, Isolation)], cases: &[&str]) {
    let methods: BTreeSet<String> = files.iter().flat_map(|file| methods_of(file)).collect();
    assert!(methods.len() >= 5, "the source was read: {methods:?}");
    let listed: BTreeSet<String> = isolation
        .iter()
        .map(|(method, _)| (*method).to_owned())
        .collect();
    assert_eq!(
        listed, methods,
        "P1: each method once, with its isolation case"
    );
    for (method, isolation) in isolation {
        match isolation {
            Isolation::Case(case) => {
                assert!(cases.contains(case), "{method}: no case {case}");
                // The proof of isolation runs them by this name.
                assert!(case.starts_with("isolation_"), "{method}: {case}");
            }
            Isolation::None(reason) => assert!(reason.len() > 10, "{method}: why not?"),
        }
    }
}

/// The files of the ports whose methods are covered below, and the one that needs no cases: a scanner
/// keeps nothing, and is told whose account to read each time.
const COVERED: [&str; 5] = [
    "audit_sink.rs",
    "cloud_scanner.rs",
    "job_queue.rs",
    "secret_vault.rs",
    "tenant_store",
];

#[test]
fn every_port() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trueno-core/src/port");
    let mut ports = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("core's ports lie next to the testkit") {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_port = entry.path().is_dir()
            || fs::read_to_string(entry.path())
                .unwrap()
                .lines()
                .any(|line| line.starts_with("pub trait "));
        if is_port {
            ports.insert(name);
        }
    }
    assert_eq!(ports, BTreeSet::from(COVERED.map(str::to_owned)));
}

#[test]
fn every_method_of_the_queue() {
    covers(&["job_queue.rs"], job_queue::ISOLATION, job_queue::CASES);
}

#[test]
fn every_method_of_the_store_and_of_what_it_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trueno-core/src/port/tenant_store");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the store's traits are there") {
        files.push(format!(
            "tenant_store/{}",
            entry.unwrap().file_name().to_str().unwrap()
        ));
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    covers(&files, tenant_store::ISOLATION, tenant_store::CASES);
}

#[test]
fn every_method_of_the_vault() {
    covers(
        &["secret_vault.rs"],
        secret_vault::ISOLATION,
        secret_vault::CASES,
    );
}

#[test]
fn every_method_of_the_sink() {
    covers(&["audit_sink.rs"], audit_sink::ISOLATION, audit_sink::CASES);
}
