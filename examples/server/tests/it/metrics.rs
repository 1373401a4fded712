//! `GET /metrics` of both programs, as Prometheus reads it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::database::Database;
use crate::support::processor::{Processor, command};
use crate::support::server::{Server, exchange};
use crate::support::{HANG, User, run, text};

/// An exposition, taken apart: samples by their whole name, labels included.
struct Exposition {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Exposition {
    /// Fails the test for what Prometheus would not read, for what nobody described, and for labels
    /// that could tell of an organization.
    fn of(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let kind = "content-type: text/plain; version=0.0.4";
        assert!(head.to_ascii_lowercase().contains(kind), "{head}");
        let (mut samples, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for line in body.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, said) = help.split_once(' ').unwrap();
                assert!(!said.is_empty(), "{line}");
                helped.push(name.to_owned());
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, of) = of.split_once(' ').unwrap();
                assert!(
                    types.insert(name.to_owned(), of.to_owned()).is_none(),
                    "{line}"
                );
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let base = name.split('{').next().unwrap();
                let metric = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| base.strip_suffix(suffix))
                    .filter(|metric| types.contains_key(*metric))
                    .unwrap_or(base);
                assert!(types.contains_key(metric), "no type: {line}");
                assert!(helped.iter().any(|it| it == metric), "no help: {line}");
                check_labels(name);
                let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
                assert!(
                    samples.insert(name.to_owned(), value).is_none(),
                    "twice: {line}"
                );
            }
        }
        Self { samples, types }
    }

    fn value(&self, name: &str) -> f64 {
        let found = self.samples.get(name).copied();
        found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.samples))
    }

    /// The sum over all labels that begin with `labels`.
    fn sum(&self, prefix: &str) -> f64 {
        let found = self
            .samples
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        found.map(|(_, value)| value).sum()
    }
}

fn check_labels(name: &str) {
    let Some((_, labels)) = name.split_once('{') else {
        return;
    };
    for label in labels.trim_end_matches('}').split(',') {
        let (label, value) = label.split_once('=').unwrap();
        assert!(["kind", "outcome", "le"].contains(&label), "P1: {name}");
        // The command line's own kind names the one account that the process scans. Nothing else has
        // an id in it, which four dashes would be.
        let is_local = label == "kind" && value.starts_with("\"scan.local-");
        assert!(is_local || value.matches('-').count() < 4, "P1: {name}");
    }
}

#[test]
fn a_server_with_a_processor_in_it_tells_what_its_scan_did() {
    let user = User::new();
    let demo = ["serve", "--demo", "--listen", "127.0.0.1:0"];
    let mut server = Server::start(&mut user.trueno(&demo));
    let address = server.address.clone();
    let metrics = Exposition::of(&server.get("/metrics", &address, None));
    // By the kind of its own, and none by the kind of what is requested over the API.
    let ended: Vec<_> = metrics
        .samples
        .iter()
        .filter(|(name, value)| name.starts_with("trueno_jobs_ended_total{") && **value > 0.0)
        .collect();
    assert!(
        matches!(ended.as_slice(), [(name, 1.0)] if name.contains("\"succeeded\"")),
        "{ended:?}"
    );
    assert_eq!(metrics.sum("trueno_jobs_claimed_total{"), 1.0);
    assert_eq!(metrics.types["trueno_job_wait_seconds"], "histogram");
    assert_eq!(metrics.sum("trueno_job_wait_seconds_count{"), 1.0);
    assert_eq!(metrics.sum("trueno_job_duration_seconds_count{"), 1.0);
    assert_eq!(metrics.types["trueno_claims_total"], "counter");
    assert!(metrics.value("trueno_claims_total{outcome=\"jobs\"}") >= 1.0);
    assert_eq!(metrics.types["trueno_queue_waiting_jobs"], "gauge");
    assert_eq!(metrics.value("trueno_queue_waiting_jobs"), 0.0);
    assert_eq!(metrics.value("trueno_queue_running_jobs"), 0.0);
    let rebound = server.get("/metrics", "attacker.example", None);
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let ended = server.interrupt();
    assert!(ended.status.success(), "{}", text(&ended));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
fn a_processor_tells_how_it_does_and_how_much_waits() {
    let (user, database) = (User::new(), Database::create());
    let store = database.url();
    let migrated = run(&mut user.trueno(&["migrate", "--store", &store]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    // An organization with two jobs that nobody here takes.
    database.query(
        "insert into trueno.organization (organization_id, name) values (gen_random_uuid(), 'waits');
         insert into trueno.job (
            organization_id, id, kind, payload_version, payload, priority, run_at, max_attempts,
            status, created_at
         ) select organization_id, gen_random_uuid(), 'test.none', 1, '{}', 0, now(), 2, 'queued',
            now()
         from trueno.organization, generate_series(1, 2)",
    );
    let mut program = command(&user, "http://127.0.0.1:9", &store);
    program.args(["--listen", "127.0.0.1:0"]);
    let (processor, lines) = Processor::ready(&mut program);
    let said = lines
        .iter()
        .find_map(|line| line.strip_prefix("metrics: http://"));
    let address = said
        .unwrap_or_else(|| panic!("{lines:?}"))
        .trim_end_matches("/metrics");
    let get = |path: &str, host: &str| {
        exchange(
            address,
            &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n"),
            "",
        )
    };

    let begun = Instant::now();
    while !get("/readyz", address).starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < HANG, "it is never ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(get("/healthz", address).starts_with("HTTP/1.1 200"));
    let metrics = Exposition::of(&get("/metrics", address));
    assert_eq!(metrics.value("trueno_queue_waiting_jobs"), 2.0);
    assert_eq!(metrics.value("trueno_queue_running_jobs"), 0.0);
    assert!(metrics.value("trueno_claims_total{outcome=\"empty\"}") >= 1.0);
    assert_eq!(metrics.value("trueno_processor_places"), 4.0);
    assert_eq!(metrics.sum("trueno_jobs_claimed_total{"), 0.0);
    assert!(get("/metrics", "attacker.example").starts_with("HTTP/1.1 403"));
    assert!(
        get("/", address).starts_with("HTTP/1.1 404"),
        "and nothing else"
    );
    let ended = processor.terminate();
    assert!(ended.status.success(), "{}", text(&ended));
}
