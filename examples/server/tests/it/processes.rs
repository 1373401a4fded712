//! `trueno serve` and `trueno-processor` as two processes on one database.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::gate::{Gate, Way};
use crate::support::processor::{Processor, command};
use crate::support::proxy::{Answer, Proxy};
use crate::support::seeded::{Seeded, seeded};
use crate::support::server::Server;
use crate::support::{HANG, User, comparable, run, text};

/// A user with a migrated store, a server on it, and an account that asks for its external id.
struct World {
    user: User,
    database: Database,
    /// What is between the programs and the store.
    gate: Gate,
    store: String,
    account: &'static Seeded,
    aws: Proxy,
    external_id: Arc<OnceLock<String>>,
    server: Server,
}

impl World {
    fn new() -> Self {
        let (user, database, account) = (User::new(), Database::create(), seeded());
        let migrated = run(&mut user.trueno(&["migrate", "--store", &database.url()]));
        assert!(migrated.status.success(), "{}", text(&migrated));
        let gate = Gate::start(&database.address());
        let store = database.url_at(&gate.address);
        let external_id = Arc::new(OnceLock::new());
        let aws = with_trust_policy(&account.endpoint, external_id.clone());
        let serve = ["serve", "--store", &store, "--listen", "127.0.0.1:0"];
        let server = Server::start(&mut user.trueno_at(&aws.endpoint, &serve));
        Self {
            user,
            database,
            gate,
            store,
            account,
            aws,
            external_id,
            server,
        }
    }

    fn processor(&self) -> Processor {
        Processor::start(&self.user, &self.aws.endpoint, &self.store)
    }

    /// Connects the account and verifies it. Answers the path of its scans.
    fn connect(&self) -> String {
        let new = json!({ "name": "Production", "role_arn": self.account.role_arn });
        let (status, connected) = self.server.api("POST", "/v1/accounts", Some(&new));
        assert_eq!(status, 201, "{connected}");
        let id = connected["account"]["id"].as_str().unwrap().to_owned();
        let verification = format!("/v1/accounts/{id}/verification");
        let (status, refused) = self.server.api("POST", &verification, None);
        assert_eq!(
            (status, &refused["account"]["status"]),
            (200, &json!("unverified"))
        );
        let scans = format!("/v1/accounts/{id}/scans");
        let (status, early) = self.server.api("POST", &scans, None);
        assert_eq!(
            status, 409,
            "an account that is not verified is not scanned: {early}"
        );

        // The account's owner puts the external id into the trust policy.
        let shown = connected["external_id"].as_str().unwrap().to_owned();
        self.external_id.set(shown).unwrap();
        let (status, verified) = self.server.api("POST", &verification, None);
        assert_eq!(
            (status, &verified["account"]["status"]),
            (200, &json!("active")),
            "{verified}"
        );
        scans
    }

    /// Requests a scan. Answers its own path.
    fn request(&self, scans: &str) -> String {
        let (status, requested) = self.server.api("POST", scans, None);
        assert_eq!(status, 202, "{requested}");
        format!("/v1/scans/{}", requested["scan"].as_str().unwrap())
    }

    /// Waits for the end of a scan, and answers its result.
    #[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
    fn result(&self, path: &str, processor: &mut Processor) -> Value {
        let begun = Instant::now();
        loop {
            let (status, result) = self.server.api("GET", path, None);
            assert_eq!(status, 200, "{result}");
            if !["queued", "running"].contains(&result["scan"]["status"].as_str().unwrap()) {
                return result;
            }
            processor.still_runs();
            assert!(begun.elapsed() < HANG, "the scan hangs: {}", result["scan"]);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// moto lets everybody assume every role. Here a role's trust policy asks for its external id, as
/// AWS has it.
fn with_trust_policy(upstream: &str, external_id: Arc<OnceLock<String>>) -> Proxy {
    Proxy::start(upstream, move |asked| {
        let wanted = external_id.get().map(|id| format!("ExternalId={id}"));
        let trusted = wanted.is_some_and(|wanted| asked.body.split('&').any(|p| p == wanted));
        if asked.action == "AssumeRole" && !trusted {
            Answer::Error(403, "AccessDenied")
        } else {
            Answer::Forward
        }
    })
}

#[test]
fn a_scan_is_requested_of_one_process_run_by_the_other_and_read_back() {
    let mut world = World::new();
    let scans = world.connect();
    let path = world.request(&scans);
    let (_, waiting) = world.server.api("GET", &path, None);
    assert_eq!(waiting["scan"]["status"], "queued", "nobody runs it yet");
    let (status, twice) = world.server.api("POST", &scans, None);
    assert_eq!((status, &twice["code"]), (409, &json!("already_exists")));

    let mut processor = world.processor();
    let result = world.result(&path, &mut processor);
    assert_eq!(result["scan"]["status"], "succeeded", "{}", result["scan"]);

    // What one process finds by itself in the same account.
    let alone = ["scan", "--ambient", "--format", "json"];
    let alone = run(&mut User::new().trueno_at(&world.account.endpoint, &alone));
    let alone = crate::support::json(&alone);
    assert_eq!(comparable(&result), comparable(&alone));

    let found = result["findings"].as_array().unwrap();
    assert!(found.len() > 20, "{}", found.len());
    let (_, page) = world.server.api("GET", "/v1/findings?limit=1000", None);
    let keys = |list: &Value| -> Vec<String> {
        let mut keys: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&page["items"]), keys(&result["findings"]));
    assert_eq!(
        page["count"],
        json!({ "relation": "exactly", "value": found.len() })
    );
    let (_, audit) = world.server.api("GET", "/v1/audit", None);
    assert_eq!(audit["items"][0]["action"], "scan.completed");

    for ended in [world.server.interrupt(), processor.terminate()] {
        assert!(ended.status.success(), "{}", text(&ended));
    }
    let left = world.database.query("select count(*) from trueno.job");
    assert_eq!(left, "0", "nothing is left behind");
}

/// The store goes away under both programs, and comes back.
#[test]
fn while_the_store_is_gone_requests_are_told_so_and_afterwards_both_go_on() {
    let mut world = World::new();
    let scans = world.connect();
    let mut processor = world.processor();
    // Both are there: one that starts without a store says so and ends.
    let path = world.request(&scans);
    world.result(&path, &mut processor);
    for way in [Way::Cut, Way::Silent] {
        world.gate.set(way);
        for (method, path) in [("GET", "/v1/scans"), ("POST", scans.as_str())] {
            let (status, problem) = world.server.api(method, path, None);
            assert_eq!(status, 503, "{way:?}: {problem}");
            assert_eq!(problem["code"], "unavailable", "{way:?}: {problem}");
        }
        let page = world
            .server
            .get("/", &world.server.address, Some(&world.server.token));
        assert!(page.starts_with("HTTP/1.1 503"), "{way:?}: {page}");
        assert!(
            !page.contains(&world.gate.address),
            "where the store is, is not for clients: {page}"
        );
        let alive = world.server.get("/healthz", &world.server.address, None);
        assert!(
            alive.starts_with("HTTP/1.1 200"),
            "the process is well: {alive}"
        );
        processor.still_runs();

        world.gate.set(Way::Open);
        let path = world.request(&scans);
        let result = world.result(&path, &mut processor);
        assert_eq!(result["scan"]["status"], "succeeded", "{}", result["scan"]);
    }

    // Neither waits for a store that is gone before it ends.
    world.gate.set(Way::Silent);
    for ended in [world.server.interrupt(), processor.terminate()] {
        assert!(ended.status.success(), "{}", text(&ended));
    }
}

#[test]
fn a_processor_on_a_database_that_is_not_prepared_says_what_to_run() {
    let (user, prepared, bare) = (User::new(), Database::create(), Database::create());
    let migrated = run(&mut user.trueno(&["migrate", "--store", &prepared.url()]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    let output = run(&mut command(&user, "http://127.0.0.1:1", &bare.url()));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("trueno migrate"),
        "{}",
        text(&output)
    );
}
