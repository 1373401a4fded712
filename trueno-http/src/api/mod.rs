//! The JSON routes, and the document that describes them: both come from the same list.

mod accounts;
mod audit;
mod exceptions;
mod findings;
mod members;
mod organization;
mod resources;
mod scans;
mod schedules;
mod schema;
mod system;

use axum::Json;
use serde::{Deserialize, Serialize};
use trueno_core::port::{Cursor, Page};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::HttpState;

pub use accounts::{AccountItem, ConnectedAccount, ProbeItem, VerifiedAccount};
pub use audit::EventItem;
pub use exceptions::ExceptionItem;
pub use findings::{
    ChangeItem, CommentItem, CountItem, FindingItem, FindingList, RecommendationItem,
};
pub use members::MemberItem;
pub use resources::ResourceItem;
pub use scans::{RequestedScanItem, ScanItem};
pub use schedules::{NextRuns, ScheduleItem};
pub use system::TickItem;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last one, however full it is.
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

impl<T> List<T> {
    fn of<R>(page: Page<R>, item: impl Fn(R) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(item).collect(),
            next: page.next,
        }
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Trueno",
        description = "Scans cloud accounts, finds wasted spend and proves the savings. Errors are \
                       problem details (RFC 9457)."
    ),
    components(schemas(crate::problem::Body)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "What the server's authenticator takes. The header `Trueno-Organization` names the \
                 organization, for members of several.",
            ))
            .build();
        let system = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The token that the server was given for whoever operates it.",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        components.add_security_scheme("system", SecurityScheme::Http(system));
    }
}

/// The routes of the API with their document.
pub(crate) fn routes() -> (axum::Router<HttpState>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(healthz))
        .routes(routes!(accounts::list, accounts::connect))
        .routes(routes!(
            accounts::one,
            accounts::change,
            accounts::disconnect
        ))
        .routes(routes!(accounts::verify))
        .routes(routes!(scans::request))
        .routes(routes!(scans::list))
        .routes(routes!(scans::one))
        .routes(routes!(resources::list))
        .routes(routes!(findings::list))
        .routes(routes!(findings::counts))
        .routes(routes!(findings::one, findings::change))
        .routes(routes!(findings::history))
        .routes(routes!(findings::comments, findings::comment))
        .routes(routes!(findings::assign, findings::unassign))
        .routes(routes!(findings::recommendations))
        .routes(routes!(exceptions::list, exceptions::request))
        .routes(routes!(exceptions::one, exceptions::decide))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(
            schedules::one,
            schedules::change,
            schedules::remove
        ))
        .routes(routes!(schedules::runs, schedules::trigger))
        .routes(routes!(members::list, members::add))
        .routes(routes!(members::one, members::change, members::remove))
        .routes(routes!(audit::list))
        .routes(routes!(organization::export))
        .routes(routes!(organization::erase))
        .routes(routes!(system::tick))
        .routes(routes!(openapi))
        .split_for_parts();
    for item in document.paths.paths.values_mut() {
        for operation in [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ]
        .into_iter()
        .flatten()
        {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), any_problem().into());
        }
    }
    (router, document)
}

/// What every route answers where something is wrong.
fn any_problem() -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description("A problem")
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}

/// The OpenAPI document of [`router`](crate::router)'s JSON routes.
#[must_use]
pub fn openapi_document() -> OpenApi {
    routes().1
}

/// Says that the server runs.
#[utoipa::path(get, path = "/healthz", tag = "server", security(()), responses(
    (status = OK, description = "It runs", body = String, content_type = "text/plain"),
))]
async fn healthz() -> &'static str {
    "ok"
}

/// Describes this API.
#[utoipa::path(get, path = "/openapi.json", tag = "server", security(()), responses(
    (status = OK, description = "The OpenAPI document", body = Object),
))]
async fn openapi() -> Json<OpenApi> {
    Json(openapi_document())
}
