//! Every route, asked by strangers: a new route is in here by being in the table.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt;
use trueno_core::access::Identity;
use trueno_core::clock::Clock;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{IdSource, OrganizationId, ScanId, UserId};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::fixtures::organization;

use crate::routes::{member_routes, open_routes};
use crate::{Authenticator, HttpState, router};

/// Nobody without a `user` header; the organization is what the client says.
#[derive(Debug)]
struct ByHeader;

#[async_trait]
impl Authenticator for ByHeader {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<(Identity, OrganizationId)> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(user), Some(organization)) = (text("user"), text("organization")) else {
            return Err(Error::new(ErrorKind::Unauthenticated, "sign in"));
        };
        let user: UserId = user.parse()?;
        Ok((Identity::authenticated(user), organization.parse()?))
    }
}

async fn ask(
    app: &axum::Router,
    path: &str,
    who: Option<(UserId, OrganizationId)>,
) -> (StatusCode, String) {
    let mut request = Request::get(path);
    if let Some((user, organization)) = who {
        request = request
            .header("user", user.to_string())
            .header("organization", organization.to_string());
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_route_of_members_refuses_whoever_is_none() {
    let clock = ManualClock::default();
    let ids = IdSource::seeded(1);
    let store = MemoryStore::new(clock.shared(), ids.clone());
    let ours = organization(&store, ids.next(clock.now()), ids.next(clock.now()))
        .await
        .unwrap();
    let theirs = organization(&store, ids.next(clock.now()), ids.next(clock.now()))
        .await
        .unwrap();
    let app = router(HttpState::new(
        Arc::new(store),
        Arc::new(ByHeader),
        clock.shared(),
    ));
    let scan: ScanId = ids.next(clock.now());
    let nowhere: OrganizationId = ids.next(clock.now());

    let concrete = |path: &str| path.replace("{id}", &scan.to_string());
    for (path, _) in open_routes() {
        let nobody = ask(&app, &concrete(path), None).await;
        assert_eq!(nobody.0, StatusCode::OK, "{path}");
    }
    for (path, _) in member_routes() {
        let ask = async |who| ask(&app, &concrete(path), who).await;
        let nobody = ask(None).await;
        assert_eq!(nobody.0, StatusCode::UNAUTHORIZED, "{path}: {}", nobody.1);
        let stranger = ask(Some((theirs.owner, ours.id))).await;
        assert_eq!(stranger.0, StatusCode::NOT_FOUND, "{path}");
        let missing = ask(Some((theirs.owner, nowhere))).await;
        assert_eq!(stranger, missing, "{path}: whether it exists is not told");
        // The fixture has no scan: a member is let in, and then told so.
        let member = ask(Some((ours.owner, ours.id))).await;
        let expected = if path.contains("{id}") {
            "scan not found"
        } else if path == "/" {
            "No scan yet"
        } else {
            "\"items\":[]"
        };
        assert!(member.1.contains(expected), "{path}: {}", member.1);
    }
}
