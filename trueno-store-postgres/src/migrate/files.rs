//! The migrations, embedded. One that was released is never edited: the next one mends it.

use sha2::{Digest, Sha256};

/// As whom a migration runs, and who owns what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunsAs {
    /// The owner of schema and tables.
    Owner,
    /// The role of definer functions.
    System,
}

/// One step of the schema's history.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) version: u32,
    pub(super) name: &'static str,
    pub(super) runs_as: RunsAs,
    /// With placeholders: see [`Names::fill_in`](crate::config::Names::fill_in).
    pub(super) sql: &'static str,
}

impl Migration {
    /// Of the text with its placeholders, so that it is the same in every installation.
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.sql)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The schema version that this program was written for.
pub(crate) const LATEST: u32 = 14;

/// The oldest program, by its schema version, that still works on [`LATEST`]: raised when a
/// migration takes something away that older programs use.
pub(crate) const OLDEST_BINARY: u32 = 14;

macro_rules! migrations {
    ($($version:literal $name:literal as $runs_as:ident;)*) => {
        pub(super) const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            runs_as: RunsAs::$runs_as,
            sql: include_str!(concat!("../../migrations/", $name, ".sql")),
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
    9 "0009_across" as System;
    10 "0010_finding_counts" as Owner;
    11 "0011_lookups" as Owner;
    12 "0012_context" as System;
    13 "0013_across" as System;
    14 "0014_isolation" as Owner;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_to_the_latest_and_match_the_files() {
        for (nth, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, nth);
            assert!(
                migration.name.starts_with(&format!("{nth:04}_")),
                "{}",
                migration.name
            );
        }
        assert_eq!(MIGRATIONS.len(), LATEST as usize);
        const { assert!(OLDEST_BINARY <= LATEST) };
    }

    #[test]
    fn every_definer_function_pins_its_search_path() {
        for migration in MIGRATIONS {
            let sql = migration
                .sql
                .replace("create or replace function", "create function");
            for function in sql.split("create function").skip(1) {
                let header = function.split("$$").next().unwrap();
                assert!(
                    header.contains("set search_path = pg_catalog, \"@schema@\", pg_temp as"),
                    "{}: {header}",
                    migration.name
                );
            }
        }
    }
}
