//! What a statement's own conditions could tell of other organizations' rows, by being asked before a
//! policy is. Every case takes the way to the server.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{BAD_CONTEXT, READABLE, enter, signature, two};
use crate::support::sqlstate;
use crate::support::way::Way;

/// Statements that look at `{t}` and meet no row, whatever there is: no table has so many pages.
/// (What the planner proves to be empty without a look, such as `any('{}')`, tells nothing.)
const OF_NO_ROW: [&str; 13] = [
    "select from {t} where ctid = '(4000000,1)'",
    "select from {t} where ctid > '(4000000,1)'",
    "select from {t} tablesample system (0)",
    "select f.organization_id from (select 1) o left join {t} f on f.ctid = '(4000000,1)'",
    "select f.organization_id from {t} f right join (select 1) o on f.ctid = '(4000000,1)'",
    "select from (select 1) o full join (select 1 from {t} where ctid = '(4000000,1)') f on 1 = 1",
    "select from {t} a join {t} b on a.organization_id = b.organization_id where b.ctid = '(4000000,1)'",
    "select where exists (select from {t} where ctid = '(4000000,1)')",
    "select where not exists (select from {t} where ctid = '(4000000,1)')",
    "select (select count(*) from {t} where ctid = '(4000000,1)')",
    "select c.n from (select 1) o, lateral (select count(*) as n from {t} where ctid = '(4000000,1)') c",
    "with f as materialized (select from {t} where ctid = '(4000000,1)') select from f",
    "select 1 from {t} where ctid = '(4000000,1)' union all select 2",
];

/// Conditions on `{t}` that some row meets, each with one like it that none does.
const MET_AND_NOT: [[&str; 2]; 3] = [
    ["o = '{two}'", "o = 'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    ["o is not null", "o is null"],
    ["c = '(0,1)'", "c = '(4000000,1)'"],
];

/// With indexes the planner begins where the organization's rows are, and without them at the first row
/// of all.
const PLANNER: [&str; 2] = ["on", "off"];

/// The SQLSTATE that a statement in this context ends with; none where it succeeds.
async fn asked(
    injected: &mut PgConnection,
    context: &str,
    indexes: &str,
    sql: &str,
) -> Option<String> {
    injected.execute("begin").await.unwrap();
    let set = format!(
        "select set_config('trueno.context', '{context}', true), {}",
        planner(indexes)
    );
    injected.execute(AssertSqlSafe(set)).await.unwrap();
    let answer = sqlstate(injected, sql).await;
    injected.execute("rollback").await.unwrap();
    answer
}

/// Settings, one of [`PLANNER`] each.
fn planner(indexes: &str) -> String {
    ["indexscan", "indexonlyscan", "bitmapscan"]
        .map(|scan| format!("set_config('enable_{scan}', '{indexes}', true)"))
        .join(", ")
}

/// Where nothing is met, no error would tell it: of how many rows there are, of whomever.
pub(crate) async fn a_wrong_context_is_an_error_where_no_row_is_met(way: Way) {
    let case = two(way).await;
    let forged = format!("test:{}:{}", case.one, "00".repeat(32));
    for role in ["app", "processor"] {
        let mut injected = way.injected(&case.database, role).await;
        let statements = READABLE
            .iter()
            .flat_map(|table| OF_NO_ROW.map(|sql| sql.replace("{t}", &format!("trueno.{table}"))));
        for sql in statements {
            for context in ["", "x", "test:a:b", &forged] {
                let refused = asked(&mut injected, context, "on", &sql).await;
                assert_eq!(
                    refused.as_deref(),
                    Some(BAD_CONTEXT),
                    "{role}, {context:?}: {sql}"
                );
            }
        }
    }
}

/// Where the planner makes one list of several tables, it lets a statement's own conditions come first:
/// what a wrong context is answered there is the same whether a row meets them or none.
pub(crate) async fn a_wrong_context_tells_nothing_of_rows_in_a_list_of_tables(way: Way) {
    let case = two(way).await;
    let forged = format!("test:{}:{}", case.two, "00".repeat(32));
    let lists = READABLE.iter().flat_map(|table| {
        let rows = format!("select ctid as c, organization_id as o from trueno.{table}");
        let nulls = "select null::tid, null::uuid".to_owned();
        [rows.clone(), nulls].map(|other| format!("{rows} union all {other}"))
    });
    let pairs: Vec<[String; 2]> = lists
        .flat_map(|list| {
            MET_AND_NOT.map(|pair| {
                pair.map(|condition| {
                    let condition = condition.replace("{two}", &case.two.to_string());
                    format!("select from ({list}) u where {condition}")
                })
            })
        })
        .collect();
    for role in ["app", "processor"] {
        let mut injected = way.injected(&case.database, role).await;
        for [met, not] in &pairs {
            for (context, indexes) in ["", "x", &forged]
                .iter()
                .flat_map(|context| PLANNER.map(|indexes| (context, indexes)))
            {
                assert_eq!(
                    asked(&mut injected, context, indexes, met).await,
                    asked(&mut injected, context, indexes, not).await,
                    "{role}, {context:?}, indexes {indexes}: {met}, {not}"
                );
            }
        }
    }
}

/// Where a statement's own condition does something, it does so to rows of the entered organization alone,
/// even where the server could ask it first.
pub(crate) async fn a_condition_is_not_asked_of_anothers_rows(way: Way) {
    let case = two(way).await;
    let mut injected = way.injected(&case.database, "app").await;
    let nobody = "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned();
    for table in READABLE {
        for (asked, wanted) in [
            (case.two.to_string(), None),
            (nobody.clone(), None),
            (case.one.to_string(), Some("22012")),
        ] {
            injected.execute("begin").await.unwrap();
            let mac = signature(way, &mut injected, "test", case.one).await;
            let enter = enter("test", case.one, &mac);
            injected.execute(AssertSqlSafe(enter)).await.unwrap();
            let unindexed = format!("select {}", planner("off"));
            injected.execute(AssertSqlSafe(unindexed)).await.unwrap();
            let sql = format!(
                "select count(*) from trueno.{table} where (case
                    when organization_id = '{asked}' then (select 1 / (random() * 0)::int)
                 end) is null"
            );
            let answer = sqlstate(&mut injected, &sql).await;
            assert_eq!(answer.as_deref(), wanted, "{table}: {asked}");
            injected.execute("rollback").await.unwrap();
        }
    }
}
