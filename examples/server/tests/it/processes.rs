//! `trueno serve` and `trueno-processor` as two processes on one database, which they log in to as
//! members of its roles.

use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::database::{Database, Logins, pooler};
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
    logins: Logins,
    /// Arguments of both programs.
    both: &'static [&'static str],
    account: &'static Seeded,
    aws: Proxy,
    external_id: Arc<OnceLock<String>>,
    server: Server,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With these arguments of `trueno serve` besides.
    fn with(more: &[&str]) -> Self {
        let (user, database) = migrated();
        let gate = Gate::start(&database.address());
        let logins = database.logins_at(&gate.address);
        Self::on(user, database, gate, logins, &[], more)
    }

    /// With PgBouncer between the programs and the store.
    fn pooled() -> Self {
        let (user, database) = migrated();
        let (_, address) = pooler();
        let gate = Gate::start(&address);
        let logins = database.pooled_logins_at(&gate.address);
        Self::on(user, database, gate, logins, &["--pooled"], &[])
    }

    fn on(
        user: User,
        database: Database,
        gate: Gate,
        logins: Logins,
        both: &'static [&'static str],
        more: &[&str],
    ) -> Self {
        let account = seeded();
        let external_id = Arc::new(OnceLock::new());
        let aws = with_trust_policy(&account.endpoint, external_id.clone());
        let serve = [
            &["serve", "--store", &logins.app, "--listen", "127.0.0.1:0"][..],
            &["--processor-store", &logins.processor],
            &["--sequencer-store", &logins.sequencer],
            both,
            more,
        ]
        .concat();
        let server = Server::start(&mut user.trueno_at(&aws.endpoint, &serve));
        Self {
            user,
            database,
            gate,
            logins,
            both,
            account,
            aws,
            external_id,
            server,
        }
    }

    fn processor(&self) -> Processor {
        let mut program = processor(&self.user, &self.aws.endpoint, &self.logins);
        Processor::spawn(program.args(self.both))
    }

    /// As whom the programs are connected.
    fn connected(&self) -> Vec<String> {
        let users = self.database.query(
            "select distinct usename from pg_stat_activity
             where datname = current_database() and application_name = 'trueno' order by usename",
        );
        users.lines().map(str::to_owned).collect()
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

/// A user, and a store that is ready for the programs.
fn migrated() -> (User, Database) {
    let (user, database) = (User::new(), Database::create());
    let migrated = run(&mut user.trueno(&["migrate", "--store", &database.url()]));
    assert!(migrated.status.success(), "{}", text(&migrated));
    (user, database)
}

/// The program, with a login for each role.
fn processor(user: &User, endpoint: &str, logins: &Logins) -> Command {
    let mut command = command(user, endpoint, &logins.app);
    command
        .env("TRUENO_PROCESSOR_STORE", &logins.processor)
        .env("TRUENO_SEQUENCER_STORE", &logins.sequencer);
    command
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

    let roles = ["app", "processor"].map(|role| world.database.login(role));
    assert_eq!(world.connected(), roles, "nobody else, and no superuser");

    for ended in [world.server.interrupt(), processor.terminate()] {
        assert!(ended.status.success(), "{}", text(&ended));
    }
    let left = world.database.query("select count(*) from trueno.job");
    assert_eq!(left, "0", "nothing is left behind");
}

#[test]
fn both_processes_work_through_a_pooler() {
    let mut world = World::pooled();
    let scans = world.connect();
    let mut processor = world.processor();
    for _ in 0..2 {
        let path = world.request(&scans);
        let result = world.result(&path, &mut processor);
        assert_eq!(result["scan"]["status"], "succeeded", "{}", result["scan"]);
        assert!(result["findings"].as_array().unwrap().len() > 20);
    }
    let (_, audit) = world.server.api("GET", "/v1/audit", None);
    assert_eq!(audit["items"][0]["action"], "scan.completed");

    let (login, _) = pooler();
    let strangers = world.database.query(&format!(
        "select distinct usename from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend'
            and pid <> pg_backend_pid() and not starts_with(usename, '{login}_cli_')"
    ));
    assert_eq!(strangers, "", "nobody logs in as anybody else");
    for ended in [world.server.interrupt(), processor.terminate()] {
        assert!(ended.status.success(), "{}", text(&ended));
    }
}

/// Both programs fire what is due. What was missed while none did runs once, by its policy.
#[test]
#[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
fn a_schedule_that_came_due_is_fired_by_one_run_and_read_back() {
    let mut world = World::with(&["--schedules"]);
    let scans = world.connect();
    let account = scans.split('/').nth(3).unwrap();
    // No tick comes by itself within half an hour.
    let minute = world
        .database
        .query("select extract(minute from now() at time zone 'UTC' + interval '30 minutes')::int");
    let cron = format!("{minute} * * * *");
    let never = json!({
        "name": "Never", "account": account, "cron": "0 0 30 2 *", "time_zone": "Europe/Berlin",
    });
    let (status, refused) = world.server.api("POST", "/v1/schedules", Some(&never));
    let told = refused["detail"].as_str().unwrap();
    assert!(
        status == 400 && told.starts_with("cron: never fires"),
        "{refused}"
    );
    let new = json!({
        "name": "Every hour", "account": account, "cron": cron, "time_zone": "Europe/Berlin",
        "missed": "run_once",
    });
    let (status, made) = world.server.api("POST", "/v1/schedules", Some(&new));
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let runs = format!("/v1/schedules/{id}/runs");
    let (_, before) = world.server.api("GET", &format!("{runs}?limit=2"), None);
    assert_eq!(before["items"][0], made["next_run_at"]);
    assert_eq!(before["items"].as_array().unwrap().len(), 2);

    let mut processor = world.processor();
    world.database.query(&format!(
        "update trueno.schedule set next_run_at = next_run_at - interval '3 hours' where id = '{id}'"
    ));
    let begun = Instant::now();
    let scan = loop {
        let (_, listed) = world.server.api("GET", "/v1/scans", None);
        if let Some(scan) = listed["items"].get(0) {
            break scan.clone();
        }
        processor.still_runs();
        assert!(begun.elapsed() < HANG, "nobody fires it: {listed}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let scan = scan["id"].as_str().unwrap().to_owned();
    let result = world.result(&format!("/v1/scans/{scan}"), &mut processor);
    assert_eq!(result["scan"]["status"], "succeeded", "{}", result["scan"]);
    assert!(result["findings"].as_array().unwrap().len() > 20);

    // One event, one scan; the ticks to come are what they were.
    let (_, audit) = world.server.api("GET", "/v1/audit", None);
    let schedule = json!({ "kind": "schedule", "schedule": id });
    let by_schedule = |event: &&Value| event["actor"] == schedule;
    let events: Vec<&Value> = audit["items"].as_array().unwrap().iter().collect();
    let events: Vec<&Value> = events.into_iter().filter(by_schedule).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["action"], "schedule.fired");
    assert_eq!(events[0]["details"]["passed_over"], 2);
    assert!(events[0]["targets"].as_array().unwrap().contains(&json!({
        "kind": "scan", "id": scan,
    })));
    let (_, after) = world.server.api("GET", &format!("{runs}?limit=2"), None);
    assert_eq!(after, before);

    // By hand as well.
    let (status, requested) = world.server.api("POST", &runs, None);
    assert_eq!(status, 202, "{requested}");
    let path = format!("/v1/scans/{}", requested["scan"].as_str().unwrap());
    let result = world.result(&path, &mut processor);
    assert_eq!(result["scan"]["status"], "succeeded", "{}", result["scan"]);
    let (_, listed) = world.server.api("GET", "/v1/scans", None);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    for ended in [world.server.interrupt(), processor.terminate()] {
        assert!(ended.status.success(), "{}", text(&ended));
    }
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
    // Another database was prepared, so that the roles are there.
    let (user, _prepared) = migrated();
    let bare = Database::create();
    let logins = bare.logins_at(&bare.address());
    let output = run(&mut processor(&user, "http://127.0.0.1:1", &logins));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("trueno migrate"),
        "{}",
        text(&output)
    );
}
