//! The SQL, embedded: numbered migrations, and the files of functions.
//!
//! A migration that was released is never edited: the next one mends it. A file of functions is edited
//! in place: it is run again wherever the database has not what it makes.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// As whom a script runs, and who owns what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunsAs {
    /// The owner of schema and tables.
    Owner,
    /// The role of definer functions.
    System,
}

/// SQL that is run as a whole.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) runs_as: RunsAs,
    /// With placeholders: see [`Names::fill_in`](crate::config::Names::fill_in).
    pub(super) sql: &'static str,
}

/// One step of the schema's history: tables, indexes, policies and privileges.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) version: u32,
    pub(super) script: Script,
}

impl Migration {
    /// Of the text with its placeholders, so that it is the same in every installation.
    pub(super) fn checksum(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.script.sql))
    }
}

/// The schema version that this program was written for.
pub(crate) const LATEST: u32 = 18;

/// The oldest program, by its schema version, that still works on [`LATEST`]: raised when a
/// migration takes something away that older programs use.
pub(crate) const OLDEST_BINARY: u32 = 15;

macro_rules! migrations {
    ($($version:literal $name:literal as $runs_as:ident;)*) => {
        pub(super) const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            script: Script {
                name: $name,
                runs_as: RunsAs::$runs_as,
                sql: include_str!(concat!("../../migrations/", $name, ".sql")),
            },
        }),*];
    };
}

migrations! {
    1 "0001_tables" as Owner;
    2 "0002_context" as System;
    3 "0003_policies" as Owner;
    4 "0004_enqueue" as Owner;
    5 "0005_across" as System;
    6 "0006_inventory" as Owner;
    7 "0007_findings" as Owner;
    8 "0008_organizations" as Owner;
    9 "0009_isolation" as Owner;
    10 "0010_functions" as Owner;
    11 "0011_queue" as Owner;
    12 "0012_scheduler" as Owner;
    13 "0013_member_version" as Owner;
    14 "0014_history" as Owner;
    15 "0015_correlation" as Owner;
    16 "0016_plans" as Owner;
    17 "0017_entered" as System;
    18 "0018_policies" as Owner;
}

macro_rules! functions {
    ($($name:literal as $runs_as:ident;)*) => {
        /// Functions and triggers as they are on [`LATEST`], in the order in which they are made.
        pub(super) const FUNCTIONS: &[Script] = &[$(Script {
            name: concat!("functions/", $name),
            runs_as: RunsAs::$runs_as,
            sql: include_str!(concat!("../../functions/", $name, ".sql")),
        }),*];
    };
}

functions! {
    "context" as System;
    "across" as System;
    "queue" as System;
    "scheduling" as System;
    "horizon" as System;
    "tenant" as Owner;
    "triggers" as Owner;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// What a script says but for its comments.
    fn statements(script: &Script) -> String {
        let lines = script.sql.lines();
        lines
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn versions_count_up_to_the_latest_and_match_the_files() {
        for (nth, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, nth);
            assert!(
                migration.script.name.starts_with(&format!("{nth:04}_")),
                "{}",
                migration.script.name
            );
        }
        assert_eq!(MIGRATIONS.len(), LATEST as usize);
        const { assert!(OLDEST_BINARY <= LATEST) };
    }

    #[test]
    fn no_file_is_left_out() {
        let listed = |folder: &str| -> BTreeSet<String> {
            let files = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let files = std::fs::read_dir(files).unwrap();
            files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        let migrations = MIGRATIONS
            .iter()
            .map(|it| format!("{}.sql", it.script.name));
        assert_eq!(listed("migrations"), migrations.collect());
        let functions = FUNCTIONS.iter().map(|it| format!("{}.sql", it.name));
        let in_folder = listed("functions").into_iter();
        assert_eq!(
            in_folder
                .map(|name| format!("functions/{name}"))
                .collect::<BTreeSet<_>>(),
            functions.collect()
        );
    }

    #[test]
    fn every_function_pins_its_search_path() {
        let migrations = MIGRATIONS.iter().map(|migration| &migration.script);
        let mut functions = 0;
        for script in migrations.chain(FUNCTIONS) {
            let sql = statements(script).replace("create or replace function", "create function");
            for function in sql.split("create function").skip(1) {
                let header = function.split("$$").next().unwrap();
                assert!(
                    header.contains("set search_path = pg_catalog, \"@schema@\", pg_temp as"),
                    "{}: {header}",
                    script.name
                );
                functions += 1;
            }
        }
        assert!(functions > 30, "{functions}");
    }

    /// What policies name is there before them: a migration makes the name, and the folder what it answers.
    const NAMES: [(u32, &str); 1] = [(17, "function entered_organization()")];

    /// The migrations that made functions are those before there was a folder for them.
    #[test]
    fn functions_and_triggers_have_one_home() {
        for (version, name) in NAMES {
            let made = format!("create or replace {name}");
            let here = FUNCTIONS.iter().any(|it| it.sql.contains(&made));
            assert!(here, "{version} makes the name alone: {made}");
        }
        for migration in MIGRATIONS.iter().filter(|it| it.version > 5) {
            let mut sql = statements(&migration.script).to_lowercase();
            for (_, name) in NAMES.iter().filter(|it| it.0 == migration.version) {
                sql = sql.replacen(&format!("create {name}"), "", 1);
            }
            for made in ["function", "procedure", "trigger"] {
                assert!(
                    !sql.contains(&format!("create {made}"))
                        && !sql.contains(&format!("create or replace {made}")),
                    "{} makes a {made}: it belongs in functions/",
                    migration.script.name
                );
            }
        }
        for script in FUNCTIONS {
            let sql = statements(script).to_lowercase();
            for once in [
                "create function",
                "create trigger",
                "create table",
                "create index",
            ] {
                assert!(
                    !sql.contains(once),
                    "{}: {once}: run again, it fails",
                    script.name
                );
            }
        }
    }
}
