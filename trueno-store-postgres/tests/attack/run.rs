//! Runs attacks in both worlds and compares what an attacker could tell them apart by.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, Either, Row as _};

use super::contexts::{Context, Seals, arrange};
use super::schema::Role;
use super::values::{found, nowhere};
use super::worlds::{Worlds, run};

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Query,
    CopyOut,
    CopyIn,
}

/// What an answer is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// The answer of the same statement where A is not.
    Twin,
    /// The answer, in the same database, of the same statement with values that exist nowhere. For
    /// what depends on how large tables are: the server tells that to everybody.
    Nowhere,
    /// Nothing: it varies by itself. No value of A's may be in it.
    Nothing,
    /// Nothing: it works across organizations by design. Of A's values only those of these columns,
    /// or tables, may be in it.
    Design(&'static [&'static str]),
}

/// One attack.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The table, function or catalog that it is aimed at.
    pub(crate) subject: String,
    /// The kind of statement.
    pub(crate) statement: &'static str,
    pub(crate) sql: String,
    pub(crate) how: How,
    pub(crate) against: Against,
}

/// A statement by which an attacker learned something.
#[derive(Clone, Debug)]
pub(crate) struct Leak {
    pub(crate) subject: String,
    pub(crate) statement: &'static str,
    pub(crate) what: String,
}

/// What was tried and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By subject, statement, context and role.
    pub(crate) cases: BTreeMap<(String, &'static str, Context, Role), usize>,
    pub(crate) leaks: Vec<Leak>,
    /// Statements that the server did not understand: the suite's own mistakes.
    pub(crate) malformed: BTreeSet<String>,
    /// Statements that read or changed rows of the attacker's own: that attacks get through at all.
    pub(crate) reached: BTreeSet<(String, Role)>,
}

impl Tally {
    pub(crate) fn count(&self) -> usize {
        self.cases.values().sum()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (key, cases) in other.cases {
            *self.cases.entry(key).or_default() += cases;
        }
        self.leaks.extend(other.leaks);
        self.malformed.extend(other.malformed);
        self.reached.extend(other.reached);
    }
}

/// SQLSTATEs of statements that were never run: syntax, unknown names, types that do not match.
const MALFORMED: [&str; 12] = [
    "42601", "42703", "42883", "42P01", "42804", "42P18", "42846", "42P10", "42704", "42725",
    "25P02", "42P02",
];

/// Runs `cases` in one context, as one role, in both worlds.
pub(crate) async fn attack(
    worlds: &Worlds,
    seals: &Seals,
    role: Role,
    context: Context,
    cases: &[Case],
) -> Tally {
    let mut with = worlds.attacker(&worlds.with, role).await;
    let mut without = worlds.attacker(&worlds.without, role).await;
    arrange(worlds, seals, role, context, [&mut with, &mut without]).await;
    let mut tally = Tally::default();
    for case in cases {
        let key = (case.subject.clone(), case.statement, context, role);
        *tally.cases.entry(key).or_default() += 1;
        let seen = observe(&mut with, &case.sql, case.how).await;
        if MALFORMED
            .iter()
            .any(|code| seen.contains(&format!("error {code}")))
        {
            tally.malformed.insert(format!("{}: {seen}", case.sql));
        }
        if seen.starts_with("row") {
            tally.reached.insert((case.subject.clone(), role));
        }
        let mut what = Vec::new();
        let stray: Vec<String> = match case.against {
            Against::Design(allowed) => found(&seen, &format!("{} {LEAKY}", case.sql))
                .into_iter()
                .filter(|value| !worlds.is_of(value, allowed))
                .collect(),
            _ => found(&seen, &format!("{} {LEAKY}", case.sql))
                .into_iter()
                .collect(),
        };
        if !stray.is_empty() {
            what.push(format!("A's values: {stray:?}"));
        }
        match case.against {
            Against::Twin => {
                let mut seen = seen;
                let mut twin = observe(&mut without, &case.sql, case.how).await;
                // The server's own vacuum holds locks for a moment; what tells of A stays.
                for _ in 0..LOCKED_TRIES {
                    let locked = [&seen, &twin].iter().any(|told| told.contains("55P03"));
                    if !locked || sorted(&twin) == sorted(&seen) {
                        break;
                    }
                    seen = observe(&mut with, &case.sql, case.how).await;
                    twin = observe(&mut without, &case.sql, case.how).await;
                }
                if sorted(&twin) != sorted(&seen) {
                    what.push(format!("with A:    {seen}\nwithout A: {twin}"));
                }
            }
            Against::Nowhere => {
                let other = observe(&mut with, &nowhere(&case.sql), case.how).await;
                // The statements' own literals apart.
                if nowhere(&other) != nowhere(&seen) {
                    what.push(format!("A's value:  {seen}\nnobody's:   {other}"));
                }
            }
            Against::Nothing | Against::Design(_) => {}
        }
        for what in what {
            tally.leaks.push(Leak {
                subject: case.subject.clone(),
                statement: case.statement,
                what: format!(
                    "{} | {} | {} | {}\n{}\n{what}",
                    case.subject,
                    case.statement,
                    context.name(),
                    role.short(),
                    case.sql
                ),
            });
        }
    }
    tally
}

/// How often a statement that met a lock is tried again.
const LOCKED_TRIES: usize = 10;

/// The lines of an answer in order: the server promises none to rows that nobody ordered, and takes
/// them as they lie. How often an index had to ask the table depends on when it was last vacuumed.
fn sorted(answer: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = answer
        .lines()
        .filter(|line| !line.contains("Heap Fetches"))
        .collect();
    lines.sort_unstable();
    lines
}

/// A function that tells whatever of A's it is asked about, and would rather be asked first.
pub(crate) const LEAKY: &str = "create or replace function pg_temp.leak(what text) returns boolean
    language plpgsql cost 0.0000001 as $$
    begin
        if what like '%zA~%' or what like '%aaaaaaaa%' or what like '%2001-%' then
            raise exception 'saw %', what;
        end if;
        return true;
    end $$";

/// Everything that the server answers: rows, count, or an error with all its parts.
async fn observe(connection: &mut PgConnection, sql: &str, how: How) -> String {
    let again = "rollback to savepoint s";
    let answer = match how {
        How::Query => query(connection, &format!("{again}; {sql}")).await,
        How::CopyOut => {
            run(connection, again).await;
            copy_out(connection, sql).await
        }
        How::CopyIn => {
            run(connection, again).await;
            copy_in(connection, sql).await
        }
    };
    answer.unwrap_or_else(|error| {
        let error = match &error {
            sqlx::Error::Database(error) => error.downcast_ref::<PgDatabaseError>(),
            other => panic!("{sql}\n{other}"),
        };
        describe(error)
    })
}

async fn query(connection: &mut PgConnection, sql: &str) -> sqlx::Result<String> {
    let mut results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    let (mut answer, mut first) = (String::new(), true);
    while let Some(result) = results.try_next().await? {
        match result {
            // What rolling back answers.
            Either::Left(_) if first => first = false,
            Either::Left(done) => answer += &format!("tag {}\n", done.rows_affected()),
            Either::Right(row) => answer += &format!("row {}\n", text(&row)?),
        }
    }
    Ok(answer)
}

fn text(row: &PgRow) -> sqlx::Result<String> {
    let mut values = Vec::new();
    for nth in 0..row.len() {
        let value = row.try_get_raw(nth)?;
        values.push(value.as_str().unwrap_or("null").to_owned());
    }
    Ok(values.join("|"))
}

async fn copy_out(connection: &mut PgConnection, sql: &str) -> sqlx::Result<String> {
    let mut out = connection.copy_out_raw(sql).await?;
    let mut answer = Vec::new();
    while let Some(bytes) = out.try_next().await? {
        answer.extend_from_slice(&bytes);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.lines().map(|line| format!("row {line}\n")).collect())
}

async fn copy_in(connection: &mut PgConnection, sql: &str) -> sqlx::Result<String> {
    let done = connection.copy_in_raw(sql).await?.finish().await?;
    Ok(format!("copied {done}"))
}

fn describe(error: &PgDatabaseError) -> String {
    let parts = [
        ("detail", error.detail()),
        ("hint", error.hint()),
        ("where", error.r#where()),
        ("schema", error.schema()),
        ("table", error.table()),
        ("column", error.column()),
        ("type", error.data_type()),
        ("constraint", error.constraint()),
        ("routine", error.routine()),
    ];
    let mut answer = format!("error {}: {}\n", error.code(), error.message());
    for (name, part) in parts {
        if let Some(part) = part {
            answer += &format!("{name}: {part}\n");
        }
    }
    answer
}
