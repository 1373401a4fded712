//! Attacks by SQL, generated from the catalog: no row, no value, no bit of existence of another
//! organization (P1).
//!
//! There are two databases ([`worlds`]): in one are organizations A and B, in the other B alone,
//! otherwise they are the same. An attacker with SQL of its own, logged in as app or processor, runs
//! every statement in both, in every context that it can bring about ([`contexts`]). What it is
//! answered (rows, counts, SQLSTATE, every part of an error's text) has to be the same, letter by
//! letter, and may hold no value of A's that the attacker did not write itself. Every table that
//! the catalog has is attacked, by every statement that it allows or refuses ([`reads`],
//! [`writes`]), once with the filter that application code should have and once without; so are the
//! functions, sequences and system catalogs ([`elsewhere`]), and the store's own statements without
//! their filters ([`sources`]).
//!
//! All of it straight on the server, and again through PgBouncer in transaction mode, where attackers
//! share the server's sessions with other clients. There a tenth is tried, or all in a full proof
//! ([`extent`]).
//!
//! EXPLAIN is the exception: it tells of the physical table, which everybody shares. There the answer
//! for A's values has to be that for values that exist nowhere. What the server tells everybody of a
//! whole table (its pages, its estimated rows, `ctid` and `xmin` of one's own rows) and how long
//! things take are outside of what is promised.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking and prints its figures"
)]

#[path = "../support/mod.rs"]
mod support;

mod canaries;
mod contexts;
mod elsewhere;
mod extent;
#[path = "../plans/notices.rs"]
mod notices;
mod reads;
mod run;
mod schema;
mod sources;
mod values;
mod worlds;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use contexts::{Context, Seals};
use extent::Extent;
use reads::{Filter, Maker};
use run::{Case, Tally, attack};
use schema::{Role, Table};
use serde_json::json;
use sources::Sent;
use support::way::Way;
use tokio::sync::OnceCell;
use trueno_testkit::proof;
use worlds::Worlds;

/// Statements on one table.
fn of_table(worlds: &Worlds, table: &Table, role: Role, context: Context) -> Vec<Case> {
    let mut cases = Vec::new();
    for filter in [Filter::Removed, Filter::Kept] {
        // What has no valid context is refused with the filter as without it.
        if filter == Filter::Kept && !matches!(context, Context::Absent | Context::Foreign) {
            continue;
        }
        let mut maker = Maker::new(worlds, table, role, filter);
        maker.select();
        maker.joins();
        maker.copy();
        if !table.view {
            maker.insert();
            maker.on_conflict();
            maker.update();
            maker.delete();
            maker.merge();
        }
        if filter == Filter::Removed && !table.view {
            maker.definition();
            if matches!(context, Context::Absent | Context::Foreign) {
                maker.explain();
            }
        }
        cases.extend(maker.cases);
    }
    cases
}

/// Everything, as one role in one context, on the tables and functions that `only` lets through.
async fn everything(
    worlds: &Worlds,
    seals: &Seals,
    role: Role,
    context: Context,
    extent: &mut Extent,
    only: &(dyn Fn(&str) -> bool + Sync),
) -> Tally {
    let mut cases = Vec::new();
    for table in &worlds.schema.tables {
        if (table.tenant || table.view) && only(&table.name) {
            cases.extend(of_table(worlds, table, role, context));
        }
    }
    let mut rest = elsewhere::functions(worlds, role);
    rest.extend(elsewhere::sequences(&worlds.schema));
    rest.retain(|case| only(&case.subject));
    cases.extend(rest);
    attack(worlds, seals, role, context, &extent.take(cases)).await
}

/// The store's own statements: the same for every way to the server.
async fn sent() -> &'static [Sent] {
    static SENT: OnceCell<Vec<Sent>> = OnceCell::const_new();
    SENT.get_or_init(async || {
        let migrated = support::Database::migrated(&support::keys()).await;
        let schema = schema::Schema::read(&mut migrated.admin().await).await;
        let sent = sources::sent(&schema).await;
        println!("attack: {} statements of the store itself", sent.len());
        sent
    })
    .await
}

async fn no_statement_tells(way: Way) {
    let sent = sent().await;
    // Each role has worlds of its own: they would wait for each other's locks.
    let as_role = async |role: Role| {
        let worlds = Worlds::new(way, "").await;
        let seals = Seals::new(&worlds).await;
        let mut extent = Extent::of(way, role);
        let own = sources::cases(&worlds, sent).await;
        let mut tally = Tally::default();
        for context in Context::ALL {
            let all = everything(&worlds, &seals, role, context, &mut extent, &|_| true);
            tally.merge(all.await);
            let own = extent.take(own.clone());
            tally.merge(attack(&worlds, &seals, role, context, &own).await);
        }
        for context in [Context::Absent, Context::Foreign] {
            let catalogs = extent.take(elsewhere::catalogs(&worlds.schema));
            tally.merge(attack(&worlds, &seals, role, context, &catalogs).await);
        }
        seals.still_valid().await;
        (worlds, tally)
    };
    let ((worlds, mut tally), (_, processor)) =
        tokio::join!(as_role(Role::App), as_role(Role::Processor));
    tally.merge(processor);
    print(way, &tally);

    let (leaks, mistakes) = (first(&tally), join(&tally.malformed));
    assert!(leaks.is_empty(), "{} leaks:\n{leaks}", tally.leaks.len());
    assert!(mistakes.is_empty(), "the suite's own mistakes:\n{mistakes}");
    assert!(tally.count() >= 2_000, "{} cases only", tally.count());
    // Attacks that never get anywhere would prove nothing.
    for table in worlds.schema.tenants() {
        for role in Role::ALL {
            let readable = !table.may(role, schema::Privilege::Select).is_empty();
            let reached = tally.reached.contains(&(table.name.clone(), role));
            assert_eq!(
                reached,
                readable,
                "{} reaches its own rows of {}",
                role.short(),
                table.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_tells_of_another_organization() {
    no_statement_tells(Way::Straight).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_tells_of_another_organization_behind_pgbouncer() {
    no_statement_tells(Way::Pooled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_reports_what_leaks_and_nothing_else() {
    canaries::sing(Way::Straight).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_reports_what_leaks_and_nothing_else_behind_pgbouncer() {
    canaries::sing(Way::Pooled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_reports_contexts_that_hold_where_they_should_not() {
    canaries::sing_of_contexts(Way::Straight).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_reports_contexts_that_hold_where_they_should_not_behind_pgbouncer() {
    canaries::sing_of_contexts(Way::Pooled).await;
}

/// The first leak of each subject by each kind of statement, and how many there are.
fn first(tally: &Tally) -> String {
    let mut kinds: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
    for leak in &tally.leaks {
        let kind = kinds.entry((&leak.subject, leak.statement));
        kind.or_insert((0, &leak.what)).0 += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|((subject, statement), (leaks, what))| {
            format!("{subject}, {statement}: {leaks}, such as\n{what}")
        })
        .collect();
    kinds.join("\n\n")
}

fn join(lines: &BTreeSet<String>) -> String {
    lines
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

/// How much was tried, by each of the four sides; the whole product goes to the report.
fn print(way: Way, tally: &Tally) {
    let name = way.proof("attack");
    let mut sides: [BTreeMap<&str, usize>; 4] = Default::default();
    for ((subject, statement, context, role), cases) in &tally.cases {
        let names = [subject.as_str(), statement, context.name(), role.short()];
        for (side, name) in sides.iter_mut().zip(names) {
            *side.entry(name).or_default() += cases;
        }
        proof::report(
            &name,
            &json!({
                "subject": subject, "statement": statement, "context": context.name(),
                "role": role.short(), "cases": cases,
            }),
        );
    }
    println!(
        "{name}: {} cases, {} leaks",
        tally.count(),
        tally.leaks.len()
    );
    for (title, side) in ["subject", "statement", "context", "role"]
        .iter()
        .zip(&sides)
    {
        let catalog =
            |name: &str| name.starts_with("pg_") || name.starts_with("information_schema");
        let counts: Vec<String> = side
            .iter()
            .filter(|(name, _)| !catalog(name))
            .map(|(name, cases)| format!("{name} {cases}"))
            .collect();
        println!("  by {title}: {}", counts.join(", "));
    }
}
