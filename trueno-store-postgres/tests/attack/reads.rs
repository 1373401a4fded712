//! Attacks on a table by reading it.

use super::run::{Against, Case, How};
use super::schema::{Column, Privilege, Role, Table};
use super::values::Who;
use super::worlds::Worlds;

/// Whether statements have the filter by organization that application code should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Kept,
    Removed,
}

/// An index is asked for the entered organization whatever rows there are; which tables are large enough
/// for one is no secret of the server's.
const UNINDEXED: &str = "set local enable_indexscan = off; set local enable_indexonlyscan = off;
    set local enable_bitmapscan = off";

/// Makes the cases of one table.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) worlds: &'a Worlds,
    pub(crate) table: &'a Table,
    pub(crate) role: Role,
    pub(crate) filter: Filter,
    pub(crate) cases: Vec<Case>,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(worlds: &'a Worlds, table: &'a Table, role: Role, filter: Filter) -> Self {
        Self {
            worlds,
            table,
            role,
            filter,
            cases: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, statement: &'static str, sql: String) {
        self.add(statement, sql, How::Query, Against::Twin);
    }

    pub(crate) fn add(&mut self, statement: &'static str, sql: String, how: How, against: Against) {
        self.cases.push(Case {
            subject: self.table.name.clone(),
            statement,
            sql,
            how,
            against,
        });
    }

    pub(crate) fn name(&self) -> String {
        format!("\"{}\"", self.table.name)
    }

    /// The application's filter, or none.
    pub(crate) fn own(&self, alias: &str) -> String {
        match self.filter {
            Filter::Kept => format!("{alias}organization_id = '{}'", Who::B.organization()),
            Filter::Removed => "true".to_owned(),
        }
    }

    pub(crate) fn value(&self, column: &str, who: Who) -> String {
        self.worlds.value(&self.table.name, column, who, 0)
    }

    /// The columns that the role may use so; all where it may use none, to be refused.
    pub(crate) fn columns(&self, what: Privilege) -> Vec<&'a Column> {
        let may = self.table.may(self.role, what);
        if !may.is_empty() {
            return may;
        }
        self.table.settable().collect()
    }

    /// The columns to read, in SQL.
    pub(crate) fn list(&self) -> String {
        quoted(
            self.columns(Privilege::Select)
                .iter()
                .map(|c| c.name.as_str()),
        )
    }

    /// A's row by its key, the organization apart.
    pub(crate) fn key_is(&self, who: Who, alias: &str) -> String {
        let key = self
            .table
            .primary()
            .iter()
            .filter(|name| *name != "organization_id");
        let mut parts: Vec<String> = key
            .map(|name| format!("{alias}\"{name}\" = {}", self.value(name, who)))
            .collect();
        if parts.is_empty() {
            parts.push(format!("{alias}organization_id = '{}'", who.organization()));
        }
        parts.join(" and ")
    }

    pub(crate) fn select(&mut self) {
        let (t, own, list) = (self.name(), self.own(""), self.list());
        let key = match self.table.primary() {
            [] => list.clone(),
            key => quoted(key.iter().map(String::as_str)),
        };
        let a = Who::A.organization();
        let of_a = self.key_is(Who::A, "");
        self.push(
            "select",
            format!("select {list} from {t} where {own} order by {key}"),
        );
        self.push(
            "select",
            format!("select * from {t} where {own} order by {key}"),
        );
        self.push("select", format!("select count(*) from {t} where {own}"));
        self.push(
            "select",
            format!("select {list} from {t} where {own} and {of_a}"),
        );
        self.push(
            "select",
            format!("select {list} from {t} where {own} and organization_id = '{a}'"),
        );
        self.push(
            "select",
            format!(
                "select from {t} where {own} and organization_id <> '{}'",
                Who::B.organization()
            ),
        );
        self.push(
            "select",
            format!("select exists (select from {t} where {own} and {of_a})"),
        );
        self.push("select", format!("select count(*) from (select {list} from {t} tablesample bernoulli (100) where {own}) x"));
        self.push(
            "select",
            format!("select row_to_json(x)::text, x::text from {t} x where {own} order by {key}"),
        );
        self.push("select", format!("with x as materialized (select {list} from {t}) select * from x where {own} order by {key}"));
        if !self.table.view {
            self.push(
                "select",
                format!("select distinct tableoid::regclass::text from {t} where {own}"),
            );
        }
        if !self.table.view {
            // A place that holds a row, of whomever, is none that holds none.
            for place in [1, 2, 3, 4, 6, 8, 12] {
                self.push(
                    "select by place",
                    format!(
                        "select count(*) from {t} where {own} and {of_a} and ctid = '(0,{place})'"
                    ),
                );
                // Of the attacker's own, where each lies depends on how many others there are.
                self.push("union", format!("{UNINDEXED}; select count(*) from (select ctid as place, organization_id from {t} union all select ctid, organization_id from {t}) u where place = '(0,{place})' and organization_id = '{a}'"));
            }
        }
        self.push("cursor", format!("declare c cursor for select {list} from {t} where {own} order by {key}; fetch all from c; move backward all in c"));
        self.push("prepared", format!("prepare stolen (uuid) as select {list} from {t} where {own} and organization_id = $1; execute stolen ('{a}'); deallocate stolen"));
        self.push("temporary", format!("create temp table mine as select {list} from {t} where {own}; select count(*) from mine"));
        self.push("temporary", format!("create temp view mine as select {list} from {t} where {own}; select count(*) from mine"));
        for lock in ["update", "no key update", "share", "key share"] {
            for wait in ["nowait", "skip locked"] {
                self.push(
                    "lock",
                    format!("select {list} from {t} where {own} and {of_a} for {lock} {wait}"),
                );
                self.push("lock", format!("select count(*) from (select {list} from {t} where {own} for {lock} {wait}) x"));
            }
        }
        for column in self.columns(Privilege::Select) {
            let (name, value) = (
                format!("\"{}\"", column.name),
                self.value(&column.name, Who::A),
            );
            self.push(
                "select by value",
                format!("select {list} from {t} where {own} and {name} = {value}"),
            );
            self.push(
                "select by value",
                format!(
                    "select count(*), min({name}::text), max({name}::text) from {t} where {own}"
                ),
            );
            // One list of several tables, in which the planner lets these conditions come first.
            let union = format!("(select {name} as x from {t} union all select {name} from {t}) u");
            for condition in [format!("x = {value}"), "x is null".to_owned()] {
                self.push(
                    "union",
                    format!("{UNINDEXED}; select count(*) from {union} where {condition}"),
                );
            }
            self.push("select by index", format!("set local enable_seqscan = off; select count(*) from {t} where {own} and {name} = {value}"));
            self.push(
                "leaky function",
                format!("select count(*) from {t} where {own} and pg_temp.leak({name}::text)"),
            );
            self.push("error text", format!("select count(*) from {t} where {own} and 1 / (case when {name}::text ~ 'zA~|aaaaaaaa|2001-|7700' then 0 else 1 end) = 1"));
            self.push(
                "error text",
                format!("select count({name}::text::point) from {t} where {own} and {of_a}"),
            );
        }
    }

    pub(crate) fn joins(&mut self) {
        let (t, own) = (self.name(), self.own("c."));
        for foreign in self.table.foreign.clone() {
            let p = format!("\"{}\"", foreign.table);
            let pairs = foreign.columns.iter().zip(&foreign.referenced);
            let on: Vec<String> = pairs
                .filter(|(mine, _)| *mine != "organization_id")
                .map(|(mine, theirs)| format!("c.\"{mine}\" = p.\"{theirs}\""))
                .collect();
            let on = if on.is_empty() {
                "true".to_owned()
            } else {
                on.join(" and ")
            };
            for kind in ["join", "left join", "full join", "cross join lateral"] {
                let (target, on) = match kind {
                    "cross join lateral" => {
                        (format!("(select from {p} p where {on}) p"), String::new())
                    }
                    "full join" => (
                        format!("{p} p"),
                        "on c.organization_id = p.organization_id".to_owned(),
                    ),
                    _ => (format!("{p} p"), format!("on {on}")),
                };
                self.push("join", format!("select count(*), count(c.organization_id) from {t} c {kind} {target} {on} where {own}"));
            }
            for kind in ["exists", "not exists"] {
                self.push("join", format!("select count(*) from {t} c where {own} and {kind} (select from {p} p where {on})"));
            }
        }
        let of_a = self.key_is(Who::A, "c.");
        self.push("join", format!("select x.there, c.organization_id from (values (true)) x (there) left join {t} c on {own} and {of_a}"));
        self.push("join", format!("select count(*) from {t} c join {t} d on c.organization_id <> d.organization_id where {own}"));
    }

    pub(crate) fn explain(&mut self) {
        // Estimates of values that a CHECK lists tell what all organizations have together.
        let (t, own, list) = (self.name(), self.own(""), self.list());
        let mut conditions = vec![
            self.key_is(Who::A, ""),
            format!("organization_id = '{}'", Who::A.organization()),
            format!(
                "organization_id = '{}' and {}",
                Who::A.organization(),
                self.key_is(Who::A, "")
            ),
        ];
        for column in self.columns(Privilege::Select) {
            if !self.table.lists(column) && !["boolean", "smallint"].contains(&column.kind.as_str())
            {
                let value = self.value(&column.name, Who::A);
                conditions.push(format!("\"{}\" = {value}", column.name));
                conditions.push(format!(
                    "organization_id = '{}' and \"{}\" = {value}",
                    Who::A.organization(),
                    column.name
                ));
            }
        }
        // However the table is read, how many rows were taken out is told.
        const TOLD: &str = "explain (analyze, timing off, summary off, buffers off)";
        let by_index = format!("set local enable_seqscan = off; {TOLD}");
        let by_bitmap = format!("set local enable_indexscan = off; {by_index}");
        for condition in conditions {
            for how in ["explain", TOLD, &by_index, &by_bitmap] {
                self.add(
                    "explain",
                    format!("{how} select {list} from {t} where {own} and {condition}"),
                    How::Query,
                    Against::Nowhere,
                );
            }
        }
        let of_a = self.key_is(Who::A, "");
        let a = Who::A.organization();
        for sql in [
            format!("{TOLD} delete from {t} where {own} and {of_a}"),
            format!("{by_index} delete from {t} where {own} and {of_a}"),
            format!("explain (costs off) select {list} from {t} where organization_id = '{a}'"),
        ] {
            self.add("explain", sql, How::Query, Against::Nowhere);
        }
        // Read by an index, nothing depends on how many rows of others there are.
        let by_index = "set local enable_seqscan = off; set local enable_bitmapscan = off; \
            explain (analyze, costs off, timing off, summary off, buffers off)";
        self.push(
            "explain",
            format!("{by_index} select {list} from {t} where {own}"),
        );
        self.push(
            "explain",
            format!("{by_index} select count(*) from {t} where {own}"),
        );
        self.push("explain", format!("{by_index} delete from {t} where {own}"));
    }

    pub(crate) fn copy(&mut self) {
        let (t, own, list) = (self.name(), self.own(""), self.list());
        let into = quoted(
            self.columns(Privilege::Insert)
                .iter()
                .map(|c| c.name.as_str()),
        );
        let from = self.columns(Privilege::Select).into_iter();
        let from = quoted(
            from.filter(|column| !column.generated)
                .map(|c| c.name.as_str()),
        );
        // A copy that is refused before it begins leaves this client (sqlx 0.9.0) out of step, so
        // that is sent as a query; one that begins where it should have been refused fails loudly.
        let mut settable = self.table.settable();
        let readable = !self.table.may(self.role, Privilege::Select).is_empty();
        // What the server makes is no part of a whole table.
        let in_full = settable.all(|column| column.may(self.role, Privilege::Select));
        let how = |all: bool| {
            if !readable || all && (self.table.view || !in_full) {
                How::Query
            } else {
                How::CopyOut
            }
        };
        for (sql, how) in [
            (format!("copy {t} to stdout"), how(true)),
            (format!("copy {t} ({from}) to stdout"), how(self.table.view)),
            (
                format!("copy (select {list} from {t} where {own}) to stdout"),
                how(false),
            ),
        ] {
            self.add("copy out", sql, how, Against::Twin);
        }
        for sql in [
            format!("copy {t} from stdin"),
            format!("copy {t} ({into}) from stdin"),
        ] {
            self.add("copy in", sql, How::CopyIn, Against::Twin);
        }
        self.push("copy out", format!("copy {t} to program 'cat'"));
        self.push("copy in", format!("copy {t} ({into}) from '/nowhere'"));
    }

    pub(crate) fn definition(&mut self) {
        let t = self.name();
        let other = if self.role == Role::App {
            Role::Processor
        } else {
            Role::App
        };
        for sql in [
            format!("set local row_security = off; select count(*) from {t}"),
            format!("truncate {t}"),
            format!("alter table {t} disable row level security"),
            format!("alter table {t} no force row level security"),
            format!("alter table {t} owner to {}", self.role.name()),
            format!("create policy mine on {t} using (true)"),
            format!("drop policy tenant on {t}"),
            format!("create index on {t} (organization_id)"),
            format!(
                "create trigger mine before insert on {t} for each row execute function suppress_redundant_updates_trigger()"
            ),
            format!("create view mine as select * from {t}"),
            format!("comment on table {t} is 'mine'"),
            format!("grant select on {t} to public"),
            format!("reset role; select count(*) from {t}"),
            format!("set local role {}; select count(*) from {t}", other.name()),
            format!(
                "set local role {}; select count(*) from {t}",
                other.name().replace(other.short(), "system")
            ),
            format!(
                "set local role {}; select count(*) from {t}",
                other.name().replace(other.short(), "owner")
            ),
            format!(
                "set local session authorization {}; select count(*) from {t}",
                other.name()
            ),
        ] {
            self.push("definition", sql);
        }
    }
}

/// Names in SQL.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}
