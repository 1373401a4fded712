//! What the routes answer, over the memory store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, helpers included"
)]

mod common;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use common::{World, complete, finding, hostile, partial};
use serde_json::{Value, json};
use tower::ServiceExt;
use trueno_core::id::ScanId;
use trueno_core::model::ScanProgress;
use trueno_core::port::Page;
use trueno_core::runtime::scan::ScanReport;
use trueno_http::{ScanItem, loopback_only};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The body of a problem, whose status line says the same.
    fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["title"], self.status.canonical_reason().unwrap());
        assert_eq!(body["type"], "about:blank");
        body
    }

    fn shows(&self, text: &str) {
        assert!(self.body.contains(text), "no {text:?} in: {}", self.body);
    }

    fn shows_not(&self, text: &str) {
        assert!(!self.body.contains(text), "{text:?} in: {}", self.body);
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn get(app: &Router, path: &str) -> Answer {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn before_the_first_scan_the_page_says_so() {
    let world = World::new();
    let tenant = world.tenant().await;
    let page = get(&world.router(&tenant), "/").await;
    assert_eq!(page.status, StatusCode::OK);
    page.shows("No scan yet");
    page.shows_not("http-equiv=\"refresh\"");
    page.shows_not("USD");
}

#[tokio::test]
async fn a_scan_under_way_refreshes_its_page_and_shows_its_progress() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let app = world.router(&tenant);

    let scan = world.request(&tenant, &account).await;
    let queued = get(&app, "/").await;
    queued.shows("<meta http-equiv=\"refresh\" content=\"1\">");
    queued.shows(">Queued<");
    queued.shows("<progress id=\"progress\"></progress>");

    let lease = world.start().await;
    let progress = ScanProgress {
        tasks: 8,
        tasks_done: 3,
        resources: 41,
    };
    world.progress(&lease, progress).await;
    world.clock.advance(std::time::Duration::from_secs(65));
    for path in ["/".to_owned(), format!("/scans/{scan}")] {
        let running = get(&app, &path).await;
        running.shows("<meta http-equiv=\"refresh\" content=\"1\">");
        running.shows("<progress id=\"progress\" value=\"3\" max=\"8\"></progress>");
        running.shows("3 of 8 tasks done, 41 resources read, running for 1 min 5 s");
        running.shows_not("Possible savings");
    }
}

#[tokio::test]
async fn an_ended_scan_shows_totals_and_the_largest_saving_first() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let findings = vec![
        finding("vol-b", Some(12_345_000)),
        finding("vol-a", Some(12_345_000)),
        finding("vol-none", None),
        finding("vol-free", Some(0)),
        finding("vol-top", Some(100_000_000)),
    ];
    world.scanned(&tenant, &account, complete(), findings).await;
    let page = get(&world.router(&tenant), "/").await;
    page.shows(">Succeeded<");
    page.shows_not("http-equiv=\"refresh\"");
    page.shows("<dd id=\"saving\">USD 124.69</dd>");
    page.shows("1 finding has no known price and is not counted");
    page.shows("<td class=\"number\">USD 12.34</td>");
    page.shows("<span class=\"unknown\">unknown</span>");
    page.shows("https://aws.amazon.com/ebs/pricing/</a>, read on 2026-11-01");
    page.shows("not enabled");
    let order: Vec<_> = ["vol-top", "vol-a", "vol-b", "vol-free", "vol-none"]
        .iter()
        .map(|id| page.body.find(&format!("<bdi class=\"id\">{id}<")).unwrap())
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_partial_scan_says_what_was_not_read_and_claims_nothing_of_it() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    world
        .scanned(&tenant, &account, partial(), Vec::new())
        .await;
    let page = get(&world.router(&tenant), "/").await;
    page.shows(">Partial<");
    page.shows("of the rest nothing is known");
    page.shows(
        "ec2.snapshot in us-east-1: <strong>denied</strong> <code>UnauthorizedOperation</code>",
    );
    page.shows("What could not be read may hold findings");
    page.shows("Totals of what was read");
    page.shows("<td>ec2.snapshot denied</td>");
    assert!(!page.body.to_lowercase().contains("clean"));
}

#[tokio::test]
async fn a_failed_scan_says_why_and_shows_no_zeros() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    world.request(&tenant, &account).await;
    let lease = world.start().await;
    world
        .fail(&lease, "the role <TruenoReadOnly> does not let us in")
        .await;
    let page = get(&world.router(&tenant), "/").await;
    page.shows(">Failed<");
    page.shows("the role &#60;TruenoReadOnly&#62; does not let us in");
    page.shows_not("http-equiv=\"refresh\"");
    page.shows_not("USD");
    page.shows_not("No check found anything");
}

#[tokio::test]
async fn amounts_in_evidence_are_shown_with_their_currency() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let mut bounded = finding("vol-a", None);
    for (name, value) in [
        ("upper_bound_micros", json!(4_000_000)),
        ("upper_bound_currency", json!("USD")),
        ("upper_bound_as_of", json!("2026-11-01")),
    ] {
        bounded.evidence.insert(name.to_owned(), value);
    }
    world
        .scanned(&tenant, &account, complete(), vec![bounded])
        .await;
    let page = get(&world.router(&tenant), "/").await;
    page.shows("<span>upper bound</span> <bdi>USD 4.00</bdi>");
    page.shows("<span>upper bound as of</span> <bdi>2026-11-01</bdi>");
    page.shows_not("upper bound currency");
}

#[tokio::test]
async fn names_and_evidence_are_text_whatever_they_hold() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, common::HOSTILE).await;
    let findings = vec![hostile("\"><script>alert(1)</script>")];
    world.scanned(&tenant, &account, complete(), findings).await;
    let page = get(&world.router(&tenant), "/").await;
    page.shows("&#60;script&#62;document.body.id=");
    page.shows_not("<script");
    page.shows_not("<img");
    page.shows_not("\"><script");
}

#[tokio::test]
async fn a_large_result_is_cut_with_a_way_to_all_of_it() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let findings = (1..=501_i64)
        .map(|n| finding(&format!("vol-{n:04}"), Some(n * 1_000_000)))
        .collect();
    let scan = world.scanned(&tenant, &account, complete(), findings).await;
    let app = world.router(&tenant);
    let page = get(&app, "/").await;
    page.shows("The 500 largest of 501 findings are shown.");
    page.shows(&format!(
        "<a href=\"./v1/scans/{scan}\">The JSON result has all of them.</a>"
    ));
    assert_eq!(page.body.matches("<bdi class=\"id\">").count(), 500);
    page.shows_not("<bdi class=\"id\">vol-0001<");
    let report = get(&app, &format!("/v1/scans/{scan}")).await.json();
    assert_eq!(report["findings"].as_array().unwrap().len(), 501);
}

#[tokio::test]
async fn an_older_scan_says_that_a_newer_one_has_its_findings() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let one = || vec![finding("vol-a", Some(1_000_000))];
    let old = world.scanned(&tenant, &account, complete(), one()).await;
    let new = world.scanned(&tenant, &account, complete(), one()).await;
    let app = world.router(&tenant);
    let older = get(&app, &format!("/scans/{old}")).await;
    older.shows("A newer scan has looked at this account since.");
    older.shows("Findings that no newer scan found again");
    older.shows_not("USD 0.00");
    older.shows_not("No check found anything");
    // One that has not begun has taken nothing over.
    world.request(&tenant, &account).await;
    let newest = get(&app, &format!("/scans/{new}")).await;
    newest.shows_not("A newer scan");
    newest.shows("<dd id=\"saving\">USD 1.00</dd>");
    newest.shows(&format!("<a href=\"../scans/{old}\">"));
    newest.shows("<bdi>Production</bdi> <span class=\"badge tone-good\">Succeeded</span>");
}

#[tokio::test]
async fn the_json_routes_give_the_report_and_pages_of_scans() {
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let mut scans: Vec<ScanId> = Vec::new();
    for _ in 0..3 {
        let findings = vec![finding("vol-a", Some(11_000_000)), finding("vol-b", None)];
        scans.insert(
            0,
            world.scanned(&tenant, &account, partial(), findings).await,
        );
    }
    let app = world.router(&tenant);

    let answer = get(&app, &format!("/v1/scans/{}", scans[0])).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let report: ScanReport = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(report.scan.id, scans[0]);
    assert_eq!(report.totals.monthly_saving_micros, 11_000_000);
    assert_eq!(report.totals.unknown_prices, 1);
    let body = answer.json();
    assert_eq!(body["scan"]["status"], "partial");
    assert_eq!(body["findings"][1]["monthly_saving"], Value::Null);

    let mut seen = Vec::new();
    let mut path = "/v1/scans?limit=2".to_owned();
    for _ in 0..2 {
        let page: Page<ScanItem> = serde_json::from_str(&get(&app, &path).await.body).unwrap();
        assert!(page.items.iter().all(|item| item.account == account.id));
        seen.extend(page.items.iter().map(|item| item.summary.id));
        if let Some(next) = page.next {
            path = format!("/v1/scans?limit=2&cursor={next}");
        }
    }
    assert_eq!(seen, scans, "newest first, each once");
}

#[tokio::test]
async fn another_organizations_scan_is_answered_like_one_that_is_not_there() {
    let world = World::new();
    let (ours, theirs) = (world.tenant().await, world.tenant().await);
    let account = world.account(&theirs, "Secret project").await;
    let scan = world
        .scanned(&theirs, &account, complete(), vec![finding("vol-a", None)])
        .await;
    let missing: ScanId = world.id();
    let app = world.router(&ours);
    // The same name for both: an answer says which request it is of.
    let asked = "7b1d3a52-0c64-4c0e-9a55-3f5b0f6f2a11";
    for route in ["/scans", "/v1/scans"] {
        let ask = async |scan: ScanId| {
            let request = Request::get(format!("{route}/{scan}")).header("x-request-id", asked);
            send(&app, request.body(Body::empty()).unwrap()).await
        };
        let (foreign, absent) = (ask(scan).await, ask(missing).await);
        assert_eq!(foreign.status, StatusCode::NOT_FOUND);
        assert_eq!(foreign.problem(), absent.problem());
        assert_eq!(foreign.headers, absent.headers);
        assert_eq!(foreign.problem()["code"], "not_found");
    }
    assert_eq!(
        get(&app, "/v1/scans").await.json(),
        json!({ "items": [], "next": null })
    );
    get(&app, "/").await.shows_not("Secret");
    get(&world.router(&theirs), &format!("/scans/{scan}"))
        .await
        .shows("Secret project");
}

#[tokio::test]
async fn malformed_input_is_refused_and_named() {
    let world = World::new();
    let tenant = world.tenant().await;
    let app = world.router(&tenant);
    let long = format!("/v1/scans?cursor={}", "x".repeat(3_000));
    for (path, field) in [
        ("/scans/nonsense", "scan id"),
        ("/v1/scans/nonsense", "scan id"),
        ("/v1/scans/%ff", "id"),
        ("/v1/scans?limit=0", "limit"),
        ("/v1/scans?limit=1001", "limit"),
        ("/v1/scans?limit=many", "limit"),
        ("/v1/scans?limit=1&limit=2", "limit"),
        ("/v1/scans?cursor=", "cursor"),
        ("/v1/scans?cursor=%00", "cursor"),
        (&long, "cursor"),
    ] {
        let answer = get(&app, path).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{path}: {}",
            answer.body
        );
        let problem = answer.problem();
        assert_eq!(problem["code"], "invalid_input");
        assert!(
            problem["detail"].as_str().unwrap().contains(field),
            "{path}: {problem}"
        );
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_under_any_prefix() {
    let world = World::new();
    let tenant = world.tenant().await;
    let nested = Router::new()
        .route("/", axum::routing::get(async || "the host's own"))
        .nest("/trueno", world.router(&tenant));
    for (app, prefix) in [(world.router(&tenant), ""), (nested.clone(), "/trueno")] {
        let unknown = get(&app, &format!("{prefix}/nothing/here")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(unknown.problem()["code"], "not_found");
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(format!("{prefix}/v1/scans"))
            .body(Body::empty());
        let wrong = send(&app, request.unwrap()).await;
        assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(wrong.problem()["code"], "method_not_allowed");
        assert_eq!(wrong.headers["allow"], "GET,HEAD");
        for answer in [unknown, wrong] {
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        }
    }
    assert_eq!(get(&nested, "/").await.body, "the host's own");
    get(&nested, "/trueno")
        .await
        .shows("href=\"./trueno/style.css\"");
}

#[tokio::test]
async fn every_answer_forbids_scripts_frames_and_caching() {
    let world = World::new();
    let tenant = world.tenant().await;
    let app = world.router(&tenant);
    for path in ["/", "/v1/scans", "/healthz", "/scans/nonsense", "/nothing"] {
        let headers = get(&app, path).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
    }
    let style = get(&app, "/style.css").await;
    assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
    assert!(!style.body.contains("url(") && !style.body.contains("@import"));
}

#[tokio::test]
async fn health_needs_no_identity_and_hosts_can_be_kept_to_loopback() {
    let world = World::new();
    let tenant = world.tenant().await;
    let app = world.router(&tenant).layer(loopback_only());
    let ask = async |host: &str| {
        let request = Request::get("/healthz")
            .header("host", host)
            .body(Body::empty());
        send(&app, request.unwrap()).await
    };
    let healthy = ask("127.0.0.1:8080").await;
    assert_eq!(
        (healthy.status, healthy.body.as_str()),
        (StatusCode::OK, "ok")
    );
    let rebound = ask("rebound.example:8080").await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN);
    assert_eq!(rebound.problem()["code"], "denied");
}
