//! `trueno serve`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::server::Server;
use crate::support::{HANG, User, assert_is_truth, text};

#[test]
fn it_scans_the_demo_shows_it_and_ends_on_ctrl_c() {
    let user = User::new();
    let demo = ["serve", "--demo", "--listen", "127.0.0.1:0"];
    let mut server = Server::start(&mut user.trueno(&demo));
    let said = server.lines.join("\n");
    assert!(
        said.contains("the memory store keeps nothing after exit"),
        "{said}"
    );
    assert!(said.contains("126 findings, USD 5967.09 a month"), "{said}");
    assert!(
        said.contains("CHECK") && said.contains("ec2.volume.gp2"),
        "a table: {said}"
    );
    let address = server.address.clone();

    let closed = server.get("/", &address, None);
    assert!(
        closed.starts_with("HTTP/1.1 401"),
        "no page without the token: {closed}"
    );
    let login = server.get(&format!("/?token={}", server.token), &address, None);
    assert!(login.starts_with("HTTP/1.1 303"), "{login}");
    let page = server.get("/", &address, Some(&server.token));
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for wanted in [
        "5967.09",
        "us-east-1",
        "ec2.volume.unattached",
        "not_enabled",
    ] {
        let shown = page.contains(wanted) || page.contains(&wanted.replace('_', " "));
        assert!(shown, "the page lacks {wanted}");
    }
    assert!(
        !page.contains("<script"),
        "names from the account are escaped"
    );
    let healthy = server.get("/healthz", &address, None);
    assert!(healthy.starts_with("HTTP/1.1 200"));
    let rebound = server.get("/", "attacker.example", Some(&server.token));
    assert!(
        !rebound.starts_with("HTTP/1.1 200"),
        "another host's name is refused: {rebound}"
    );

    let ended = server.interrupt();
    assert!(ended.status.success(), "{}", text(&ended));
}

/// The link is for a browser, once: it is given a cookie, which reads and changes nothing.
#[test]
fn the_link_lets_a_browser_in_and_stays_out_of_the_logs() {
    let user = User::new();
    let demo = ["serve", "--demo", "--listen", "127.0.0.1:0"];
    let mut server = Server::start(user.trueno(&demo).env("TRUENO_LOG", "trace"));
    let (address, token) = (server.address.clone(), server.token.clone());
    let link = format!("page: http://{address}/?token={token}");
    assert!(server.lines.contains(&link), "{:?}", server.lines);

    let login = server.get(&format!("/?token={token}"), &address, None);
    let (head, body) = login.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nlocation: ./\r\n"), "{head}");
    let cookie = format!("trueno_token={token}");
    assert!(head.contains(&format!(
        "\r\nset-cookie: {cookie}; HttpOnly; SameSite=Strict"
    )));
    assert!(body.is_empty(), "{body}");

    let shows = format!("cookie: {cookie}");
    let (status, _) = server.shown("GET", "/v1/scans", &shows);
    assert_eq!(status, 200);
    let (status, refused) = server.shown("DELETE", "/v1/organization", &shows);
    assert_eq!(
        (status, &refused["code"]),
        (401, &json!("unauthenticated")),
        "{refused}"
    );
    let wrong = format!("authorization: Bearer {}", token.to_uppercase());
    let (status, _) = server.shown("GET", "/v1/scans", &wrong);
    assert_eq!(status, 401);

    let said = text(&server.interrupt());
    assert!(
        said.contains("a request was refused"),
        "the log is on: {said}"
    );
    assert!(!said.contains(&token), "{said}");
}

/// The first scan is the server's own. Others are requested over the API, and nobody else runs them.
#[test]
#[expect(clippy::disallowed_methods, reason = "a guard against a hang")]
fn the_demo_runs_the_scans_that_are_requested_of_it() {
    let user = User::new();
    let demo = ["serve", "--demo", "--listen", "127.0.0.1:0"];
    let mut server = Server::start(&mut user.trueno(&demo));
    let (_, accounts) = server.api("GET", "/v1/accounts", None);
    let account = accounts["items"][0]["id"].as_str().unwrap();
    let (status, requested) = server.api("POST", &format!("/v1/accounts/{account}/scans"), None);
    assert_eq!(status, 202, "{requested}");
    let path = format!("/v1/scans/{}", requested["scan"].as_str().unwrap());
    let begun = Instant::now();
    let result = loop {
        let (_, result) = server.api("GET", &path, None);
        if result["scan"]["finished_at"].is_string() {
            break result;
        }
        assert!(begun.elapsed() < HANG, "nobody runs it: {result}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(result["scan"]["status"], "succeeded");
    assert_is_truth(&result);
    let (_, scans) = server.api("GET", "/v1/scans", None);
    assert_eq!(scans["items"].as_array().unwrap().len(), 2);

    // Nothing but the recording can be scanned, so nothing else is connected.
    let new = json!({ "name": "x", "role_arn": "arn:aws:iam::123456789012:role/x" });
    let (status, refused) = server.api("POST", "/v1/accounts", Some(&new));
    assert_eq!(
        (status, &refused["code"]),
        (501, &json!("not_implemented")),
        "{refused}"
    );
    let ended = server.interrupt();
    assert!(ended.status.success(), "{}", text(&ended));
}
