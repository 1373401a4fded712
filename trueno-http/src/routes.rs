//! The table of routes.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::problem::Problem;
use crate::{HttpState, api, correlation, headers, page};

/// Bytes of a body at the most: 64 KiB.
const BODY_LIMIT: usize = 64 * 1_024;

/// The control plane. See the [crate's page](crate) for its routes and how to mount it.
pub fn router(state: HttpState) -> Router {
    let (api, _) = api::routes();
    let correlate = from_fn_with_state(state.clone(), correlation::correlate);
    pages(&state)
        .route("/style.css", get(style))
        .merge(api)
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(headers::secure))
        .layer(correlate)
        .with_state(state)
}

/// The pages, for members with a browser.
fn pages(state: &HttpState) -> Router<HttpState> {
    let login = from_fn_with_state(state.clone(), page::login);
    Router::new()
        .route("/", get(page::latest))
        .route("/scans/{id}", get(page::scan))
        .route_layer(login)
}

async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        // Holds no tenant's data, and a page that refreshes itself asks for it every second.
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, include_str!("../assets/style.css"))
}
