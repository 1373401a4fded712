//! What clients of the API meet: the document, versions, bad input, a browser's login.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, helpers included"
)]

mod bad_input;
mod client;
#[path = "../common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use client::{Api, send};
use common::World;
use serde_json::{Value, json};
use trueno_core::access::Identity;
use trueno_core::vault::{Key, KeyFile};
use trueno_http::{HttpState, LocalToken, openapi_document, router};
use trueno_testkit::fixtures::finding_id;

/// `TRUENO_BLESS=1` writes the golden file anew.
#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let document = openapi_document().to_pretty_json().unwrap() + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    if std::env::var_os("TRUENO_BLESS").is_some() {
        std::fs::write(&golden, &document).unwrap();
    }
    let reviewed = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert!(
        document == reviewed,
        "the OpenAPI document changed: run with TRUENO_BLESS=1 and review the difference"
    );
}

#[tokio::test]
async fn the_server_gives_the_document_and_each_of_its_paths() {
    let api = Api::scanned().await;
    let served = api.get("/openapi.json").await.json();
    assert_eq!(served, serde_json::to_value(openapi_document()).unwrap());
    for path in served["paths"].as_object().unwrap().keys() {
        let id = finding_id(api.account.id, "vol-1").to_string();
        let trace = Request::builder()
            .method("TRACE")
            .uri(path.replace("{id}", &id));
        let answer = api.send(trace.body(Body::empty()).unwrap()).await;
        // A path that were not routed would be 404.
        answer.is_problem(405, "does not take this method");
    }
}

#[tokio::test]
async fn a_finding_is_acknowledged_assigned_discussed_and_its_history_says_so() {
    let api = Api::scanned().await;
    let path = api.finding();
    let first = api.get(&path).await;
    assert_eq!(first.json()["status"], "new");
    let etag = first.etag();

    let noted = r#"{"status":"acknowledged"}"#;
    let changed = api.json("PATCH", &path, Some(&etag), noted).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.json()["status"], "acknowledged");

    let assignment = format!("{path}/assignment");
    let owner = api.tenant.owner.to_string();
    let to = json!({ "user": owner }).to_string();
    let assigned = api
        .json("PUT", &assignment, Some(&changed.etag()), &to)
        .await;
    assert_eq!(assigned.json()["assignee"], owner);
    let nobody = api
        .json("DELETE", &assignment, Some(&assigned.etag()), "")
        .await;
    assert_eq!(nobody.json()["assignee"], Value::Null);

    let text = r#"{"text":"Who needs this?\nNobody answers."}"#;
    let comments = format!("{path}/comments");
    assert_eq!(api.json("POST", &comments, None, text).await.status, 201);
    let said = api.get(&comments).await.json();
    assert_eq!(said["items"][0]["author"], owner);
    assert_eq!(said["items"][0]["text"], "Who needs this?\nNobody answers.");

    let history = api.get(&format!("{path}/history")).await.json();
    let changes: Vec<(&str, &Value)> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["change"].as_str().unwrap(), &change["to"]))
        .collect();
    assert_eq!(
        changes,
        [
            ("status", &json!("new")),
            ("status", &json!("acknowledged")),
            ("assignee", &json!(owner)),
            ("assignee", &Value::Null),
        ]
    );
    let audit = api.get("/v1/audit").await.json();
    assert_eq!(
        audit["items"][0]["action"], "finding.commented",
        "newest first"
    );
    assert_eq!(audit["items"][0]["actor"]["user"], owner);
}

#[tokio::test]
async fn who_changes_a_row_says_which_version_it_read() {
    let api = Api::scanned().await;
    let path = api.finding();
    let etag = api.get(&path).await.etag();
    let body = r#"{"status":"acknowledged"}"#;
    let blind = api.json("PATCH", &path, None, body).await;
    blind.is_problem(428, "If-Match");
    for nonsense in ["1", "*", "\"one\"", "W/\"1\"", "\"1\", \"2\""] {
        let answer = api.json("PATCH", &path, Some(nonsense), body).await;
        answer.is_problem(400, "If-Match");
    }
    let stale = api.json("PATCH", &path, Some("\"99\""), body).await;
    stale.is_problem(412, "read it again");
    assert_eq!(api.get(&path).await.etag(), etag, "nothing was changed");
}

#[tokio::test]
async fn a_member_is_added_changed_and_removed_by_the_version_that_was_read() {
    let api = Api::scanned().await;
    let user = "0190a0a0-0000-7000-8000-000000000001";
    let path = format!("/v1/members/{user}");
    let body = format!(r#"{{"user":"{user}","role":"analyst"}}"#);
    assert_eq!(api.get(&path).await.status, 404);
    let added = api.json("POST", "/v1/members", None, &body).await;
    assert_eq!(
        (added.status.as_u16(), added.etag().as_str()),
        (201, "\"1\"")
    );
    let again = api.json("POST", "/v1/members", None, &body).await;
    again.is_problem(409, "member");
    let unknown = r#"{"user":"nobody","role":"analyst"}"#;
    let unknown = api.json("POST", "/v1/members", None, unknown).await;
    unknown.is_problem(400, "user");

    let viewer = r#"{"role":"viewer"}"#;
    for (method, body) in [("PATCH", viewer), ("DELETE", "")] {
        let blind = api.json(method, &path, None, body).await;
        blind.is_problem(428, "If-Match");
        let stale = api.json(method, &path, Some("\"99\""), body).await;
        stale.is_problem(412, "read it again");
    }
    assert_eq!(api.get(&path).await.etag(), added.etag(), "as it was");
    let changed = api.json("PATCH", &path, Some("\"1\""), viewer).await;
    assert_eq!(
        (changed.status.as_u16(), changed.etag().as_str()),
        (200, "\"2\"")
    );
    let read = api.get(&path).await;
    assert_eq!(read.etag(), changed.etag());
    assert_eq!(
        (&read.json()["role"], &read.json()["version"]),
        (&json!("viewer"), &json!(2))
    );
    let late = api.json("DELETE", &path, Some("\"1\""), "").await;
    late.is_problem(412, "read it again");
    let removed = api.json("DELETE", &path, Some("\"2\""), "").await;
    assert_eq!(removed.status, 204);
    let gone = api.json("PATCH", &path, Some("\"2\""), viewer).await;
    gone.is_problem(404, "member");
    let back = api.json("POST", "/v1/members", None, &body).await;
    assert_eq!(back.etag(), "\"3\"", "no version comes back");
}

#[tokio::test]
async fn an_account_is_connected_with_an_external_id_that_clients_cannot_choose() {
    let api = Api::scanned().await;
    let keys = KeyFile::single(Key::new("k1", [7; 32]).unwrap());
    let identity = Arc::new(trueno_http::FixedIdentity::new(Identity::authenticated(
        api.tenant.owner,
    )));
    let store = Arc::new(api.world.store.clone());
    let state = HttpState::new(store, identity, api.world.clock.shared());
    let without = router(state.clone());
    let app = router(state.with_keys(Arc::new(keys)));
    let post = |body: &str| {
        Request::post("/v1/accounts")
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let body = r#"{"name":"Staging","role_arn":"arn:aws:iam::123456789012:role/Trueno"}"#;
    send(&without, post(body))
        .await
        .is_problem(501, "no key file");
    let made = send(&app, post(body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made_json = made.json();
    let external_id = made_json["external_id"].as_str().unwrap();
    assert!(external_id.starts_with("tru1-"));
    let location = made.headers["location"].to_str().unwrap();
    let read = send(&app, Request::get(location).body(Body::empty()).unwrap()).await;
    assert_eq!(read.json()["status"], "pending");
    assert!(!read.body.contains(external_id), "shown once");
    let chosen = body.replace("}", r#","external_id":"mine"}"#);
    send(&app, post(&chosen))
        .await
        .is_problem(400, "external_id");
    let ambient = r#"{"name":"Ours","role_arn":null}"#;
    send(&app, post(ambient)).await.is_problem(400, "role_arn");
}

#[tokio::test]
async fn findings_are_filtered_counted_and_recommended() {
    let api = Api::scanned().await;
    let list = async |query: &str| api.get(&format!("/v1/findings?{query}")).await.json();
    let account = api.account.id.to_string();
    for (query, found) in [
        ("", 1),
        ("status=new", 1),
        ("status=standing", 1),
        ("status=resolved", 0),
        (
            "severity=medium&region=eu-west-1&check=ec2.volume.unattached",
            1,
        ),
        ("region=us-east-1", 0),
        ("tag=Owner", 1),
        ("tag=empty=", 1),
        ("tag=empty=full", 0),
        (&format!("account={account}"), 1),
    ] {
        let page = list(query).await;
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
        let count = json!({ "relation": "exactly", "value": found });
        assert_eq!(page["count"], count, "{query}");
    }
    let counts = api.get("/v1/findings/counts").await.json();
    assert_eq!(counts[0]["count"], 1);
    assert_eq!(counts[0]["status"], "new");
    let advice = api.get("/v1/recommendations").await.json();
    assert_eq!(
        advice["items"][0]["monthly_saving"]["amount_micros"],
        1_000_000
    );
}

#[tokio::test]
async fn a_browser_shows_the_token_once_and_its_cookie_reads_only() {
    let world = World::new();
    let tenant = world.tenant().await;
    let local = LocalToken::generate(Identity::authenticated(tenant.owner)).unwrap();
    let token = local.expose().to_owned();
    let store = Arc::new(world.store.clone());
    let state = HttpState::new(store, Arc::new(local), world.clock.shared());
    let app = router(state);
    let page = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();

    send(&app, page("/")).await.is_problem(401, "token");
    send(&app, page("/?token=wrong"))
        .await
        .is_problem(401, "token");
    send(&app, page("/?token=a%3Bb"))
        .await
        .is_problem(400, "token");
    send(&app, page(&format!("/?token={token}&token={token}")))
        .await
        .is_problem(400, "token");
    let login = send(&app, page(&format!("/?token={token}"))).await;
    assert_eq!(login.status, 303);
    assert_eq!(login.headers["location"], "./");
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    let with_cookie = |method: &str, uri: &str| {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("cookie", cookie)
            .header("content-type", "application/json")
            .body(Body::from(r#"{"role":"viewer"}"#))
            .unwrap()
    };
    assert_eq!(send(&app, with_cookie("GET", "/")).await.status, 200);
    let write = with_cookie("PATCH", &format!("/v1/members/{}", tenant.id));
    send(&app, write).await.is_problem(401, "token");
    let bearer = Request::get("/v1/scans").header("authorization", format!("bearer {token}"));
    let read = send(&app, bearer.body(Body::empty()).unwrap()).await;
    assert_eq!(read.status, 200);
    let basic = Request::get("/v1/scans")
        .header("authorization", "Basic Zm9v")
        .header("cookie", cookie);
    let refused = send(&app, basic.body(Body::empty()).unwrap()).await;
    refused.is_problem(401, "token");
}

/// From the request to its answer, its job, and the lease under which the job runs.
#[tokio::test]
async fn a_request_s_id_goes_to_the_job_that_it_enqueues() {
    const ID: &str = "0af76519-16cd-43dd-8448-eb211c80319c";
    let world = World::new();
    let tenant = world.tenant().await;
    let account = world.account(&tenant, "Production").await;
    let app = world.router(&tenant);
    let scans = format!("/v1/accounts/{}/scans", account.id);
    let request = Request::post(&scans)
        .header("x-request-id", ID)
        .body(Body::empty());
    let answer = send(&app, request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert_eq!(answer.headers["x-request-id"], ID);
    let lease = world.start().await;
    let correlation = lease.scope().correlation_id().map(|id| id.to_string());
    assert_eq!(correlation.as_deref(), Some(ID));

    // Also where nothing comes of it; a new id where it has none.
    let nowhere = |id: &str| {
        Request::get("/nowhere")
            .header("x-request-id", id)
            .body(Body::empty())
    };
    let answer = send(&app, nowhere(ID).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.headers["x-request-id"]),
        (StatusCode::NOT_FOUND, &ID.parse().unwrap())
    );
    let made = send(&app, nowhere("<script>").unwrap()).await.headers["x-request-id"].clone();
    assert!(
        made.to_str().unwrap().parse::<uuid::Uuid>().is_ok(),
        "{made:?}"
    );
}
