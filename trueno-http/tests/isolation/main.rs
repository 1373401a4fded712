//! P1 over HTTP: every operation of the OpenAPI document and every page has its cross-tenant case, its
//! case without credentials and its case for every role. A new one without fails here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, helpers included"
)]

mod cases;
mod world;

use std::collections::BTreeSet;

use cases::{CASES, Case};
use trueno_core::access::allows;
use trueno_core::model::Role;
use trueno_http::openapi_document;
use world::{Answer, World};

/// The operations of the document and the pages, as `GET /v1/scans`.
fn operations() -> BTreeSet<String> {
    let document = openapi_document();
    let mut operations = pages();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
            ("HEAD", &item.head),
            ("OPTIONS", &item.options),
            ("TRACE", &item.trace),
        ] {
            if operation.is_some() {
                operations.insert(format!("{method} {path}"));
            }
        }
    }
    operations
}

/// What the router serves beside the document's operations: read from its table, which axum keeps
/// to itself.
fn pages() -> BTreeSet<String> {
    let table = include_str!("../../src/routes.rs");
    for other in [".nest", "_service("] {
        assert!(!table.contains(other), "{other} adds routes of its own");
    }
    assert_eq!(table.matches(".merge(").count(), 1, "the operations alone");
    let pages: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route("))
        .map(|route| {
            let page = route
                .strip_suffix("))")
                .and_then(|route| route.split_once(", get("));
            let (path, handler) = page.unwrap_or_else(|| panic!("more than a GET: {route}"));
            assert!(!handler.contains(['(', ')']), "more than a GET: {route}");
            format!("GET {}", path.trim_matches('"'))
        })
        .collect();
    assert_eq!(pages.len(), table.matches(".route(").count());
    assert!(pages.contains("GET /"), "the table was read: {pages:?}");
    pages
}

#[test]
fn every_operation_and_every_page_has_its_case() {
    let listed: BTreeSet<String> = CASES.iter().map(Case::name).collect();
    assert_eq!(listed.len(), CASES.len(), "each once");
    assert_eq!(listed, operations());
}

#[tokio::test]
async fn what_belongs_to_another_is_answered_like_what_is_nowhere() {
    for case in CASES.iter().filter(|case| case.names_something()) {
        // Twins: the same ids and the same time.
        let (world, twin) = (World::new().await, World::new().await);
        let before = world.export_of_a().await;
        let foreign = world.ask_as_b(case, &world.a).await;
        let nowhere = world.nowhere();
        let missing = twin.ask_as_b(case, &nowhere).await;
        assert_eq!(
            foreign.masked(&world.a),
            missing.masked(&nowhere),
            "P1: {}",
            case.name()
        );
        match (case.lists(), case.names_anybody) {
            (true, _) => assert!(foreign.is_empty_list(), "{}: {foreign:?}", case.name()),
            (false, true) => {}
            (false, false) => assert_eq!(foreign.status, 404, "{}: {foreign:?}", case.name()),
        }
        assert_eq!(before, world.export_of_a().await, "P1: {}", case.name());
    }
}

#[tokio::test]
async fn nothing_of_another_shows_in_any_answer() {
    for case in CASES {
        let world = World::new().await;
        let answer = world.ask_as_b(case, &world.b).await;
        assert!(answer.status < 500, "{}: {answer:?}", case.name());
        assert_ne!(
            answer.status,
            404,
            "{}: its own is found: {answer:?}",
            case.name()
        );
        for canary in world.canaries_of_a() {
            assert!(
                !answer.body.contains(&canary),
                "P1: {} shows {canary}",
                case.name()
            );
        }
    }
}

/// A browser's way to the pages, and to all else that is read.
#[tokio::test]
async fn a_cookie_shows_what_the_token_shows() {
    for case in CASES.iter().filter(|case| case.method == "GET") {
        for of_a in [true, false] {
            // Twins: the same ids and the same time.
            let (world, twin) = (World::new().await, World::new().await);
            let about = if of_a { &world.a } else { &world.b };
            let by_cookie = world.ask_by_cookie(case, about).await;
            assert_eq!(
                by_cookie,
                twin.ask_as_b(case, about).await,
                "{}",
                case.name()
            );
        }
    }
}

#[tokio::test]
async fn another_organization_is_answered_like_one_that_is_nowhere() {
    for case in CASES.iter().filter(|case| case.action.is_some()) {
        let world = World::new().await;
        let before = world.export_of_a().await;
        let foreign = world.ask_in(
            case,
            &world.a,
            Some(world.owner_of_b),
            Some(world.a.organization),
        );
        let foreign = foreign.await;
        let nowhere = world.nowhere();
        let missing = world.ask_in(
            case,
            &world.a,
            Some(world.owner_of_b),
            Some(nowhere.organization),
        );
        assert_eq!(foreign, missing.await, "P1: {}", case.name());
        assert_eq!(foreign.status, 404, "{}", case.name());
        assert_eq!(before, world.export_of_a().await, "P1: {}", case.name());
    }
}

#[tokio::test]
async fn nobody_gets_in_without_credentials() {
    for case in CASES {
        let world = World::new().await;
        let before = world.export_of_a().await;
        let answer = world.ask_in(case, &world.a, None, None).await;
        match case.action {
            None if case.system => assert_eq!(answer.status, 401, "{}", case.name()),
            None => assert_eq!(answer.status, 200, "{}", case.name()),
            Some(_) => assert_eq!(answer.status, 401, "{}: {answer:?}", case.name()),
        }
        assert_eq!(before, world.export_of_a().await, "{}", case.name());
    }
}

#[tokio::test]
async fn each_role_may_do_what_the_matrix_says_and_no_more() {
    for case in CASES {
        let Some(action) = case.action else { continue };
        for role in Role::ALL {
            let world = World::new().await;
            let before = world.export_of_a().await;
            let user = world.member_of_a(*role);
            let answer: Answer = world.ask_in(case, &world.a, Some(user), None).await;
            let name = case.name();
            if allows(*role, action) {
                assert!(answer.status < 300, "{name} as {role}: {answer:?}");
            } else {
                assert_eq!(answer.status, 403, "{name} as {role}: {answer:?}");
                assert_eq!(before, world.export_of_a().await, "{name} as {role}");
            }
        }
    }
}
