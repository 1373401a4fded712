//! The control plane of Trueno as an [`axum::Router`] that other services mount.
//!
//! | route | who | answers |
//! |---|---|---|
//! | `GET /healthz` | anybody | `ok` |
//! | `GET /openapi.json` | anybody | every JSON route, in full: [`openapi_document`] |
//! | `/v1/…` | a member whose role allows it | JSON |
//! | `POST /v1/system/tick` | whoever has the system's token, where there is one | what was fired, as JSON |
//! | `GET /` | a member | the page of the organization's latest scan |
//! | `GET /scans/{id}` | a member | the page of one scan |
//! | `GET /style.css` | anybody | the pages' one style sheet |
//!
//! Who asks is told by an [`Authenticator`](trueno_core::access::Authenticator) that the embedder
//! brings, from the request's bearer token; a browser opens a page with `?token=` once and keeps it as
//! a cookie, which counts where a request only reads. The organization is the one that the header
//! `Trueno-Organization` names, or the only one that the user is a member of. What a user may do there
//! is looked up for each request through [`trueno_core::access::authorize`], and nothing else gives a
//! scope (P1). What may not be seen is answered like what is not there.
//!
//! Rows that change have a `version`, which is their `ETag`: who changes one sends it as `If-Match`,
//! and is told with 412 where somebody else was faster.
//!
//! Each answer has an `x-request-id`: that of the request where it is a UUID, else the trace of its
//! `traceparent`, else a new one. The request's span has it as `correlation`, and so have the jobs that
//! it enqueues and their spans.
//!
//! Errors are problem details (RFC 9457, `application/problem+json`): `type`, `title`, `status`,
//! `detail` and `code`, the last one being
//! [`ErrorKind::code`](trueno_core::error::ErrorKind::code) or `method_not_allowed`.
//!
//! # Mounting
//! ```
//! # use std::sync::Arc;
//! # use trueno_core::access::Identity;
//! # use trueno_core::clock::SystemClock;
//! # use trueno_core::id::IdSource;
//! # use trueno_core::clock::Clock;
//! use trueno_http::{FixedIdentity, HttpState, loopback_only, router};
//!
//! # let store = trueno_store_memory::MemoryStore::new(Arc::new(SystemClock), IdSource::random());
//! # let user = IdSource::random().next(SystemClock.now());
//! let clock = Arc::new(SystemClock);
//! let identity = FixedIdentity::new(Identity::authenticated(user));
//! let state = HttpState::new(Arc::new(store), Arc::new(identity), clock);
//! let trueno = router(state).layer(loopback_only());
//! let app: axum::Router = axum::Router::new().nest("/trueno", trueno);
//! ```
//! Use `nest` or `nest_service`: the router has fallbacks of its own, which `merge` accepts only
//! where the other router has none. Links on the pages are relative, so that they hold under any
//! prefix, a reverse proxy's included.

mod api;
mod authenticator;
mod correlation;
mod extract;
mod headers;
mod loopback;
mod page;
mod problem;
mod routes;
mod state;

pub use api::{
    AccountItem, ChangeItem, CommentItem, ConnectedAccount, CountItem, EventItem, ExceptionItem,
    FindingItem, FindingList, List, MemberItem, NextRuns, ProbeItem, RecommendationItem,
    RequestedScanItem, ResourceItem, ScanItem, ScheduleItem, TickItem, VerifiedAccount,
    openapi_document,
};
pub use authenticator::{FixedIdentity, LocalToken};
pub use loopback::{LoopbackOnly, loopback_only};
pub use routes::router;
pub use state::{HttpState, SystemToken};
