//! The plans of list and claim statements, as the store really runs them: pinned by snapshots on
//! an empty, a small and a large database, and held to what any snapshot has to show.
//!
//! After a change that is meant, `TRUENO_BLESS=1 cargo test -p trueno-store-postgres --test plans`
//! writes the snapshots anew; what changed is then read in the diff.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod cases;
mod data;
mod facts;
mod golden;
mod notices;
mod plan;
#[path = "../support/mod.rs"]
mod support;

use cases::Case;
use data::Size;
use golden::Golden;
use notices::Notices;

/// How the server may plan a prepared statement: for the values of one run, as it does the first
/// times, or once for all values, as it may do later.
const MODES: [&str; 2] = ["force_custom_plan", "force_generic_plan"];

#[tokio::test]
async fn plans_are_as_pinned() {
    let notices = Notices::default();
    // Of this thread only: its runtime has no other, and other tests keep their own.
    let _listening = tracing::subscriber::set_default(notices.subscriber());
    let mut golden = Golden::default();
    let mut complaints = Vec::new();
    for size in [Size::Empty, Size::Small, Size::Large] {
        let data = data::load(size).await;
        let catalog = facts::Catalog::read(&data.database).await;
        let mut modes = Vec::new();
        for mode in MODES {
            modes.push(cases::read(&data, &notices, mode).await);
        }
        for (cases, mode) in modes.iter_mut().zip(MODES) {
            cases.extend(cases::work(&data, &notices, mode).await);
        }
        for case in modes.iter().flatten() {
            assert!(!case.plans.is_empty(), "{size:?}: {case:?} has no plan");
            if size == Size::Large {
                complaints.extend(catalog.complaints(case));
            }
        }
        let [custom, generic] = modes.try_into().expect("one list of cases for each mode");
        let names = |cases: &[Case]| cases.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&custom), names(&generic), "each mode runs each case");
        for (custom, generic) in custom.iter().zip(&generic) {
            golden.add(size, custom, generic);
        }
    }
    let version = server_version().await;
    // No bad plan is ever pinned.
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    golden.check(version);
}

/// The server's major version: plans belong to one.
async fn server_version() -> i64 {
    let database = support::Database::create().await;
    let version = "select current_setting('server_version_num')::bigint / 10000";
    database.number(version).await
}
