//! A client of the API, and an organization for it to ask about.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use trueno_core::model::CloudAccount;
use trueno_testkit::fixtures::{Tenant, finding_id};

use crate::common::{World, complete, finding};

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, about: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let detail = self.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(about), "{about:?} is not in {detail:?}");
    }

    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }
}

pub(crate) struct Api {
    pub(crate) world: World,
    pub(crate) tenant: Tenant,
    pub(crate) account: CloudAccount,
    pub(crate) app: Router,
}

impl Api {
    /// An organization whose account was scanned, with one finding on `vol-1`.
    pub(crate) async fn scanned() -> Self {
        let world = World::new();
        let tenant = world.tenant().await;
        let account = world.account(&tenant, "Production").await;
        let found = vec![finding("vol-1", Some(1_000_000))];
        world.scanned(&tenant, &account, complete(), found).await;
        let app = world.router(&tenant);
        Self {
            world,
            tenant,
            account,
            app,
        }
    }

    pub(crate) fn finding(&self) -> String {
        format!("/v1/findings/{}", finding_id(self.account.id, "vol-1"))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.app, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn json(
        &self,
        method: &str,
        path: &str,
        etag: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json");
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}
