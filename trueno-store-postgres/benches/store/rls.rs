//! What policies cost a statement, and what it costs to enter an organization.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use trueno_core::port::{Count, FindingFilter, PageRequest, ReadView, TenantStore as _};
use trueno_testkit::fixtures::Tenant;

use crate::data::COUNTED;
use crate::notices::{Notices, Told, store_with};
use crate::report::{Line, Target};
use crate::support::{Database, ROLES};
use crate::world::median;
use crate::world::{Bench, TIMED, statement_time};
use crate::{Options, note};

const ROWS: usize = 200_000;
const ORGANIZATIONS: usize = 50;
/// What somebody looks at, beside the largest page that programs ask for.
const SCREEN: usize = 50;
/// Visits to each organization, and statements of each visit.
const VISITS: usize = 6;
const STATEMENTS: usize = 8;
/// The server may plan a prepared statement anew the first times.
const WARM_UP: usize = 20;
const ENTRIES: usize = 2_000;

pub(crate) async fn run(options: &Options, notices: &Notices) {
    let rows = options.rows(ROWS);
    note!("rls: loading {rows} findings of {ORGANIZATIONS} organizations");
    let bench = Bench::new().await;
    let mut tenants = Vec::new();
    for _ in 0..ORGANIZATIONS {
        let tenant = bench.world.organization().await;
        bench.findings(&tenant, rows / ORGANIZATIONS).await;
        tenants.push(tenant);
    }
    bench.database.execute("vacuum analyze").await;
    let bare = without_policies(&bench).await;

    let sides = [&bench.database, &bare];
    let largest = PageRequest::largest();
    read("rls list", sides, &tenants, notices, async |view| {
        list(view, &largest).await;
    })
    .await;
    let screen = PageRequest::first(SCREEN).unwrap();
    read("rls list 50", sides, &tenants, notices, async |view| {
        list(view, &screen).await;
    })
    .await;
    read("rls count", sides, &tenants, notices, async |view| {
        count(view).await;
    })
    .await;
    count_all(sides, &tenants, notices).await;
    enter(&bench.database, &tenants, notices).await;
}

/// The same database, block by block, in which no policy applies.
async fn without_policies(bench: &Bench) -> Database {
    let copy = Database::create().await;
    let name = |database: &Database| {
        let options = database.options();
        options.get_database().expect("it has a name").to_owned()
    };
    let (from, to) = (name(&bench.database), name(&copy));
    bench.store.close().await;
    let mut admin = crate::support::server().connect().await.unwrap();
    for statement in [
        // Who is connected keeps a database from being copied.
        format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{from}'"),
        format!("drop database {to}"),
        format!("create database {to} template {from}"),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    admin.close().await.unwrap();
    copy.execute(
        "do $$ declare name text; begin
            for name in select oid::regclass::text from pg_class
                where relnamespace = 'trueno'::regnamespace and relrowsecurity
            loop
                execute format('alter table %s disable row level security', name);
            end loop;
         end $$",
    )
    .await;
    // Neither side writes hints or statistics while it is measured.
    copy.execute("vacuum analyze").await;
    copy
}

/// What the store asks for a reader, by its own statements.
async fn read(
    metric: &'static str,
    sides: [&Database; 2],
    tenants: &[Tenant],
    notices: &Notices,
    ask: impl AsyncFn(&mut dyn ReadView),
) {
    let stores = [
        store_with(sides[0], &TIMED).await,
        store_with(sides[1], &TIMED).await,
    ];
    let mut times = [Vec::new(), Vec::new()];
    for visit in 0..VISITS {
        for tenant in tenants {
            let mut views = [
                stores[0].read(&tenant.read).await.unwrap(),
                stores[1].read(&tenant.read).await.unwrap(),
            ];
            for nth in 0..STATEMENTS * 2 {
                // Ours first, then theirs first, in turns.
                let side = (nth + nth / 2 + visit) % 2;
                notices.take();
                ask(&mut *views[side]).await;
                times[side].push(statement_time(notices));
            }
        }
    }
    report(metric, times);
}

/// The first page of findings.
async fn list(view: &mut dyn ReadView, page: &PageRequest) {
    let filter = FindingFilter::default();
    let page = view.findings(&filter, page).await.unwrap();
    assert!(!page.items.is_empty(), "the organization has findings");
}

/// How many findings of a severity there are: counted by hand, up to the limit.
async fn count(view: &mut dyn ReadView) {
    let filter = FindingFilter::default().with_severity(COUNTED);
    let count = view.count_findings(&filter).await.unwrap();
    assert_ne!(count, Count::Exactly(0), "the organization has findings");
}

/// How many findings an organization has, counted row by row.
async fn count_all(sides: [&Database; 2], tenants: &[Tenant], notices: &Notices) {
    let mut sides = [counting(sides[0]).await, counting(sides[1]).await];
    let mut times = [Vec::new(), Vec::new()];
    for visit in 0..VISITS {
        for tenant in tenants {
            for side in &mut sides {
                side.execute("begin read only").await.unwrap();
                sqlx::query("select bench.enter($1)")
                    .bind(tenant.id.as_uuid())
                    .execute(&mut *side)
                    .await
                    .unwrap();
            }
            for nth in 0..STATEMENTS * 2 {
                let side = (nth + nth / 2 + visit) % 2;
                notices.take();
                let count: i64 =
                    sqlx::query_scalar("select count(*) from finding where organization_id = $1")
                        .bind(tenant.id.as_uuid())
                        .fetch_one(&mut sides[side])
                        .await
                        .unwrap();
                assert!(count > 0, "the organization has findings");
                times[side].push(statement_time(notices));
            }
            for side in &mut sides {
                side.execute("rollback").await.unwrap();
            }
        }
    }
    report("rls count all", times);
}

/// A connection as the app, which may enter any organization here: the statement that it runs is not
/// the store's, and the key is.
async fn counting(database: &Database) -> PgConnection {
    let door = format!(
        "create schema bench;
         grant usage on schema bench to {ROLES}_app;
         create function bench.enter(the_organization uuid) returns void
         language sql security definer set search_path = trueno, pg_temp
         as 'select context_enter_checked(the_organization)';
         grant usage, create on schema bench to {ROLES}_system;
         alter function bench.enter owner to {ROLES}_system;"
    );
    database.execute(&door).await;
    let app = format!("{ROLES}_app");
    let own = [("role", app.as_str()), ("search_path", "trueno")];
    let options = database.options().options(own).options(TIMED);
    options.connect().await.expect("the app connects")
}

fn report(metric: &'static str, times: [Vec<f64>; 2]) {
    let [ours, bare] = times.map(|times| median(times.into_iter().skip(WARM_UP).collect()));
    Line {
        metric,
        peer: "same statement without policies, ms",
        ours,
        peer_value: bare,
        target: Some(Target::AtMost(1.15)),
    }
    .print("store");
}

/// The store's round trip that enters an organization, beside the least that a round trip costs.
async fn enter(database: &Database, tenants: &[Tenant], notices: &Notices) {
    let store = store_with(database, &[]).await;
    let mut admin = database.admin().await;
    let mut times = [Vec::new(), Vec::new()];
    for tenant in tenants.iter().cycle().take(ENTRIES) {
        notices.take();
        drop(store.read(&tenant.read).await.unwrap());
        times[0].push(round_trip(notices, "select enter("));
        notices.take();
        sqlx::query("select 1").execute(&mut admin).await.unwrap();
        times[1].push(round_trip(notices, "select 1"));
    }
    let [ours, least] = times.map(|times| median(times.into_iter().skip(WARM_UP).collect()));
    Line {
        metric: "rls enter",
        peer: "round trip of select 1, ms",
        ours,
        peer_value: least,
        target: None,
    }
    .print("store");
}

/// How long the statement took that begins like this, as sqlx saw it, in milliseconds.
fn round_trip(notices: &Notices, beginning: &str) -> f64 {
    let told = notices.take();
    let seconds = told.iter().find_map(|told| match told {
        Told::Statement { text, seconds } if text.starts_with(beginning) => Some(*seconds),
        _ => None,
    });
    seconds.expect("the statement was sent") * 1_000.0
}
