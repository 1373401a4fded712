//! Values that can be recognised wherever they come up, made from the types of columns so that
//! every CHECK and key holds.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::schema::{Column, Schema, Table};

/// Whose value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The organization that is attacked.
    A,
    /// The attacker's.
    B,
}

/// What A's values have in them, by kind: text, ids and bytes, times, bits, numbers. The second of
/// each pair is the same for values that exist nowhere: see [`nowhere`].
const MARKS: [(&str, &str); 5] = [
    ("zA~", "zN~"),
    ("aaaaaaaa", "cccccccc"),
    ("2001-", "2003-"),
    (
        "10101010101010101010101010101010",
        "11001100110011001100110011001100",
    ),
    ("7700", "7800"),
];

/// The same text with values that exist nowhere in the place of A's.
pub(crate) fn nowhere(text: &str) -> String {
    MARKS
        .iter()
        .fold(text.to_owned(), |text, (a, n)| text.replace(a, n))
}

/// A's values in `answer` that the attacker did not write into `sql`.
pub(crate) fn found(answer: &str, sql: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "~_.-".contains(c);
    answer
        .split(|c| !part(c))
        .filter(|word| {
            // A bare number may hold the mark by chance, inside of another one.
            MARKS[..4].iter().any(|(mark, _)| word.contains(mark))
                || (word.starts_with(MARKS[4].0) && word.len() >= 9)
        })
        .filter(|word| !sql.contains(word))
        .map(str::to_owned)
        .collect()
}

impl Who {
    fn letter(self) -> char {
        match self {
            Self::A => 'A',
            Self::B => 'B',
        }
    }

    fn hash(self, table: &str, column: &str, nth: usize) -> String {
        let hash = Sha256::digest(format!("{}/{table}/{column}/{nth}", self.letter()));
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Eight hexadecimal digits that begin each of its ids.
    fn prefix(self) -> &'static str {
        match self {
            Self::A => MARKS[1].0,
            Self::B => "bbbbbbbb",
        }
    }

    pub(crate) fn organization(self) -> String {
        self.uuid("organization", "organization_id", 0)
    }

    pub(crate) fn uuid(self, table: &str, column: &str, nth: usize) -> String {
        let hash = self.hash(table, column, nth);
        let (a, b, c, d) = (&hash[..4], &hash[4..7], &hash[7..10], &hash[10..22]);
        format!("{}-{a}-7{b}-8{c}-{d}", self.prefix())
    }

    fn number(self, digits: usize, hash: &str) -> String {
        let tail: String = hash.bytes().map(|b| char::from(b'0' + b % 10)).collect();
        let head = match self {
            Self::A => MARKS[4].0,
            Self::B => "7900",
        };
        format!("{head}{}", &tail[..digits - 4])
    }

    fn bits(self) -> &'static str {
        match self {
            Self::A => MARKS[3].0,
            Self::B => "10111011101110111011101110111011",
        }
    }

    fn year(self) -> &'static str {
        match self {
            Self::A => MARKS[2].0,
            Self::B => "2002-",
        }
    }
}

/// What a column may hold, best first: what can be recognised, then what a CHECK may ask for.
fn candidates(table: &Table, column: &Column, who: Who, nth: usize) -> Vec<String> {
    let hash = who.hash(&table.name, &column.name, nth);
    let mut values = plain(table, column, &column.kind, who, nth, &hash);
    if column.nullable {
        values.push(format!("null::{}", column.kind));
    }
    values
}

fn plain(
    table: &Table,
    column: &Column,
    kind: &str,
    who: Who,
    nth: usize,
    hash: &str,
) -> Vec<String> {
    if let Some(element) = kind.strip_suffix("[]") {
        let element = plain(table, column, element, who, nth, hash);
        return vec![format!("array[{}]", element[0]), format!("'{{}}'::{kind}")];
    }
    let text = format!("z{}~{}.{}~{nth}", who.letter(), table.name, column.name);
    let typed = |values: Vec<String>| -> Vec<String> {
        let typed = values.iter().map(|value| format!("'{value}'::{kind}"));
        typed.collect()
    };
    let day = format!("{}0{}-1{}", who.year(), 1 + nth % 9, nth / 9 % 10);
    match kind {
        "text" | "character varying" => {
            let mut values = vec![text];
            values.extend(literals(table, column));
            values.extend([who.number(12, hash), hash.to_owned(), format!("z{nth}")]);
            typed(values)
        }
        "uuid" => typed(vec![who.uuid(&table.name, &column.name, nth)]),
        "jsonb" | "json" => typed(vec![
            format!("{{\"canary\": \"{text}\"}}"),
            format!("[\"{text}\"]"),
            format!("\"{text}\""),
        ]),
        "bytea" => {
            let bytes = format!("{}{}", who.prefix(), &hash[8..]);
            typed(vec![format!("\\x{bytes}"), format!("\\x{bytes}{bytes}")])
        }
        "bigint" | "numeric" | "double precision" => {
            let mut values = vec![who.number(10, hash)];
            values.extend(["1", "0", "2", "4"].map(str::to_owned));
            typed(values)
        }
        "integer" => {
            let mut values = vec![who.number(9, hash)];
            values.extend(["1", "0", "2", "4"].map(str::to_owned));
            typed(values)
        }
        "smallint" => typed(vec![format!("{}", 1 + nth % 100), "0".into(), "1".into()]),
        "boolean" => typed(vec!["false".into(), "true".into()]),
        "timestamp with time zone" => typed(vec![format!("{day} 03:04:05.678901+00")]),
        "date" => typed(vec![day]),
        "interval" => typed(vec!["77 days".into()]),
        bits if bits.starts_with("bit(") => {
            let length: usize = bits[4..bits.len() - 1].parse().unwrap();
            typed(vec![who.bits().chars().cycle().take(length).collect()])
        }
        other => panic!(
            "{}.{}: the suite makes no value of type {other}: teach it in attack/values.rs",
            table.name, column.name
        ),
    }
}

/// Texts that the column's CHECKs name.
fn literals(table: &Table, column: &Column) -> Vec<String> {
    let mut found = Vec::new();
    for check in &table.checks {
        if check.columns.contains(&column.name) {
            let quoted = check.expression.split('\'').skip(1).step_by(2);
            found.extend(quoted.map(str::to_owned));
        }
    }
    found.dedup();
    found
}

/// Which candidate stands in which column, so that every CHECK holds; and the values that follow.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    chosen: BTreeMap<(String, String), usize>,
    /// What the server made of the first rows, by table and column: A's and B's.
    generated: BTreeMap<(String, String), [String; 2]>,
}

impl Values {
    /// Finds them with the server's own CHECKs.
    pub(crate) async fn choose(connection: &mut PgConnection, schema: &Schema) -> Self {
        let mut values = Self {
            chosen: BTreeMap::new(),
            generated: BTreeMap::new(),
        };
        for table in schema.tenants() {
            for group in linked(table) {
                values.choose_group(connection, schema, table, &group).await;
            }
        }
        values
    }

    /// Reads what the server made of rows that are there now.
    pub(crate) async fn read_generated(&mut self, connection: &mut PgConnection, schema: &Schema) {
        for table in schema.tenants() {
            for column in table.columns.iter().filter(|column| column.generated) {
                let mut made = Vec::new();
                for who in [Who::A, Who::B] {
                    let key = table.primary().iter().map(|name| {
                        format!("\"{name}\" = {}", self.of(schema, table, name, who, 0))
                    });
                    let sql = format!(
                        "select format('%L::{}', \"{}\") from \"{}\" where {}",
                        column.kind,
                        column.name,
                        table.name,
                        key.collect::<Vec<_>>().join(" and ")
                    );
                    let row = connection.fetch_one(AssertSqlSafe(sql.as_str())).await;
                    made.push(row.unwrap_or_else(|error| panic!("{sql}\n{error}")).get(0));
                }
                let key = (table.name.clone(), column.name.clone());
                self.generated.insert(key, made.try_into().unwrap());
            }
        }
    }

    async fn choose_group(
        &mut self,
        connection: &mut PgConnection,
        schema: &Schema,
        table: &Table,
        group: &BTreeSet<String>,
    ) {
        let mut from = Vec::new();
        let mut product = 1;
        for (nth, name) in group.iter().enumerate() {
            let column = table.column(name);
            // What refers to another table holds what that one holds.
            let refers = refers(table, name).filter(|_| name != "organization_id");
            let all = match refers {
                Some((other, to)) => {
                    let mut all = candidates(
                        schema.table(other),
                        schema.table(other).column(to),
                        Who::A,
                        0,
                    );
                    all.truncate(1);
                    if column.nullable {
                        all.push(format!("null::{}", column.kind));
                    }
                    all
                }
                None => candidates(table, column, Who::A, 0),
            };
            product *= all.len();
            let rows = all.iter().enumerate();
            let rows: Vec<String> = rows.map(|(i, value)| format!("({i}, {value})")).collect();
            from.push(format!(
                "(values {}) c{nth} (i{nth}, \"{name}\")",
                rows.join(", ")
            ));
        }
        let by_hand = format!(
            "{}: no row satisfies the CHECKs of {group:?}: teach attack/values.rs one",
            table.name
        );
        assert!(product < 2_000_000, "{by_hand} ({product} combinations)");
        let held = table
            .checks
            .iter()
            .filter(|check| group.contains(&check.columns[0]));
        let mut held: Vec<String> = held
            .map(|check| format!("({}) is not false", check.expression))
            .collect();
        held.push("true".to_owned());
        let indexes: Vec<String> = (0..group.len()).map(|nth| format!("i{nth}")).collect();
        let nulls: Vec<String> = group
            .iter()
            .map(|name| format!("(\"{name}\" is null)::int * 1000"))
            .collect();
        let sql = format!(
            "select array[{}]::int[] from {} where {} order by {} + {} limit 1",
            indexes.join(", "),
            from.join(" cross join "),
            held.join(" and "),
            nulls.join(" + "),
            indexes.join(" + "),
        );
        let row = connection
            .fetch_optional(AssertSqlSafe(sql.as_str()))
            .await
            .unwrap_or_else(|error| panic!("{sql}\n{error}"));
        let chosen: Vec<i32> = row.unwrap_or_else(|| panic!("{by_hand}")).get(0);
        for (name, index) in group.iter().zip(chosen) {
            let index = usize::try_from(index).unwrap();
            self.chosen
                .insert((table.name.clone(), name.clone()), index);
        }
    }

    /// The value of a column in somebody's nth row, as SQL. Only keys and what refers to other rows
    /// differ from row to row: the rest is the same in all, as common values are.
    pub(crate) fn of(
        &self,
        schema: &Schema,
        table: &Table,
        name: &str,
        who: Who,
        nth: usize,
    ) -> String {
        if name == "organization_id" {
            return format!("'{}'::uuid", who.organization());
        }
        let column = table.column(name);
        if column.generated {
            let key = (table.name.clone(), name.to_owned());
            return self.generated[&key][who as usize].clone();
        }
        // Of a view nothing was chosen: its rows are another table's.
        let key = (table.name.clone(), name.to_owned());
        let index = self.chosen.get(&key).copied().unwrap_or(0);
        if let Some((other, to)) = refers(table, name) {
            return match index {
                0 => self.of(schema, schema.table(other), to, who, nth),
                _ => format!("null::{}", column.kind),
            };
        }
        let varies = table
            .keys
            .iter()
            .any(|key| key.columns.iter().any(|c| c == name))
            || schema.tables.iter().any(|other| {
                other.foreign.iter().any(|foreign| {
                    foreign.table == table.name && foreign.referenced.iter().any(|c| c == name)
                })
            });
        candidates(table, column, who, if varies { nth } else { 0 }).swap_remove(index)
    }
}

/// The column of another table that a column refers to.
fn refers<'a>(table: &'a Table, name: &str) -> Option<(&'a str, &'a str)> {
    table.foreign.iter().find_map(|foreign| {
        let at = foreign.columns.iter().position(|column| column == name)?;
        (foreign.table != table.name)
            .then(|| (foreign.table.as_str(), foreign.referenced[at].as_str()))
    })
}

/// Columns in groups that a CHECK links.
fn linked(table: &Table) -> Vec<BTreeSet<String>> {
    let mut groups: Vec<BTreeSet<String>> = table
        .settable()
        .map(|column| BTreeSet::from([column.name.clone()]))
        .collect();
    for check in &table.checks {
        let (touched, mut rest): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| check.columns.iter().any(|column| group.contains(column)));
        rest.push(touched.into_iter().flatten().collect());
        groups = rest;
    }
    groups
}
