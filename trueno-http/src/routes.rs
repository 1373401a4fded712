//! The table of routes.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use crate::problem::Problem;
use crate::{HttpState, api, headers, page};

/// A path and what answers it.
pub(crate) type Route = (&'static str, MethodRouter<HttpState>);

/// Routes for anybody: they tell nothing of any organization.
pub(crate) fn open_routes() -> Vec<Route> {
    vec![("/healthz", get(healthz)), ("/style.css", get(style))]
}

/// Routes for members. A test asks each of them as a stranger.
pub(crate) fn member_routes() -> Vec<Route> {
    vec![
        ("/", get(page::latest)),
        ("/scans/{id}", get(page::scan)),
        ("/v1/scans", get(api::scans)),
        ("/v1/scans/{id}", get(api::scan)),
    ]
}

/// The control plane. See the [crate's page](crate) for its routes and how to mount it.
pub fn router(state: HttpState) -> Router {
    open_routes()
        .into_iter()
        .chain(member_routes())
        .fold(Router::new(), |router, (path, answer)| {
            router.route(path, answer)
        })
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(map_response(headers::secure))
        .with_state(state)
}

async fn healthz() -> &'static str {
    "ok"
}

async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        // Holds no tenant's data, and a page that refreshes itself asks for it every second.
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, include_str!("../assets/style.css"))
}
