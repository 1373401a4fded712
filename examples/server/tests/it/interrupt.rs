//! Ctrl-C in the middle of a scan.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::database::Database;
use crate::support::proxy::{Answer, Proxy};
use crate::support::seeded::seeded;
use crate::support::{User, assert_is_truth, json, run, text, wait};

/// One region answers, the other hangs; the scan is interrupted there. Its lease is given back, and
/// the next command takes the same scan up and ends it.
#[test]
fn the_lease_is_given_back_and_the_next_command_takes_the_scan_up() {
    let (user, database, account) = (User::new(), Database::create(), seeded());
    let url = database.url();
    assert!(
        run(&mut user.trueno(&["migrate", "--store", &url]))
            .status
            .success()
    );
    let proxy = Proxy::start(&account.endpoint, |asked| {
        if asked.region == "eu-west-1" {
            Answer::Hang
        } else {
            Answer::Forward
        }
    });
    let scan = [
        "scan",
        "--ambient",
        "--format",
        "json",
        "--as-of",
        &account.as_of,
        "--store",
        &url,
    ];
    let child = user
        .trueno_at(&proxy.endpoint, &scan)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running = "select count(*) from trueno.coverage where status = 'complete'";
    for _ in 0..600 {
        if database.query(running).parse::<u32>().unwrap() > 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(database.query("select status from trueno.job"), "running");
    let output = interrupted(child);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(
        output.stdout.is_empty(),
        "nothing half-written: {}",
        text(&output)
    );
    let job = "select status, failed_attempts, lost_leases, locked_by is null from trueno.job";
    assert_eq!(database.query(job), "queued|0|0|t");
    assert_eq!(database.query("select status from trueno.scan"), "running");

    let result = json(&run(&mut user.trueno_at(&account.endpoint, &scan)));
    assert_is_truth(&result);
    assert_eq!(database.query("select count(*) from trueno.scan"), "1");
    assert_eq!(
        database.query("select status from trueno.job_history"),
        "succeeded"
    );
}

/// The memory store has nothing to give back to; the exit is as quick.
#[test]
fn a_scan_on_the_memory_store_ends_as_quickly() {
    let (user, account) = (User::new(), seeded());
    let proxy = Proxy::start(&account.endpoint, |asked| {
        if asked.action == "DescribeVolumes" {
            Answer::Hang
        } else {
            Answer::Forward
        }
    });
    let scan = ["scan", "--ambient", "--as-of", &account.as_of];
    let child = user
        .trueno_at(&proxy.endpoint, &scan)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while proxy.requests() < 4 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = interrupted(child);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(output.stdout.is_empty(), "{}", text(&output));
    assert!(
        !text(&output).contains("takes the scan up"),
        "nothing was kept"
    );
}

/// Interrupts a command, which has 5 s to end: that is promised, and no measure of speed.
#[expect(
    clippy::disallowed_methods,
    reason = "measures what a person at the keyboard waits"
)]
fn interrupted(child: Child) -> Output {
    let sent = Instant::now();
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let output = wait(child);
    assert!(
        sent.elapsed() < Duration::from_secs(5),
        "it took {:?} to end",
        sent.elapsed()
    );
    output
}
