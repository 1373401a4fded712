//! What there is to attack, read from the catalog.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::support::ROLES;

/// Tables that hold no tenant data, or what work across organizations looks it up by: neither app nor
/// processor reads them. Any other has to be seeded, and is attacked in full.
const SHARED: [&str; 15] = [
    "schema_migration",
    "schema_info",
    "worker_session",
    "context_key",
    "member_lookup",
    "exception_due",
    "audit_outbox",
    "schedule_due",
    "worker_batch",
    "queue_organization",
    "queue_turn",
    "queue_lane",
    "queue_key",
    "queue_note",
    "queue_paused_kind",
];

/// As whom an attack runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    App,
    Processor,
}

impl Role {
    pub(crate) const ALL: [Self; 2] = [Self::App, Self::Processor];

    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Processor => "processor",
        }
    }

    /// Its name on the server.
    pub(crate) fn name(self) -> String {
        format!("{ROLES}_{}", self.short())
    }
}

/// A column, and what app and processor may do with it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) nullable: bool,
    /// The server alone gives its value.
    pub(crate) generated: bool,
    select: [bool; 2],
    insert: [bool; 2],
    update: [bool; 2],
}

impl Column {
    pub(crate) fn may(&self, role: Role, what: Privilege) -> bool {
        let of = match what {
            Privilege::Select => self.select,
            Privilege::Insert => self.insert,
            Privilege::Update => self.update,
        };
        of[role as usize]
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Privilege {
    Select,
    Insert,
    Update,
}

/// A unique index, of a constraint or not.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) predicate: Option<String>,
    pub(crate) constraint: bool,
    pub(crate) primary: bool,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(crate) columns: Vec<String>,
    pub(crate) table: String,
    pub(crate) referenced: Vec<String>,
}

/// A CHECK: its columns and its expression.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) columns: Vec<String>,
    pub(crate) expression: String,
}

/// A table or view.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Whether it holds rows of organizations: seeded, and compared with the twin.
    pub(crate) tenant: bool,
    pub(crate) view: bool,
    pub(crate) columns: Vec<Column>,
    pub(crate) keys: Vec<Key>,
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) checks: Vec<Check>,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> &Column {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .unwrap_or_else(|| panic!("{} has no column {name}", self.name))
    }

    pub(crate) fn may(&self, role: Role, what: Privilege) -> Vec<&Column> {
        let settable = |column: &Column| matches!(what, Privilege::Select) || !column.generated;
        self.columns
            .iter()
            .filter(|column| column.may(role, what) && settable(column))
            .collect()
    }

    /// The columns that rows are given values of.
    pub(crate) fn settable(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }

    pub(crate) fn primary(&self) -> &[String] {
        let key = self.keys.iter().find(|key| key.primary);
        key.map_or(&[], |key| &key.columns)
    }

    /// Whether a CHECK lists what the column may hold.
    pub(crate) fn lists(&self, column: &Column) -> bool {
        self.checks
            .iter()
            .any(|check| check.columns == [column.name.clone()] && check.expression.contains('\''))
    }
}

/// A function, and who may call it.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, String)>,
    execute: [bool; 2],
}

impl Function {
    pub(crate) fn may(&self, role: Role) -> bool {
        self.execute[role as usize]
    }
}

/// Everything in the schema.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) tables: Vec<Table>,
    pub(crate) functions: Vec<Function>,
    /// Functions of triggers, which nobody but their tables calls.
    pub(crate) triggers: Vec<String>,
    pub(crate) sequences: Vec<String>,
    /// Views and tables of the server itself, readable by everybody.
    pub(crate) catalogs: Vec<(String, bool)>,
}

async fn rows(connection: &mut PgConnection, sql: &str) -> Vec<PgRow> {
    let sql = sql.replace("@roles@", ROLES);
    let rows = connection.fetch_all(AssertSqlSafe(sql.as_str())).await;
    rows.unwrap_or_else(|error| panic!("{sql}\n{error}"))
}

impl Schema {
    /// Reads it as an administrator.
    pub(crate) async fn read(connection: &mut PgConnection) -> Self {
        let named = rows(
            connection,
            "select relname::text, relkind = 'v' from pg_class
             where relnamespace = 'trueno'::regnamespace and relkind in ('r', 'p', 'v')
             order by 1",
        )
        .await;
        let mut tables = Vec::new();
        for row in named {
            tables.push(table(connection, row.get(0), row.get(1)).await);
        }
        let functions = rows(
            connection,
            "select p.proname::text, coalesce(a.names, '{}'), coalesce(a.types, '{}'),
                has_function_privilege('@roles@_app', p.oid, 'execute'),
                has_function_privilege('@roles@_processor', p.oid, 'execute')
             from pg_proc p left join lateral (
                select array_agg(coalesce(p.proargnames[i], '') order by i) as names,
                    array_agg(format_type(p.proargtypes[i - 1], null) order by i) as types
                from generate_series(1, p.pronargs) i
             ) a on true
             where p.pronamespace = 'trueno'::regnamespace and p.prorettype <> 'trigger'::regtype
             order by p.oid::regprocedure::text",
        )
        .await;
        let functions = functions.iter().map(|row| Function {
            name: row.get(0),
            arguments: std::iter::zip(row.get::<Vec<String>, _>(1), row.get::<Vec<String>, _>(2))
                .collect(),
            execute: [row.get(3), row.get(4)],
        });
        let functions = functions.collect();
        let triggers = rows(
            connection,
            "select proname::text from pg_proc
             where pronamespace = 'trueno'::regnamespace and prorettype = 'trigger'::regtype
             order by 1",
        )
        .await;
        let sequences = rows(
            connection,
            "select relname::text from pg_class
             where relnamespace = 'trueno'::regnamespace and relkind = 'S' order by 1",
        )
        .await;
        let catalogs = rows(
            connection,
            "select format('%I.%I', n.nspname, c.relname), exists (
                select from pg_attribute a where a.attrelid = c.oid and a.attname = 'datname'
             )
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')
             order by 1",
        )
        .await;
        Self {
            tables,
            functions,
            triggers: triggers.iter().map(|row| row.get(0)).collect(),
            sequences: sequences.iter().map(|row| row.get(0)).collect(),
            catalogs: catalogs
                .iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect(),
        }
    }

    pub(crate) fn table(&self, name: &str) -> &Table {
        self.tables
            .iter()
            .find(|table| table.name == name)
            .unwrap_or_else(|| panic!("there is no table {name}: the suite relies on it"))
    }

    /// Tables with rows of organizations.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.tenant)
    }
}

async fn table(connection: &mut PgConnection, name: String, view: bool) -> Table {
    let relation = format!("'trueno.{name}'::regclass");
    let columns = rows(
        connection,
        &format!(
            "select a.attname::text,
                -- A length is part of the type only where values of another one are refused.
                format_type(a.atttypid, case when a.atttypid = 'bit'::regtype then a.atttypmod end),
                not a.attnotnull,
                a.attidentity = 'a' or a.attgenerated <> '',
                array_agg(has_column_privilege(r.name, a.attrelid, a.attnum, 'select') order by nth),
                array_agg(has_column_privilege(r.name, a.attrelid, a.attnum, 'insert') order by nth),
                array_agg(has_column_privilege(r.name, a.attrelid, a.attnum, 'update') order by nth)
             from pg_attribute a
             cross join (values ('@roles@_app', 1), ('@roles@_processor', 2)) r (name, nth)
             where a.attrelid = {relation} and a.attnum > 0 and not a.attisdropped
             group by a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
                a.attidentity, a.attgenerated
             order by a.attnum"
        ),
    )
    .await;
    let flags = |row: &PgRow, nth: usize| {
        let flags: Vec<bool> = row.get(nth);
        [flags[0], flags[1]]
    };
    let columns = columns.iter().map(|row| Column {
        name: row.get(0),
        kind: row.get(1),
        nullable: row.get(2),
        generated: row.get(3),
        select: flags(row, 4),
        insert: flags(row, 5),
        update: flags(row, 6),
    });
    let columns: Vec<Column> = columns.collect();
    let keys = rows(
        connection,
        &format!(
            "select c.relname::text, pg_get_expr(i.indpred, i.indrelid), k.oid is not null,
                i.indisprimary, array_agg(a.attname::text order by x.nth)
             from pg_index i join pg_class c on c.oid = i.indexrelid
             left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u')
             cross join unnest(i.indkey::smallint[]) with ordinality x (attnum, nth)
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = x.attnum
             where i.indrelid = {relation} and i.indisunique and x.nth <= i.indnkeyatts
             group by c.relname, i.indpred, i.indrelid, k.oid, i.indisprimary order by 1"
        ),
    )
    .await;
    let keys = keys.iter().map(|row| Key {
        name: row.get(0),
        predicate: row.get(1),
        constraint: row.get(2),
        primary: row.get(3),
        columns: row.get(4),
    });
    let foreign = rows(
        connection,
        &format!(
            "select c.confrelid::regclass::text, array_agg(a.attname::text order by x.nth),
                array_agg(b.attname::text order by x.nth)
             from pg_constraint c
             cross join unnest(c.conkey, c.confkey) with ordinality x (mine, theirs, nth)
             join pg_attribute a on a.attrelid = c.conrelid and a.attnum = x.mine
             join pg_attribute b on b.attrelid = c.confrelid and b.attnum = x.theirs
             where c.conrelid = {relation} and c.contype = 'f' group by c.oid, c.confrelid
             order by c.oid"
        ),
    )
    .await;
    let foreign = foreign.iter().map(|row| Foreign {
        table: row.get::<String, _>(0).replace("trueno.", ""),
        columns: row.get(1),
        referenced: row.get(2),
    });
    let checks = rows(
        connection,
        &format!(
            "select pg_get_expr(c.conbin, c.conrelid), array_agg(a.attname::text order by a.attnum)
             from pg_constraint c
             join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
             where c.conrelid = {relation} and c.contype = 'c' group by c.oid order by c.oid"
        ),
    )
    .await;
    let checks = checks.iter().map(|row| Check {
        expression: row.get(0),
        columns: row.get(1),
    });
    let partition: bool = rows(
        connection,
        &format!("select relispartition from pg_class where oid = {relation}"),
    )
    .await[0]
        .get(0);
    Table {
        // A partition has the rows of its parent; it is attacked as it stands.
        tenant: !view && !partition && !SHARED.contains(&name.as_str()),
        view,
        keys: keys.collect(),
        foreign: foreign.collect(),
        checks: checks.collect(),
        columns,
        name,
    }
}
