//! Attacks on a table by writing to it.

use super::reads::{Maker, quoted};
use super::schema::Privilege;
use super::values::Who;

/// The nth row of somebody, which is not there.
const FRESH: usize = 60;

impl Maker<'_> {
    /// A row of the columns that the role may insert; `of` says whose value a column has.
    fn row(&self, of: impl Fn(&str) -> (Who, usize)) -> (String, String) {
        let columns = self.columns(Privilege::Insert);
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let (who, nth) = of(&column.name);
                self.worlds.value(&self.table.name, &column.name, who, nth)
            })
            .collect();
        (
            quoted(columns.iter().map(|c| c.name.as_str())),
            values.join(", "),
        )
    }

    /// Rows worth trying: with A's key in A, with A's key in B, B's own, B's that refers to A's.
    fn rows(&self) -> Vec<(String, String)> {
        let organization = |name: &str| name == "organization_id";
        let mut rows = vec![
            self.row(|_| (Who::A, 0)),
            self.row(|_| (Who::A, FRESH)),
            self.row(|name| {
                if organization(name) {
                    (Who::B, 0)
                } else {
                    (Who::A, 0)
                }
            }),
            self.row(|_| (Who::B, 0)),
            self.row(|_| (Who::B, FRESH)),
        ];
        for foreign in &self.table.foreign {
            rows.push(self.row(|name| {
                let refers = foreign.columns.iter().any(|column| column == name);
                if refers && !organization(name) {
                    (Who::A, 0)
                } else {
                    (Who::B, FRESH)
                }
            }));
        }
        rows
    }

    /// A column to set to what it is.
    fn touched(&self) -> String {
        let columns = self.columns(Privilege::Update);
        format!("\"{}\"", columns[columns.len() - 1].name)
    }

    pub(crate) fn insert(&mut self) {
        let (t, own, list) = (self.name(), self.own(""), self.list());
        for (columns, values) in self.rows() {
            self.push(
                "insert",
                format!("insert into {t} ({columns}) values ({values})"),
            );
            self.push(
                "returning",
                format!("insert into {t} ({columns}) values ({values}) returning organization_id"),
            );
        }
        let (columns, _) = self.row(|_| (Who::A, 0));
        self.push(
            "insert",
            format!("insert into {t} ({columns}) select {columns} from {t} where {own}"),
        );
        self.push(
            "insert",
            format!(
                "insert into {t} ({columns}) select {columns} from {t} where {own} and {}",
                self.key_is(Who::A, "")
            ),
        );
        self.push("insert", format!("insert into {t} default values"));
        self.push("returning", format!("with x as (insert into {t} ({columns}) select {columns} from {t} where {own} on conflict do nothing returning {list}) select count(*) from x"));
    }

    pub(crate) fn on_conflict(&mut self) {
        let (t, touched) = (self.name(), self.touched());
        let own = self.own(&format!("{t}."));
        for (columns, values) in self.rows() {
            let insert = format!("insert into {t} ({columns}) values ({values}) on conflict");
            self.push("on conflict do nothing", format!("{insert} do nothing"));
            for key in &self.table.keys.clone() {
                let target = quoted(key.columns.iter().map(String::as_str));
                let predicate = match &key.predicate {
                    Some(predicate) => format!("where {predicate}"),
                    None => String::new(),
                };
                let mut targets = vec![("on conflict by key", format!("({target}) {predicate}"))];
                if key.constraint {
                    targets.push((
                        "on conflict by name",
                        format!("on constraint \"{}\"", key.name),
                    ));
                }
                for (statement, target) in targets {
                    self.push(statement, format!("{insert} {target} do nothing"));
                    self.push(statement, format!("{insert} {target} do update set {touched} = excluded.{touched} where {own}"));
                    self.push(statement, format!("{insert} {target} do update set {touched} = {t}.{touched} returning {t}.{touched}::text"));
                }
            }
        }
    }

    pub(crate) fn update(&mut self) {
        let (t, own, touched) = (self.name(), self.own(""), self.touched());
        let a = Who::A.organization();
        let (of_a, of_b) = (self.key_is(Who::A, ""), self.key_is(Who::B, ""));
        for condition in [
            &own,
            &format!("{own} and {of_a}"),
            &format!("{own} and organization_id = '{a}'"),
        ] {
            self.push(
                "update",
                format!("update {t} set {touched} = {touched} where {condition}"),
            );
            self.push("returning", format!("update {t} set {touched} = {touched} where {condition} returning {touched}::text"));
            self.push(
                "returning",
                format!("update {t} set {touched} = {touched} where {condition} returning *"),
            );
        }
        self.push(
            "update",
            format!("update {t} set organization_id = '{a}' where {own} and {of_b}"),
        );
        self.push("update", format!("update {t} set {touched} = {t}.{touched} from {t} other where {} and other.organization_id = '{a}'", self.own(&format!("{t}."))));
        for column in self.columns(Privilege::Update) {
            let (name, value) = (
                format!("\"{}\"", column.name),
                self.value(&column.name, Who::A),
            );
            self.push(
                "update",
                format!("update {t} set {name} = {value} where {own} and {of_b}"),
            );
            self.push("update", format!("update {t} set {name} = (select {name} from {t} where organization_id = '{a}' limit 1) where {own} and {of_b}"));
        }
        for key in self.table.keys.clone() {
            let set: Vec<String> = key
                .columns
                .iter()
                .filter(|name| *name != "organization_id")
                .map(|name| format!("\"{name}\" = {}", self.value(name, Who::A)))
                .collect();
            if !set.is_empty() {
                self.push(
                    "update",
                    format!("update {t} set {} where {own} and {of_b}", set.join(", ")),
                );
            }
        }
    }

    pub(crate) fn delete(&mut self) {
        let (t, own, list) = (self.name(), self.own(""), self.list());
        let a = Who::A.organization();
        let of_a = self.key_is(Who::A, "");
        for condition in [
            &own,
            &format!("{own} and {of_a}"),
            &format!("{own} and organization_id = '{a}'"),
        ] {
            self.push("delete", format!("delete from {t} where {condition}"));
            self.push(
                "returning",
                format!("delete from {t} where {condition} returning {list}"),
            );
        }
        self.push(
            "delete",
            format!(
                "delete from {t} using {t} other where {} and other.organization_id = '{a}'",
                self.own(&format!("{t}."))
            ),
        );
    }

    pub(crate) fn merge(&mut self) {
        let (t, own, touched) = (self.name(), self.own("t."), self.touched());
        let of_a = self.key_is(Who::A, "t.");
        let mut actions = vec![
            format!("when matched then update set {touched} = t.{touched}"),
            "when matched then delete".to_owned(),
            "when matched then do nothing".to_owned(),
        ];
        for (columns, values) in self.rows() {
            actions.push(format!(
                "when not matched then insert ({columns}) values ({values})"
            ));
        }
        for action in actions {
            self.push(
                "merge",
                format!(
                    "merge into {t} t using (values (true)) s (there) on {own} and {of_a} {action}"
                ),
            );
            self.push("merge", format!("merge into {t} t using (values (true)) s (there) on {own} and t.organization_id = '{}' {action}", Who::A.organization()));
        }
    }
}
