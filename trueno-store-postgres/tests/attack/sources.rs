//! The store's own statements, as it really sends them, with every filter by organization removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::future::{LocalBoxFuture, join_all};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use trueno_testkit::fixtures::World;
use trueno_testkit::noninterference::{self, Neighbour};
use trueno_testkit::{job_queue, tenant_store};

use super::notices::{Notices, Told};
use super::run::{Against, Case, How};
use super::schema::{Column, Schema, Table};
use super::values::Who;
use super::worlds::{Worlds, run};
use crate::support;

/// How many scripts of two-tenant non-interference are played.
const SCRIPTS: u64 = 2;

/// A statement that the store sent, and where its sources begin it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    place: String,
    sql: String,
}

/// A text of the sources.
#[derive(Clone, Debug)]
struct Literal {
    place: String,
    /// Spaces made one; what is put in as it runs divides it.
    parts: Vec<String>,
}

impl Literal {
    fn begins_statement(&self) -> bool {
        let words = [
            "select ",
            "insert into ",
            "update ",
            "delete from ",
            "with ",
        ];
        words.iter().any(|word| self.parts[0].starts_with(word))
    }

    /// Whether it is a statement on tables of tenants, or has a filter by organization.
    fn concerns(&self, schema: &Schema) -> bool {
        let filters = self
            .parts
            .iter()
            .any(|part| part.contains("organization_id = "));
        filters || self.begins_statement() && !tables(schema, &self.parts[0]).is_empty()
    }

    fn is_in(&self, sql: &str) -> bool {
        self.parts.iter().all(|part| sql.contains(part.as_str()))
    }
}

/// Plays on a store of its own, and answers every statement on tables of tenants that it sends.
/// What the sources have and the play does not send fails: it would not be attacked.
pub(crate) async fn sent(schema: &Schema) -> Vec<Sent> {
    let literals = literals();
    let schema = schema.clone();
    let recorded = tokio::task::spawn_blocking(move || record(&schema, &literals)).await;
    recorded.unwrap()
}

fn record(schema: &Schema, literals: &[Literal]) -> Vec<Sent> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let notices = Notices::default();
    // Somebody listens in every thread, to nothing: a thread where nobody does has the places that
    // tell of statements taken for silent ones, this thread's included.
    static EVERYWHERE: std::sync::Once = std::sync::Once::new();
    EVERYWHERE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    });
    // Of this thread only: the runtime has no other.
    let _listening = tracing::subscriber::set_default(notices.subscriber());
    runtime.block_on(play(&notices));
    // By what they are but for their spaces.
    let mut told = BTreeMap::new();
    for heard in notices.take() {
        if let Told::Statement { text, .. } = heard {
            told.insert(one_line(&text), text);
        }
    }
    let missing: Vec<String> = literals
        .iter()
        .filter(|literal| literal.concerns(schema))
        .filter(|literal| !told.keys().any(|line| literal.is_in(line)))
        .map(|literal| format!("{}: {}", literal.place, literal.parts.join("…")))
        .collect();
    assert!(
        missing.is_empty(),
        "nothing that is played sends these, so that nothing is known of them: play more in \
         attack/sources.rs:\n{}",
        missing.join("\n")
    );
    let mut sent = Vec::new();
    for (line, sql) in told {
        if tables(schema, &line).is_empty() {
            continue;
        }
        let begins = literals
            .iter()
            .filter(|literal| literal.begins_statement() && line.starts_with(&literal.parts[0]))
            .max_by_key(|literal| literal.parts[0].len());
        let place = begins.map(|literal| literal.place.clone());
        let place = place.unwrap_or_else(|| panic!("no source begins: {line}"));
        sent.push(Sent { place, sql });
    }
    sent
}

/// Lives of everything, drawn at random, and cases of the suites for what they do seldom. Their
/// databases are there before anybody listens: migrations have statements of their own.
async fn play(notices: &Notices) {
    let harness = support::harness().await;
    let lives = async {
        for script in 0..SCRIPTS {
            noninterference::run(&harness, script, Neighbour::Absent).await;
        }
    };
    let mut plays: Vec<LocalBoxFuture<'_, ()>> = vec![Box::pin(lives)];
    macro_rules! cases {
        ($($port:ident::$theme:ident::$case:ident),+ $(,)?) => {
            $(let world = World::new(support::harness().await).await;
            plays.push(Box::pin($port::$theme::$case(world)));)+
        };
    }
    cases! {
        job_queue::cancel::a_finished_job_is_left_alone,
        job_queue::cancel::a_running_job_is_asked_to_stop,
        job_queue::dead::a_dead_job_begins_anew,
        job_queue::dead::jobs_are_listed,
        tenant_store::accounts::a_connection_goes_through_its_machine,
        tenant_store::assignments::a_removed_member_is_assigned_to_nothing,
        tenant_store::comments::comments_come_oldest_first,
        tenant_store::exceptions_end::resolving_closes_the_exception,
        tenant_store::filters::findings_are_found_by_their_present_tags,
        tenant_store::filters::findings_pass_every_filter,
        tenant_store::filters::resources_pass_every_filter,
        tenant_store::findings::a_members_steps_go_through_the_machine,
        tenant_store::finish::a_failed_attempt_keeps_the_scan_running,
        tenant_store::members::a_members_role_decides_from_the_commit_on,
        tenant_store::members::one_owner_stays,
        tenant_store::presence::what_comes_back_is_the_same,
        tenant_store::scans::cancelling_a_waiting_job_ends_its_scan,
        tenant_store::schedules::a_schedule_is_paused_resumed_and_removed,
        tenant_store::scheduling::a_tick_fires_once,
    }
    let _ = notices.take();
    join_all(plays).await;
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every text in the store's sources but those that migrate.
fn literals() -> Vec<Literal> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests of the crate itself come last in a file.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if rest.starts_with("//") {
                at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("'\"'") {
                at += 3;
            } else if rest.starts_with('"') {
                let (value, length) = literal(rest);
                let parts = value.split(['{', '}']).step_by(2).map(one_line);
                let parts = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>();
                if !parts.is_empty() {
                    let line = text[..at].lines().count();
                    let place = format!("src/{name}:{line}");
                    found.push(Literal { place, parts });
                }
                at += length;
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
    }
    let statements = found.iter().filter(|literal| literal.begins_statement());
    assert!(statements.count() > 80, "the sources have more statements");
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("migrate") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The string literal that `text` begins with, and how long it is in the source.
fn literal(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut rest = &text[1..];
    loop {
        let mut chars = rest.chars();
        let next = chars.next().expect("a literal ends");
        rest = chars.as_str();
        match next {
            '"' => return (value, text.len() - rest.len()),
            '\\' => match rest.chars().next() {
                // The line goes on.
                Some('\n') => rest = rest.trim_start(),
                Some(escaped) => {
                    value.push(if escaped == 'n' { '\n' } else { escaped });
                    rest = &rest[escaped.len_utf8()..];
                }
                None => {}
            },
            other => value.push(other),
        }
    }
}

/// Takes the filters by organization out; how many there were.
fn without_filter(sql: &str) -> (String, usize) {
    const FILTER: &str = "organization_id = $";
    let mut out = String::new();
    let (mut rest, mut removed) = (sql, 0);
    while let Some(at) = rest.find(FILTER) {
        let before = &rest[..at];
        let unqualified = before.strip_suffix('.').map_or(before, |before| {
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        let number = &rest[at + FILTER.len()..];
        let digits = number.len()
            - number
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        out += &format!("{unqualified}${}::uuid is not null", &number[..digits]);
        rest = &number[digits..];
        removed += 1;
    }
    (out + rest, removed)
}

/// The statements as attacks: B runs them, and everything that it binds is A's.
pub(crate) async fn cases(worlds: &Worlds, sent: &[Sent]) -> Vec<Case> {
    let mut admin = worlds.with.admin().await;
    run(&mut admin, "set search_path = trueno").await;
    let mut cases = Vec::new();
    for Sent { place, sql } in sent {
        let (bare, removed) = without_filter(sql);
        assert!(
            removed > 0 || sql.trim_start().starts_with("insert"),
            "{place}: reads or changes tenants' rows without a filter by organization: {sql}"
        );
        // All of a new row has the time in it, which is another in the other world.
        let bare = match bare.trim_end().strip_suffix("returning *") {
            Some(bare) => format!("{bare} returning organization_id"),
            None => bare,
        };
        let tables = tables(&worlds.schema, sql);
        let kinds = parameters(&mut admin, place, &bare, &tables).await;
        for organization in [Who::A, Who::B] {
            cases.push(Case {
                subject: place.clone(),
                statement: "own statement",
                sql: bind(worlds, &tables, &bare, &kinds, organization),
                how: How::Query,
                against: Against::Twin,
            });
        }
    }
    cases
}

/// The tables of tenants that a statement names.
fn tables<'a>(schema: &'a Schema, sql: &str) -> Vec<&'a Table> {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let named = words.windows(2).filter_map(|pair| {
        ["from", "update", "into", "join"]
            .contains(&pair[0])
            .then(|| schema.tenants().find(|table| table.name == pair[1]))
            .flatten()
    });
    named.collect()
}

/// The types of its parameters, as the server infers them; where it cannot, as the columns have them
/// that they are compared with.
async fn parameters(
    admin: &mut PgConnection,
    place: &str,
    sql: &str,
    tables: &[&Table],
) -> Vec<String> {
    let kind_of = |name: &str| column(tables, name).map(|(_, column)| column.kind.clone());
    let last = (1..).take_while(|nth| places_of(sql, *nth).next().is_some());
    let mut kinds: Vec<String> = last
        .map(|nth| match unnested(sql, nth) {
            // Arrays of any type could be meant.
            Some(name) => format!("{}[]", kind_of(&name).unwrap_or_else(|| "text".to_owned())),
            None => "unknown".to_owned(),
        })
        .collect();
    loop {
        let prepare = match kinds.len() {
            0 => format!("prepare it as {sql}"),
            _ => format!("prepare it ({}) as {sql}", kinds.join(", ")),
        };
        let Err(error) = admin.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await else {
            break;
        };
        let message = error.to_string();
        let unknown = message
            .split_once("data type of parameter $")
            .and_then(|(_, nth)| nth.split(' ').next()?.parse::<usize>().ok())
            .filter(|nth| kinds[nth - 1] == "unknown")
            .and_then(|nth| Some((nth, kind_of(&compared(sql, nth)?)?)));
        match unknown {
            Some((nth, kind)) => kinds[nth - 1] = kind,
            None => panic!("{place}: without its filter it is no statement: {sql}\n{message}"),
        }
    }
    let kinds = "select parameter_types::text[] from pg_prepared_statements where name = 'it'";
    let kinds: Vec<String> = admin.fetch_one(kinds).await.unwrap().get(0);
    run(admin, "deallocate it").await;
    kinds
}

/// The column of that name, of the first of these tables that has one.
fn column<'a>(tables: &[&'a Table], name: &str) -> Option<(&'a Table, &'a Column)> {
    tables.iter().find_map(|table| {
        let column = table.columns.iter().find(|column| column.name == name)?;
        Some((*table, column))
    })
}

/// Puts values in the place of parameters: of the columns that they are compared with or inserted
/// into, otherwise anything of the type.
fn bind(
    worlds: &Worlds,
    tables: &[&Table],
    sql: &str,
    kinds: &[String],
    organization: Who,
) -> String {
    let mut bound = sql.to_owned();
    for nth in (1..=kinds.len()).rev() {
        let kind = &kinds[nth - 1];
        let name = compared(sql, nth)
            .or_else(|| unnested(sql, nth))
            .or_else(|| inserted(sql, nth));
        let of = name.as_ref().and_then(|name| column(tables, name));
        let value = match (of, name.as_deref()) {
            (_, Some("organization_id")) => format!("'{}'::uuid", organization.organization()),
            (Some((table, column)), _) if fits(&column.kind, kind) => {
                let value = worlds.value(&table.name, &column.name, Who::A, 0);
                match kind.strip_suffix("[]") {
                    Some(element) if !column.kind.ends_with("[]") => {
                        format!("array[({value})::{element}]")
                    }
                    _ => format!("({value})::{kind}"),
                }
            }
            // Which part of a table to read.
            _ if sql.contains(&format!(">= ${nth}::text::tid")) => "'(0,0)'::text".to_owned(),
            _ if sql.contains(&format!("${nth}::text::tid")) => "'(100,0)'::text".to_owned(),
            (_, Some("bits")) => format!("array[repeat('10', 2048)]::{kind}"),
            _ => of_kind(kind, organization),
        };
        bound = bound.replace(&format!("${nth}"), &format!("({value})"));
    }
    bound
}

/// Whether values of a column can stand for a parameter.
fn fits(column: &str, kind: &str) -> bool {
    column == kind || kind.strip_suffix("[]") == Some(column) || ["text", "text[]"].contains(&kind)
}

fn of_kind(kind: &str, organization: Who) -> String {
    if let Some(element) = kind.strip_suffix("[]") {
        return format!("array[{}]::{kind}", of_kind(element, organization));
    }
    let value = match kind {
        "uuid" => organization.organization(),
        "jsonb" => "{}".to_owned(),
        "text" => "zA~".to_owned(),
        "boolean" => "true".to_owned(),
        "timestamp with time zone" => "2003-03-03 03:03:03+00".to_owned(),
        "bytea" => "\\x00".to_owned(),
        _ => "1".to_owned(),
    };
    format!("'{value}'::{kind}")
}

/// Where the nth parameter is.
fn places_of(sql: &str, nth: usize) -> impl Iterator<Item = usize> {
    let parameter = format!("${nth}");
    let all: Vec<usize> = sql
        .match_indices(&parameter)
        .map(|(at, _)| at)
        .filter(|at| !sql[at + parameter.len()..].starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    all.into_iter()
}

/// The column that a parameter is compared with or assigned to.
fn compared(sql: &str, nth: usize) -> Option<String> {
    places_of(sql, nth).find_map(|at| {
        let before = sql[..at].trim_end().trim_end_matches('(').trim_end();
        let before = ["= any", "=", "<>", "<", ">"]
            .iter()
            .find_map(|operator| before.strip_suffix(operator))?
            .trim_end();
        let part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let name: String = before.chars().rev().take_while(part).collect();
        (!name.is_empty()).then(|| name.chars().rev().collect())
    })
}

/// The name that `unnest(…) as alias (names)` gives a parameter.
fn unnested(sql: &str, nth: usize) -> Option<String> {
    let at = places_of(sql, nth).next()?;
    let (_, arguments) = sql[..at].rsplit_once("unnest(")?;
    if arguments.contains(')') {
        return None;
    }
    let (_, names) = sql[at..].split_once(')')?;
    let (alias, names) = names.split_once('(')?;
    // What follows may be another clause, which has parentheses of its own.
    let clauses = |word: &str| ["on", "where", "join", "order", "for"].contains(&word);
    if alias.contains([',', '$', ')']) || alias.split_whitespace().any(clauses) {
        return None;
    }
    let names = names.split_once(')')?.0.split(',');
    let name = names.map(str::trim).nth(arguments.matches(',').count())?;
    Some(name.to_owned())
}

/// The column that a parameter is inserted into: columns are listed in the order of values.
fn inserted(sql: &str, nth: usize) -> Option<String> {
    let (_, rest) = sql.split_once("insert into")?.1.split_once('(')?;
    let (columns, rest) = rest.split_once(')')?;
    let rest = rest.trim_start();
    let values = rest
        .strip_prefix("values (")
        .or_else(|| rest.strip_prefix("select "))?;
    let at = top_level(values)
        .iter()
        .position(|value| places_of(value, nth).next().is_some())?;
    let name = columns.split(',').nth(at)?;
    Some(name.trim().to_owned())
}

/// The parts of a list, as commas outside of parentheses divide it, up to where it ends.
fn top_level(list: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        let ends = depth == 0 && (c == ')' || list[at..].starts_with(" from "));
        if ends || depth == 0 && c == ',' {
            parts.push(&list[begin..at]);
            begin = at + 1;
        }
        match c {
            _ if ends => return parts,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    parts
}
