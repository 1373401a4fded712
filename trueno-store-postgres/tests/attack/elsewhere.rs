//! Attacks on what is not a table of tenants: functions, sequences, and the server's own catalogs.

use super::run::{Against, Case, How};
use super::schema::{Function, Role, Schema};
use super::values::Who;
use super::worlds::Worlds;

/// Functions whose answers depend on other organizations by design, the columns of others that may
/// be in them, and why. A function that is not here has to answer as if there were no others.
pub(crate) const ACROSS: [(&str, &[&str]); 13] = [
    // A worker takes whatever is due: the claim, as its lease has it.
    ("claim", &["job."]),
    // Authentication asks on behalf of a user whom it knows.
    ("memberships", &["member.", "organization."]),
    // An id that is taken is refused; ids are drawn at random, by the server.
    ("create_organization", &[]),
    // Counts, for operators.
    ("queue_stats", &[]),
    // Operators limit an organization, ask for its limits and hold its jobs back: whether it is there is
    // answered, and numbers that an operator gave.
    ("queue_limits", &[]),
    ("set_queue_limits", &[]),
    ("pause_organization", &[]),
    // How many jobs of sessions that are over were taken back, whosever they are.
    ("recover_expired", &[]),
    // How many jobs that ended long ago were forgotten, whosever they were.
    ("forget_finished", &[]),
    // How many exceptions whose time ran out were ended, whosever they are.
    ("lapse_exceptions", &[]),
    // A scheduler works out the ticks of whatever is due.
    ("due_schedules", &["schedule."]),
    // Which session of the server holds vacuum back: whoever is there at the moment.
    ("vacuum_horizon", &[]),
    // What became of a tick that it was given.
    ("fire_schedule", &[]),
];

/// What numbers are.
const LIMIT: usize = 5;

/// How often a function is called for each organization.
const TURNS: usize = 8;

/// Every function that the role may call, with what is A's, and with B's organization and the rest
/// A's.
pub(crate) fn functions(worlds: &Worlds, role: Role) -> Vec<Case> {
    let mut cases = Vec::new();
    for function in &worlds.schema.functions {
        // A name may stand for several columns: each gets its turn.
        for (turn, organization) in (0..TURNS).flat_map(|turn| [(turn, Who::A), (turn, Who::B)]) {
            let arguments: Vec<String> = function
                .arguments
                .iter()
                .map(|(name, kind)| argument(worlds, name, kind, organization, turn))
                .collect();
            let call = format!("{}({})", function.name, arguments.join(", "));
            for sql in [format!("select * from {call}"), format!("select {call}")] {
                if cases.iter().any(|case: &Case| case.sql == sql) {
                    continue;
                }
                cases.push(Case {
                    subject: format!("{}()", function.name),
                    statement: "function",
                    sql,
                    how: How::Query,
                    against: held_against(function, role),
                });
            }
        }
    }
    for name in &worlds.schema.triggers {
        for sql in [
            format!("select {name}()"),
            format!(
                "create temp table mine (organization_id uuid); create trigger mine after insert \
                 on mine for each row execute function {name}()"
            ),
        ] {
            cases.push(Case {
                subject: format!("{name}()"),
                statement: "function",
                sql,
                how: How::Query,
                against: Against::Twin,
            });
        }
    }
    cases
}

fn held_against(function: &Function, role: Role) -> Against {
    let across = ACROSS.iter().find(|(name, _)| *name == function.name);
    match across {
        Some((_, allowed)) if function.may(role) => Against::Design(allowed),
        _ => Against::Twin,
    }
}

/// What to call a function with: what is A's by the argument's name, except for what stands for a
/// right to enter (nobody can know it), and something of the type where nothing is.
fn argument(worlds: &Worlds, name: &str, kind: &str, organization: Who, turn: usize) -> String {
    let base = name.trim_start_matches("the_");
    if base == "events" {
        return events(turn);
    }
    if let Some(element) = kind.strip_suffix("[]") {
        let single = base.strip_suffix('s').unwrap_or(base);
        let mut values = columns_called(worlds, single, element);
        if values.is_empty() {
            values.push(argument(worlds, single, element, organization, turn));
        }
        return format!("array[{}]::{kind}", values.join(", "));
    }
    if kind == "uuid" {
        let id = match base {
            "organization" | "organization_id" => organization.organization(),
            "token" | "session" => Who::B.uuid("nobody", base, 0),
            _ => {
                return pick(columns_called(worlds, base, kind), turn)
                    .unwrap_or_else(|| format!("'{}'::uuid", Who::A.uuid("nobody", base, 0)));
            }
        };
        return format!("'{id}'::uuid");
    }
    match kind {
        "text" if base == "key" => "'test'".to_owned(),
        "text" => {
            pick(columns_called(worlds, base, kind), turn).unwrap_or_else(|| "'zA~'".to_owned())
        }
        "bytea" => format!("'\\x{}'::bytea", "00".repeat(32)),
        "jsonb" => "'{}'::jsonb".to_owned(),
        "integer" | "bigint" | "smallint" => format!("{LIMIT}::{kind}"),
        "interval" => "'30 s'::interval".to_owned(),
        "boolean" => "true".to_owned(),
        "timestamp with time zone" => "clock_timestamp()".to_owned(),
        other => {
            panic!("the suite calls no function with {other}: teach it in attack/elsewhere.rs")
        }
    }
}

/// Ids for events to stage: one for each of [`LIMIT`], too few, one again and again, and those of A's.
fn events(turn: usize) -> String {
    let id = |nth: usize| match turn % 4 {
        0 => Who::B.uuid("nobody", "event", nth),
        1 => Who::B.uuid("nobody", "event", 0),
        _ => Who::A.uuid("audit_staged", "id", nth),
    };
    let many = if turn % 4 == 3 { 1 } else { LIMIT };
    let ids: Vec<String> = (0..many).map(|nth| format!("'{}'", id(nth))).collect();
    format!("array[{}]::uuid[]", ids.join(", "))
}

/// One of them; at every turn the next.
fn pick(mut values: Vec<String>, turn: usize) -> Option<String> {
    let last = values.len().checked_sub(1)?;
    Some(values.swap_remove(turn % (last + 1)))
}

/// A's values of columns that an argument may stand for: of that name, or the id of such a row.
fn columns_called(worlds: &Worlds, name: &str, kind: &str) -> Vec<String> {
    let mut values = Vec::new();
    for table in worlds.schema.tenants() {
        for column in &table.columns {
            let is_id = column.name == "id"
                && (table.name == name || table.name.ends_with(&format!("_{name}")));
            let named = column.name == name || column.name == format!("{name}_id");
            if column.kind == kind && !column.generated && (is_id || named) {
                // Not the first: that one runs under a lease.
                let value = worlds.value(&table.name, &column.name, Who::A, 1);
                if !value.starts_with("null") && !values.contains(&value) {
                    values.push(value);
                }
            }
        }
    }
    values
}

/// Sequences count what everybody does.
pub(crate) fn sequences(schema: &Schema) -> Vec<Case> {
    let mut cases = Vec::new();
    for sequence in &schema.sequences {
        for sql in [
            format!("select nextval('{sequence}')"),
            format!("select currval('{sequence}')"),
            format!("select setval('{sequence}', 1)"),
            format!("select last_value, is_called from {sequence}"),
            format!("select pg_sequence_last_value('{sequence}'::regclass)"),
            format!("select last_value from pg_sequences where sequencename = '{sequence}'"),
            format!("alter sequence {sequence} restart"),
        ] {
            cases.push(Case {
                subject: sequence.clone(),
                statement: "sequence",
                sql,
                how: How::Query,
                against: Against::Twin,
            });
        }
    }
    cases
}

/// The server's own tables and views: no value of A's is in any that is readable. What others run at
/// the moment is looked at in this database alone; other tests share the server.
pub(crate) fn catalogs(schema: &Schema) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |subject: &str, sql: String, against| {
        cases.push(Case {
            subject: subject.to_owned(),
            statement: "catalog",
            sql,
            how: How::Query,
            against,
        });
    };
    for (name, by_database) in &schema.catalogs {
        // The attackers' own statements name what they are after.
        let only = match (name.as_str(), by_database) {
            ("pg_catalog.pg_stat_activity", _) => {
                " x where datname = current_database() and pid <> pg_backend_pid()"
            }
            (_, true) => " x where datname = current_database()",
            _ => "",
        };
        push(
            name,
            format!("select * from {name}{only}"),
            Against::Nothing,
        );
    }
    for table in schema.tenants() {
        for catalog in ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"] {
            push(
                catalog,
                format!("select * from {catalog} where tablename = '{}'", table.name),
                Against::Twin,
            );
        }
    }
    for table in schema.tables.iter().filter(|table| !table.tenant) {
        push(
            &table.name,
            format!("select * from \"{}\"", table.name),
            Against::Nothing,
        );
    }
    cases
}
