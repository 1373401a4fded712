//! Migrating: once, whoever tries and however often.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use trueno_core::error::{Error, ErrorKind};
use trueno_core::port::AuditOutbox as _;
use trueno_store_postgres::{MigrationReport, PostgresConfig, PostgresStore, migrate, retire_keys};

use crate::support::{Database, ROLES, keys};
use crate::{Roles, refused, unique, works};

/// Eight at once, over two databases: the roles are the same in both. Each database is migrated by one
/// of them.
async fn race(configs: [PostgresConfig; 2]) {
    let tasks: Vec<_> = (0..8)
        .map(|nth| {
            let config = configs[nth % 2].clone();
            tokio::spawn(async move { (nth % 2, migrate(&config, &keys()).await) })
        })
        .collect();
    let mut migrated = [0, 0];
    for task in tasks {
        let (database, report) = task.await.unwrap();
        let MigrationReport {
            applied,
            version,
            keys,
            ..
        } = report.unwrap();
        assert_eq!(keys, ["test"]);
        if !applied.is_empty() {
            assert_eq!(applied.last(), Some(&"functions"));
            assert_eq!(applied.len(), version as usize + 1, "all of them or none");
            migrated[database] += 1;
        }
    }
    assert_eq!(migrated, [1, 1], "each database is migrated once");
    for config in configs {
        works(&PostgresStore::connect(config, &keys()).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_migrations_at_once_do_it_once_and_all_succeed() {
    let (one, two) = (Database::create().await, Database::create().await);
    let prefix = unique("trueno_race");
    race([&one, &two].map(|database| database.config().with_role_prefix(&prefix))).await;
    drop((one, two));
    Roles::prefixed(&prefix).drop().await;
}

/// Several databases' migrations make the same role, and all but one find it made when they are at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_made_in_between_is_taken_as_it_is() {
    let (one, two) = (Database::create().await, Database::create().await);
    let prefix = unique("trueno_race");
    let mut other = one.admin().await;
    let create = format!("begin; create role {prefix}_owner");
    other.execute(AssertSqlSafe(create)).await.unwrap();
    let release = async {
        let waiting = format!(
            "select count(*) from pg_stat_activity
             where wait_event_type = 'Lock' and query = 'create role \"{prefix}_owner\" nologin'"
        );
        while one.number(&waiting).await < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        other.execute("commit").await.unwrap();
    };
    let config = |database: &Database| database.config().with_role_prefix(&prefix);
    let keys = keys();
    let (first, second) = (config(&one), config(&two));
    let (first, second, ()) =
        tokio::join!(migrate(&first, &keys), migrate(&second, &keys), release);
    assert_eq!(first.unwrap().version, second.unwrap().version);
    drop((one, two));
    Roles::prefixed(&prefix).drop().await;
}

/// Who is no superuser has to make itself a member of the roles, and eight do at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_migrations_by_an_administrator_without_superuser_all_succeed() {
    let (one, two) = (Database::create().await, Database::create().await);
    let (prefix, admin) = (unique("trueno_race"), unique("admin"));
    one.execute(&format!(
        "create role {admin} login createrole password 'a'"
    ))
    .await;
    let mut configs = Vec::new();
    for database in [&one, &two] {
        let options = database.options().username(&admin).password("a");
        let name = options.get_database().unwrap();
        database
            .execute(&format!("grant create on database {name} to {admin}"))
            .await;
        let config = PostgresConfig::new(options.to_url_lossy().to_string().into());
        configs.push(config.with_role_prefix(&prefix));
    }
    race(configs.try_into().unwrap()).await;
    drop((one, two));
    Roles([Roles::prefixed(&prefix).0, vec![admin]].concat())
        .drop()
        .await;
}

/// Everything that migrating makes, with the transaction that wrote it last.
const MADE: &str = "
    select string_agg(line, e'\\n' order by line) from (
        select format('class %s %s %s %s', relname, relowner, relacl, xmin) as line
            from pg_class where relnamespace = 'trueno'::regnamespace
        union all select format('function %s %s %s %s', proname, proowner, proacl, xmin)
            from pg_proc where pronamespace = 'trueno'::regnamespace
        union all select format('constraint %s %s', conname, xmin)
            from pg_constraint where connamespace = 'trueno'::regnamespace
        union all select format('policy %s %s %s', polrelid, polname, xmin) from pg_policy
        union all select format('trigger %s %s %s', tgrelid, tgname, xmin) from pg_trigger
        union all select format('schema %s %s', nspowner, nspacl)
            from pg_namespace where nspname = 'trueno'
        union all select format('migration %s %s', m, xmin) from trueno.schema_migration m
        union all select format('info %s %s', i, xmin) from trueno.schema_info i
        union all select format('key %s %s', key_id, xmin) from trueno.context_key
    ) made";

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::migrated(&keys()).await;
    let before = database.text(MADE).await;
    assert!(before.lines().count() > 50, "{before}");
    let report = migrate(&database.config(), &keys()).await.unwrap();
    assert_eq!(report.applied, [""; 0]);
    assert_eq!(database.text(MADE).await, before);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_and_is_done_again() {
    let database = Database::migrated(&keys()).await;
    // A table that is there already, in a schema that belongs to the right role.
    let table = "organization";
    let owner = format!("{ROLES}_owner");
    database
        .execute(&format!(
            "create schema second authorization {owner}; create table second.{table} ()"
        ))
        .await;
    let config = || database.config().with_schema("second");
    let error = migrate(&config(), &keys()).await.unwrap_err();
    assert!(format!("{error:?}").contains("migration 0001"), "{error:?}");
    let left = "select string_agg(relname, ' ') from pg_class
        where relnamespace = 'second'::regnamespace";
    assert_eq!(database.text(left).await, table);

    database
        .execute(&format!("drop table second.{table}"))
        .await;
    migrate(&config(), &keys()).await.unwrap();
    works(&PostgresStore::connect(config(), &keys()).await.unwrap()).await;
}

/// A program that works meanwhile wants what the migration holds, and holds what it wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_meets_a_deadlock_is_tried_again() {
    let database = Database::migrated(&keys()).await;
    let name = database.options().get_database().unwrap().to_owned();
    // Who looks for a deadlock first is ended by it: the migration, once both wait. (Were both to wait
    // only after it had looked, the other one would be.)
    database
        .execute(&format!(
            "alter database {name} set deadlock_timeout = '2s'"
        ))
        .await;
    let mut other = database.admin().await;
    let begin = "set deadlock_timeout = '30s'; begin; lock table trueno.context_key";
    other.execute(begin).await.unwrap();
    let config = database.config();
    let migration = tokio::spawn(async move { migrate(&config, &keys()).await });
    let waiting = "select count(*) from pg_locks
         where relation = 'trueno.context_key'::regclass and not granted";
    while database.number(waiting).await == 0 {
        assert!(!migration.is_finished(), "it waits for the table");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let crossing = "select pg_advisory_xact_lock(hashtextextended('trueno migrate trueno', 0))";
    other.execute(crossing).await.unwrap();
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    other.execute("rollback").await.unwrap();
    let report = migration.await.unwrap().unwrap();
    assert_eq!(report.keys, ["test"]);
    for _ in 0..500 {
        if database.number(deadlocks).await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there was a deadlock");
}

/// The server says that it is older, as the store asks it.
#[tokio::test]
async fn a_server_that_leaks_is_refused_by_everybody() {
    let (empty, ready) = (Database::create().await, Database::migrated(&keys()).await);
    for (number, name) in [
        (150_019, "15.19"),
        (160_015, "16.15"),
        (170_011, "17.11"),
        (180_006, "18.6"),
    ] {
        for database in [&empty, &ready] {
            let schema = database.options().get_database().unwrap().to_owned();
            database
                .execute(&format!(
                    "create schema if not exists fake;
                     create or replace function fake.current_setting(setting text) returns text
                     language sql as $$
                        select case setting when 'server_version_num' then '{number}'
                            else pg_catalog.current_setting(setting) end
                     $$;
                     alter database {schema} set search_path = fake, pg_catalog"
                ))
                .await;
        }
        let refusals: [Error; 4] = [
            migrate(&empty.config(), &keys()).await.unwrap_err(),
            migrate(&ready.config(), &keys()).await.unwrap_err(),
            retire_keys(&ready.config(), &keys()).await.unwrap_err(),
            refused(ready.config(), &keys()).await,
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    let made = "select count(*) from pg_namespace where nspname = 'trueno'";
    assert_eq!(empty.number(made).await, 0, "nothing was made");
}

#[tokio::test]
async fn two_schemas_live_in_one_database() {
    let database = Database::migrated(&keys()).await;
    let second = || database.config().with_schema("second");
    migrate(&second(), &keys()).await.unwrap();
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    works(&store).await;
    let second = PostgresStore::connect(second(), &keys()).await.unwrap();
    assert_eq!(
        second.staged(10).await.unwrap(),
        [],
        "nothing of the first is in the second"
    );
    works(&second).await;
    assert_eq!(store.staged(10).await.unwrap().len(), 1);
}
