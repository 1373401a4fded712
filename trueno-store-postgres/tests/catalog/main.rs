//! The rules of the schema, read back from the catalog: a table, view, function, type, grant, policy,
//! trigger or key that breaks one fails here, by the name of the rule.
//!
//! A rule is a query over the catalog that answers what breaks it ([`rule::Rule`]); the canaries
//! break every rule once and hold it to naming exactly that. What is allowed by name only (grants,
//! functions, triggers, policies of shared tables) is pinned under `tests/golden/`: run with
//! `TRUENO_BLESS=1` to write those files anew, and review the difference.
//!
//! # The lints of supabase/splinter
//!
//! | lint | covered by |
//! |---|---|
//! | 0001 `unindexed_foreign_keys` | rule `foreign_key_without_index` |
//! | 0002 `auth_users_exposed` | there is no `auth` schema; rule `beyond_the_schema` |
//! | 0003 `auth_rls_initplan` | rule `tenant_policies`: the context is read in a subquery, once per statement |
//! | 0004 `no_primary_key` | rule `table_without_primary_key` |
//! | 0005 `unused_index` | a figure of a running installation, not of the schema |
//! | 0006 `multiple_permissive_policies` | rule `several_policies` |
//! | 0007 `policy_exists_rls_disabled` | rule `row_level_security_off` |
//! | 0008 `rls_enabled_no_policy` | rule `tenant_policies`; for shared tables golden `policies` |
//! | 0009 `duplicate_index` | rule `duplicate_index` |
//! | 0010 `security_definer_view` | rule `view_without_invoker` |
//! | 0011 `function_search_path_mutable` | rule `function_search_path` |
//! | 0012 `auth_allow_anonymous_sign_ins` | no policy names a session's claims; rules `tenant_policies`, `policy_for_public` |
//! | 0013 `rls_disabled_in_public` | rules `row_level_security_off`, `beyond_the_schema` |
//! | 0014 `extension_in_public` | rule `extension` |
//! | 0015 `rls_references_user_metadata` | rule `tenant_policies`: one expression only |
//! | 0016 `materialized_view_in_api` | rule `kind_of_relation` |
//! | 0017 `foreign_table_in_api` | rule `kind_of_relation` |
//! | 0018 `unsupported_reg_types` | rule `column_of_reg_type` |
//! | 0019 `insecure_queue_exposed_in_api` | the queue is a tenant table like any other: every rule |
//! | 0020 `table_bloat` | a figure of a running installation, not of the schema |
//! | 0021 `fkey_to_auth_unique` | rule `foreign_key_by_organization` |
//! | 0022 `extension_versions_outdated` | rule `extension`: there is none |
//! | 0023 `sensitive_columns_exposed` | golden `grants`, which lists columns |
//! | 0024 `rls_policy_always_true` (`permissive_rls_policy`) | rule `tenant_policies`; for shared tables golden `policies` |
//! | 0025 `public_bucket_allows_listing`, `pg17_deprecated_extensions` | there is no `storage` schema; rule `extension` |
//! | 0026 `pg_graphql_anon_table_exposed` | rules `grant_to_outsider`, `extension` |
//! | 0027 `pg_graphql_authenticated_table_exposed` | rules `grant_to_outsider`, `extension` |
//! | 0028 `anon_security_definer_function_executable` | rule `grant_to_outsider`; golden `functions` |
//! | 0029 `authenticated_security_definer_function_executable` | golden `functions` |
//! | 0030 `invalid_index` | rule `invalid_index` |
//! | 0030 `autovacuum_disabled` | rule `autovacuum_off` |
//! | 0030 `rls_policy_null_auth_disjunct` | rule `tenant_policies`: one expression only |
//! | 0030, 0031 `unused_replication_slot` | belongs to the server, not to the schema |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod canaries;
mod checks;
mod functions;
mod golden;
mod indexes;
mod objects;
mod policies;
mod roles;
mod rule;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use support::{Database, keys};
use trueno_testkit::proof;

/// Every rule.
fn rules() -> impl Iterator<Item = &'static rule::Rule> {
    [
        &objects::RULES[..],
        &tables::RULES[..],
        &indexes::RULES[..],
        &policies::RULES[..],
        &functions::RULES[..],
        &roles::RULES[..],
    ]
    .into_iter()
    .flatten()
}

#[tokio::test]
async fn the_schema_keeps_every_rule() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    let mut report = String::new();
    for rule in rules() {
        let broken = rule.broken_by(&mut admin).await;
        if !broken.is_empty() {
            let objects: Vec<&str> = broken.iter().map(|it| it.object.as_str()).collect();
            report += &format!(
                "\n{}: {}\n    {}",
                rule.name,
                rule.says,
                objects.join("\n    ")
            );
        }
    }
    assert!(report.is_empty(), "rules of the schema are broken:{report}");
    proof::report(
        "catalog",
        &json!({ "rules": rules().count(), "violations": 0 }),
    );
}

#[tokio::test]
async fn what_may_be_done_is_what_was_reviewed() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    for golden in golden::ALL {
        golden.compare(&mut admin).await;
    }
}

#[tokio::test]
async fn every_rule_names_what_breaks_it_and_nothing_else() {
    canaries::sing().await;
}

/// Functions that enter an organization are defined in `functions/context.sql`, all work across
/// organizations in `functions/across.sql`, whose head lists all of it, the queue's part in
/// `functions/queue.sql`, the scheduler's in `functions/scheduling.sql`, and the one look at the
/// server's sessions in `functions/horizon.sql`: five files to read for whoever wants to know what
/// passes policies by. What released migrations made of either is made again from there.
#[test]
fn definer_functions_are_defined_in_five_files() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut definers = BTreeMap::new();
    for folder in ["migrations", "functions"] {
        for file in std::fs::read_dir(home.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let text: String = std::fs::read_to_string(&path)
                .unwrap()
                .lines()
                .filter(|line| !line.trim_start().starts_with("--"))
                .collect::<Vec<_>>()
                .join("\n");
            let found = text.to_lowercase().matches("security definer").count();
            if found > 0 {
                let name = path.file_name().unwrap().to_string_lossy();
                definers.insert(format!("{folder}/{name}"), found);
            }
        }
    }
    assert_eq!(
        definers.keys().collect::<Vec<_>>(),
        [
            "functions/across.sql",
            "functions/context.sql",
            "functions/horizon.sql",
            "functions/queue.sql",
            "functions/scheduling.sql",
            "migrations/0002_context.sql",
            "migrations/0005_across.sql"
        ]
    );
}

/// A claim is an update in place (HOT) only while no index has what it changes.
#[tokio::test]
async fn no_index_of_the_queue_names_a_lease_column() {
    let database = Database::migrated(&keys()).await;
    let mut admin = database.admin().await;
    let sql = "select pg_get_indexdef(indexrelid) from pg_index
        where indrelid = 'trueno.job'::regclass";
    let rows = admin.fetch_all(AssertSqlSafe(sql)).await.unwrap();
    assert!(!rows.is_empty(), "the queue has indexes");
    for row in rows {
        let index: String = row.get(0);
        for column in ["status", "token", "locked_by", "locked_worker"] {
            assert!(!index.contains(column), "a claim would not be HOT: {index}");
        }
    }
}
