//! `trueno queue` on a real store.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::database::Database;
use crate::support::processor::Processor;
use crate::support::{HANG, User, run, text};

/// A user with a store that has run one scan.
struct World {
    user: User,
    database: Database,
}

impl World {
    fn new() -> Self {
        let world = Self {
            user: User::new(),
            database: Database::create(),
        };
        let url = world.database.url();
        for command in [
            &["migrate", "--store", &url][..],
            &["scan", "--demo", "--format", "json", "--store", &url],
        ] {
            let output = run(&mut world.user.trueno(command));
            assert!(output.status.success(), "{}", text(&output));
        }
        world
    }

    fn queue(&self, arguments: &[&str]) -> (bool, String) {
        let url = self.database.url();
        let mut all = vec!["queue", "--store", &url];
        all.extend_from_slice(arguments);
        let output = run(&mut self.user.trueno(&all));
        let succeeded = output.status.success();
        let said = if succeeded {
            output.stdout
        } else {
            output.stderr
        };
        (succeeded, String::from_utf8(said).unwrap())
    }

    fn said(&self, arguments: &[&str]) -> String {
        let (succeeded, said) = self.queue(arguments);
        assert!(succeeded, "{arguments:?}: {said}");
        said
    }

    fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = vec!["list", "--format", "json"];
        all.extend_from_slice(arguments);
        let lines = self.said(&all);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object a line"))
            .collect()
    }

    /// A job of the organization that gave up, or that waits for a worker that is not there.
    fn job(&self, dead: bool) -> String {
        self.job_of("report.send", 1, dead)
    }

    fn job_of(&self, kind: &str, version: u32, dead: bool) -> String {
        let (table, columns, values) = if dead {
            let errors = r#"'[{"at": "2026-11-15T08:00:00Z", "error": "it broke"}]'"#;
            (
                "job_history",
                ", failed_attempts, lost_leases, cancel_requested, errors",
                format!(", 2, 0, false, {errors}"),
            )
        } else {
            ("job", "", String::new())
        };
        let status = if dead { "dead" } else { "queued" };
        self.database.query(&format!(
            "insert into trueno.{table} (
                organization_id, id, kind, payload_version, payload, priority, run_at, max_attempts,
                status, created_at{columns}
             )
             select organization_id, gen_random_uuid(), '{kind}', {version}, '{{}}', 0, now(), 2,
                '{status}', now(){values} from trueno.organization
             returning id"
        ))
    }
}

#[test]
fn jobs_are_counted_listed_and_shown() {
    let world = World::new();
    let stats = "waiting  0\nrunning  0\nhorizon  nothing holds vacuum back\n";
    assert_eq!(world.said(&["stats"]), stats);
    let all = world.listed(&[]);
    assert_eq!(all.len(), 1, "the scan's: {all:?}");
    let id = all[0]["id"].as_str().unwrap();
    let shown = world.said(&["show", id]);
    assert!(shown.contains("status       succeeded"), "{shown}");
    let why = world.said(&["why", id]);
    assert!(why.contains("it does not wait: it is succeeded"), "{why}");

    let waiting = world.job(false);
    let mut stats: Value =
        serde_json::from_str(&world.said(&["stats", "--format", "json"])).unwrap();
    assert_eq!(stats["horizon"].take(), Value::Null);
    let counts = serde_json::json!({"waiting": 1, "running": 0, "horizon": null});
    assert_eq!(stats, counts);
    let queued = world.listed(&["--status", "queued"]);
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0]["id"], waiting.as_str());
    assert_eq!(world.listed(&["--kind", "report.send"]), queued);
    let why = world.said(&["why", &waiting]);
    assert!(why.contains("no worker"), "{why}");
    let cancelled = world.said(&["cancel", &waiting]);
    assert!(
        cancelled.contains("cancelled before it began"),
        "{cancelled}"
    );
    let again = world.said(&["cancel", &waiting]);
    assert!(again.contains("it had ended: cancelled"), "{again}");
    let events = "select count(*) from trueno.audit_staged where action = 'job.cancelled'";
    assert_eq!(world.database.query(events), "1", "one for what was done");
}

#[test]
fn dead_letters_begin_anew_or_are_discarded() {
    let world = World::new();
    let (one, two) = (world.job(true), world.job(true));
    assert_eq!(world.listed(&["--status", "dead"]).len(), 2);
    let shown = world.said(&["show", &one]);
    assert!(shown.contains("it broke"), "{shown}");
    let retried = world.said(&["retry", &one]);
    assert!(retried.contains("status       queued"), "{retried}");
    let discarded = world.said(&["discard", &two]);
    assert!(discarded.contains("status       cancelled"), "{discarded}");
    assert_eq!(world.said(&["list", "--status", "dead"]), "no such jobs\n");
    let events = "select string_agg(action, ' ' order by action) from trueno.audit_staged
        where action like 'job.%d%n' or action = 'job.discarded'";
    assert_eq!(world.database.query(events), "job.discarded job.redriven");

    let (succeeded, said) = world.queue(&["retry", &two]);
    assert!(!succeeded, "{said}");
    assert!(said.contains("not allowed from cancelled"), "{said}");
    let nobody = "01890000-0000-7000-8000-000000000000";
    let (succeeded, said) = world.queue(&["show", nobody]);
    assert!(!succeeded && said.contains("job not found"), "{said}");
}

/// The job was enqueued by a program that is newer than its worker.
#[test]
#[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
fn a_payload_that_does_not_parse_is_dead_and_says_why() {
    let world = World::new();
    let job = world.job_of("scan", 99, false);
    let url = world.database.url();
    let mut processor = Processor::start(&world.user, "http://127.0.0.1:1", &url);
    let begun = Instant::now();
    while world.listed(&["--status", "dead"]).is_empty() {
        processor.still_runs();
        assert!(begun.elapsed() < HANG, "the job does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    let shown = world.said(&["show", &job]);
    for wanted in [
        "status       dead",
        "1 of 2 failed",
        "job payload: is of version 99, and this worker reads version 1",
    ] {
        assert!(shown.contains(wanted), "no {wanted:?} in {shown}");
    }
    let ended = processor.terminate();
    assert!(ended.status.success(), "{}", text(&ended));
    let retried = world.said(&["retry", &job]);
    assert!(retried.contains("status       queued"), "{retried}");
}

#[test]
fn a_queue_that_cannot_be_looked_into_is_refused() {
    let user = User::new();
    let output = run(&mut user.trueno(&["queue", "stats"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("--store postgres://"),
        "{}",
        text(&output)
    );
    let output = run(&mut user.trueno(&["queue", "show", "not-an-id"]));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}
