//! What ties a request to its log lines, to the jobs that it enqueues and to theirs.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use trueno_core::id::CorrelationId;
use uuid::Uuid;

use crate::HttpState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Gives each request a correlation id: the one that it names, or a new one. Its span has it, its
/// answer tells it, and so does the scope in which it acts. It is no proof of anything.
pub(crate) async fn correlate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let named = named(request.headers());
    let id = named.unwrap_or_else(|| state.ids.next(state.clock.now()));
    // Not the path itself, which names rows, nor the query, which may hold a token.
    let route = request.extensions().get::<MatchedPath>();
    let span = tracing::info_span!(
        "request",
        correlation = %id,
        method = %request.method(),
        route = route.map_or("none", MatchedPath::as_str),
    );
    request.extensions_mut().insert(id);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What the request calls itself: `x-request-id` where it is a UUID (32 hexadecimal digits, with dashes
/// or without), or the trace of a W3C `traceparent`. Anything else is no id of ours.
fn named(headers: &HeaderMap) -> Option<CorrelationId> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let request_id = || Uuid::try_parse(text(&REQUEST_ID)?).ok();
    let trace_id = || {
        // version-trace-parent-flags; later versions may go on.
        let mut parts = text(&TRACEPARENT)?.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let well_formed = version.len() == 2 && version != "ff" && trace.len() == 32;
        well_formed.then(|| Uuid::try_parse(trace).ok()).flatten()
    };
    request_id()
        .or_else(trace_id)
        .filter(|id| !id.is_nil())
        .map(CorrelationId::from_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af76519-16cd-43dd-8448-eb211c80319c";

    fn of(headers: &[(HeaderName, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        named(&map).map(|id| id.to_string())
    }

    #[test]
    fn a_request_names_itself_by_either_header() {
        let simple = ID.replace('-', "");
        let trace = format!("00-{simple}-b7ad6b7169203331-01");
        for (name, value) in [
            (REQUEST_ID, ID),
            (REQUEST_ID, &simple),
            (TRACEPARENT, &trace),
        ] {
            assert_eq!(of(&[(name, value)]).as_deref(), Some(ID), "{value}");
        }
        let other = "00-11111111111111111111111111111111-b7ad6b7169203331-01";
        let both = [(REQUEST_ID, ID), (TRACEPARENT, other)];
        assert_eq!(of(&both).as_deref(), Some(ID));
        let second = [(REQUEST_ID, "req_1"), (TRACEPARENT, &trace)];
        assert_eq!(of(&second).as_deref(), Some(ID));
    }

    #[test]
    fn what_is_no_id_names_nothing() {
        assert_eq!(of(&[]), None);
        for value in ["", "req_1", "<script>", "0af76519"] {
            assert_eq!(of(&[(REQUEST_ID, value)]), None, "{value}");
        }
        for value in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af76519-16cd-43dd",
        ] {
            assert_eq!(of(&[(TRACEPARENT, value)]), None, "{value}");
        }
    }
}
