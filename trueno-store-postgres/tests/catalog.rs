//! The rules of the schema, read back from the catalog: a table, key or function that breaks one
//! fails here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use support::{Database, ROLES, keys};

/// Tables that hold no tenant data.
const SHARED: &str = "('schema_migration', 'schema_info', 'worker_session', 'context_key')";

/// Names from one column, in order.
async fn names(database: &Database, sql: &str) -> Vec<String> {
    let mut admin = database.admin().await;
    let rows = admin.fetch_all(AssertSqlSafe(sql)).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_table_forces_row_level_security_and_has_a_policy() {
    let database = Database::migrated(&keys()).await;
    let bare = names(
        &database,
        "select relname::text from pg_class c where relnamespace = 'trueno'::regnamespace
            and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)",
    )
    .await;
    assert_eq!(bare, [""; 0]);
    let tenants = names(
        &database,
        &format!(
            "select relname::text from pg_class c where relnamespace = 'trueno'::regnamespace
                and relkind in ('r', 'p') and not relispartition and relname not in {SHARED}
                and not exists (
                    select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'
                        and pg_get_expr(p.polqual, p.polrelid) like '%current_organization()%'
                        and pg_get_expr(p.polwithcheck, p.polrelid) like '%current_organization()%'
                        and not 0 = any (p.polroles)
                )"
        ),
    )
    .await;
    assert_eq!(tenants, [""; 0], "P1: without a policy");
    let open = names(
        &database,
        "select relname::text || ' ' || polname from pg_policy p join pg_class c on c.oid = polrelid
         where 0 = any (polroles)",
    )
    .await;
    assert_eq!(open, [""; 0], "a policy for PUBLIC");
}

#[tokio::test]
async fn every_key_of_tenant_data_starts_with_the_organization() {
    let database = Database::migrated(&keys()).await;
    let constraints = names(
        &database,
        &format!(
            "select c.conname::text from pg_constraint c join pg_class t on t.oid = c.conrelid
             join pg_attribute a on a.attrelid = t.oid and a.attnum = c.conkey[1]
             where t.relnamespace = 'trueno'::regnamespace and t.relname not in {SHARED}
                and c.contype in ('p', 'u', 'f', 'x') and a.attname <> 'organization_id'"
        ),
    )
    .await;
    assert_eq!(constraints, [""; 0]);
    let indexes = names(
        &database,
        &format!(
            "select i.indexrelid::regclass::text from pg_index i
             join pg_class t on t.oid = i.indrelid
             join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
             where t.relnamespace = 'trueno'::regnamespace and t.relname not in {SHARED}
                and i.indisunique and a.attname <> 'organization_id'"
        ),
    )
    .await;
    assert_eq!(indexes, [""; 0]);
}

#[tokio::test]
async fn no_index_of_the_queue_names_a_lease_column() {
    let database = Database::migrated(&keys()).await;
    let indexes = names(
        &database,
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'trueno.job'::regclass",
    )
    .await;
    assert_eq!(indexes.len(), 3);
    for index in indexes {
        for column in ["status", "token", "locked_by", "locked_worker"] {
            assert!(!index.contains(column), "a claim would not be HOT: {index}");
        }
    }
}

#[tokio::test]
async fn the_list_of_definer_functions_is_closed() {
    let database = Database::migrated(&keys()).await;
    let definers = names(
        &database,
        "select proname || ' ' || proowner::regrole from pg_proc
         where pronamespace = 'trueno'::regnamespace and prosecdef",
    )
    .await;
    let wanted = [
        "claim",
        "create_organization",
        "current_organization",
        "enter",
        "enter_lease",
        "enter_lease_to_finish",
        "enter_lease_to_read",
        "forget",
        "heartbeat",
        "memberships",
        "queue_stats",
        "recover_expired",
        "staged",
    ];
    assert_eq!(
        definers,
        wanted.map(|name| format!("{name} {ROLES}_system"))
    );
    let callers = names(
        &database,
        "select p.proname || ': ' || coalesce(string_agg(
            replace(a.grantee::regrole::text, 'trueno_test_', ''), ' '
            order by a.grantee::regrole::text
         ), '')
         from pg_proc p
         left join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            on a.grantee <> p.proowner
         where p.pronamespace = 'trueno'::regnamespace group by p.oid",
    )
    .await;
    assert_eq!(
        callers,
        [
            "claim: processor",
            "context_enter_checked: ",
            "context_mac: ",
            "context_seal: ",
            "create_organization: app",
            "current_organization: app owner processor",
            "enqueue: app processor",
            "enter: app",
            "enter_lease: processor",
            "enter_lease_to_finish: processor",
            "enter_lease_to_read: processor",
            "forget: sequencer",
            "heartbeat: processor",
            "memberships: app",
            "queue_stats: processor",
            "recover_expired: processor",
            "session_compact: ",
            "staged: sequencer",
        ]
    );
    let unpinned = names(
        &database,
        "select proname::text from pg_proc where pronamespace = 'trueno'::regnamespace
            and not coalesce(proconfig::text like '%search_path=pg_catalog, %trueno%, pg_temp%', false)",
    )
    .await;
    assert_eq!(unpinned, [""; 0], "without a pinned search path");
}

#[tokio::test]
async fn roles_are_bound_and_nobody_logs_in_as_them() {
    let database = Database::migrated(&keys()).await;
    let strong = names(
        &database,
        &format!(
            "select rolname::text from pg_roles where rolname like '{ROLES}\\_%'
                and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolcanlogin
                    or rolreplication)"
        ),
    )
    .await;
    assert_eq!(strong, [""; 0]);
    let owners = names(
        &database,
        "select distinct relowner::regrole::text from pg_class
         where relnamespace = 'trueno'::regnamespace",
    )
    .await;
    assert_eq!(owners, [format!("{ROLES}_owner")]);
    let create = format!(
        "select count(*) from unnest(array['system', 'app', 'processor', 'sequencer']) as role
         where has_schema_privilege('{ROLES}_' || role, 'trueno', 'create')"
    );
    assert_eq!(
        database.number(&create).await,
        0,
        "only the owner makes things"
    );
}
