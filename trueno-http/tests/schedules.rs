//! Schedules over HTTP: made, listed with their runs, triggered, and fired by whoever operates the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, helpers included"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use common::World;
use serde_json::{Value, json};
use tower::ServiceExt;
use trueno_core::access::Identity;
use trueno_core::id::IdSource;
use trueno_core::runtime::{Scheduler, SchedulerConfig};
use trueno_http::{FixedIdentity, HttpState, SystemToken, router};
use trueno_testkit::fixtures::Tenant;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Api {
    world: World,
    tenant: Tenant,
    app: Router,
}

impl Api {
    /// At ten o'clock on Monday, with an account and a schedule of it.
    async fn new() -> (Self, Value) {
        let world = World::new();
        let tenant = world.tenant().await;
        let account = world.account(&tenant, "Production").await;
        let store = Arc::new(world.store.clone());
        let scheduler = Scheduler::new(
            store.clone(),
            SchedulerConfig::default(),
            IdSource::seeded(1),
        )
        .unwrap();
        let who = FixedIdentity::new(Identity::authenticated(tenant.owner));
        let state = HttpState::new(store, Arc::new(who), world.clock.shared()).with_system_tick(
            Arc::new(scheduler),
            SystemToken::new(TOKEN.to_owned().into()).unwrap(),
        );
        let api = Self {
            world,
            tenant,
            app: router(state),
        };
        let schedule = json!({
            "name": "Mornings",
            "account": account.id,
            "cron": "0 6 * * mon-fri",
            "time_zone": "Europe/Berlin",
            "missed": "run_all",
            "jitter_seconds": 60,
        });
        let (status, made) = api.ask("POST", "/v1/schedules", None, schedule).await;
        assert_eq!(status, 201, "{made}");
        (api, made)
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let answer = self
            .app
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None, Value::Null).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn tick(&self, token: Option<&str>) -> (u16, Value) {
        self.ask("POST", "/v1/system/tick", token, Value::Null)
            .await
    }
}

#[tokio::test]
async fn a_schedule_tells_when_it_fires() {
    let (api, made) = Api::new().await;
    assert_eq!(
        (&made["missed"], &made["jitter_seconds"]),
        (&json!("run_all"), &json!(60))
    );
    assert_eq!(made["next_run_at"], "2026-11-03T05:00:00Z", "six in Berlin");
    let path = format!("/v1/schedules/{}", made["id"].as_str().unwrap());
    let runs = api.get(&format!("{path}/runs?limit=5")).await;
    let wanted = [
        "2026-11-03T05:00:00Z",
        "2026-11-04T05:00:00Z",
        "2026-11-05T05:00:00Z",
        "2026-11-06T05:00:00Z",
        // Over the weekend.
        "2026-11-09T05:00:00Z",
    ];
    assert_eq!(runs["items"], json!(wanted));
    let ten = api.get(&format!("{path}/runs")).await;
    assert_eq!(ten["items"].as_array().unwrap().len(), 10);
    for limit in ["0", "101", "many"] {
        let path = format!("{path}/runs?limit={limit}");
        let (status, body) = api.ask("GET", &path, None, Value::Null).await;
        assert_eq!(status, 400, "{body}");
        assert!(body["detail"].as_str().unwrap().contains("limit"), "{body}");
    }
}

#[tokio::test]
async fn a_schedule_is_triggered_without_moving() {
    let (api, made) = Api::new().await;
    let path = format!("/v1/schedules/{}", made["id"].as_str().unwrap());
    let runs = format!("{path}/runs");
    let (status, requested) = api.ask("POST", &runs, None, Value::Null).await;
    assert_eq!(status, 202, "{requested}");
    let scans = api.get("/v1/scans").await;
    assert_eq!(scans["items"][0]["id"], requested["scan"]);
    assert_eq!(api.get(&path).await, made, "its ticks stay");
    let events = api.get("/v1/audit").await;
    assert_eq!(events["items"][0]["action"], "schedule.triggered");
    let (status, body) = api.ask("POST", &runs, None, Value::Null).await;
    assert_eq!(
        (status, &body["code"]),
        (409, &json!("already_exists")),
        "{body}"
    );
}

#[tokio::test]
async fn whoever_has_the_system_token_fires_what_is_due() {
    let (api, made) = Api::new().await;
    let nothing = json!({"enqueued": 0, "passed_over": 0, "failed": 0, "more": false});
    assert_eq!(api.tick(Some(TOKEN)).await, (200, nothing.clone()));
    api.world.clock.advance(Duration::from_secs(24 * 3_600));
    for wrong in [
        None,
        Some("no token at all, of that length.."),
        Some(&TOKEN[1..]),
    ] {
        let (status, body) = api.tick(wrong).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")));
    }
    let fired = json!({"enqueued": 1, "passed_over": 0, "failed": 0, "more": false});
    assert_eq!(api.tick(Some(TOKEN)).await, (200, fired));
    assert_eq!(api.tick(Some(TOKEN)).await, (200, nothing));
    let path = format!("/v1/schedules/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await["next_run_at"], "2026-11-04T05:00:00Z");
    let scans = api.get("/v1/scans").await;
    assert_eq!(scans["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_without_a_token_has_nothing_there() {
    let (mut api, _) = Api::new().await;
    api.app = api.world.router(&api.tenant);
    let (status, body) = api.tick(Some(TOKEN)).await;
    assert_eq!((status, &body["code"]), (404, &json!("not_found")));
}

#[test]
fn a_token_that_can_be_guessed_or_not_be_sent_is_refused() {
    for wrong in [
        "",
        "short",
        "0123456789abcdef 0123456789abcdef",
        "0123456789abcdef0123456789abcdeé",
    ] {
        assert!(
            SystemToken::new(wrong.to_owned().into()).is_err(),
            "{wrong:?}"
        );
    }
    let token = SystemToken::new(TOKEN.to_owned().into()).unwrap();
    assert!(!format!("{token:?}").contains(TOKEN));
}
