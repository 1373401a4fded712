//! Migrating and connecting, and what is refused at the start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code fails by panicking"
)]

mod support;

use std::time::Duration;

use sqlx::ConnectOptions as _;
use support::{Database, keys};
use trueno_core::access::{Action, Identity, authorize};
use trueno_core::error::{Error, ErrorKind};
use trueno_core::id::IdSource;
use trueno_core::model::{EventDraft, NewOrganization};
use trueno_core::port::{AuditOutbox as _, JobQueue as _, TenantStore as _};
use trueno_core::vault::{Key, KeyFile};
use trueno_store_postgres::{Login, PostgresConfig, PostgresStore, migrate};

async fn refused(config: PostgresConfig, keys: &KeyFile) -> Error {
    match PostgresStore::connect(config, keys).await {
        Ok(store) => panic!("{store:?} opened"),
        Err(error) => error,
    }
}

/// Creates an organization and reads it as its owner: through both definer functions and contexts.
async fn works(store: &PostgresStore) {
    let ids = IdSource::random();
    let (organization, owner) = (
        ids.next(jiff::Timestamp::MAX),
        ids.next(jiff::Timestamp::MAX),
    );
    let new = NewOrganization::new(organization, "Works", owner).unwrap();
    let event = EventDraft::new("organization.created", "organization", organization);
    store.create_organization(new, event).await.unwrap();
    let owner = Identity::authenticated(owner);
    let scope = authorize(store, &owner, organization, Action::Read)
        .await
        .unwrap();
    store.read(&scope).await.unwrap();
    store.stats().await.unwrap();
    let staged = store.staged(10).await.unwrap();
    assert!(
        staged
            .iter()
            .any(|event| event.organization == organization)
    );
}

/// A name that no other test has.
fn unique(prefix: &str) -> String {
    let id: uuid::Uuid = IdSource::random().next(jiff::Timestamp::UNIX_EPOCH);
    format!("{prefix}_{}", &id.simple().to_string()[20..])
}

/// Roles of a test's own, dropped after its database.
struct Roles(Vec<String>);

impl Roles {
    fn prefixed(prefix: &str) -> Self {
        let names = ["app", "processor", "sequencer", "system", "owner"];
        Self(names.map(|name| format!("{prefix}_{name}")).into())
    }

    async fn drop(self) {
        let mut admin = support::server().connect().await.unwrap();
        for role in self.0 {
            let sql = format!("drop role {role}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut admin)
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_migrations_at_once_do_it_once_and_all_succeed() {
    let (one, two) = (Database::create().await, Database::create().await);
    let prefix = unique("trueno_race");
    let tasks: Vec<_> = (0..8)
        .map(|nth| {
            let database = if nth % 2 == 0 { &one } else { &two };
            let config = database.config().with_role_prefix(&prefix);
            tokio::spawn(async move { migrate(&config, &keys()).await })
        })
        .collect();
    let mut applied = Vec::new();
    for task in tasks {
        let report = task.await.unwrap().unwrap();
        assert_eq!(
            (report.version, report.keys.as_slice()),
            (5, &["test".to_owned()][..])
        );
        applied.push(report.applied.len());
    }
    applied.sort_unstable();
    assert_eq!(
        applied,
        [0, 0, 0, 0, 0, 0, 5, 5],
        "each database is migrated once"
    );
    let config = one.config().with_role_prefix(&prefix);
    works(&PostgresStore::connect(config, &keys()).await.unwrap()).await;
    drop((one, two));
    Roles::prefixed(&prefix).drop().await;
}

#[tokio::test]
async fn a_database_that_is_not_ready_is_refused_with_what_to_do() {
    let database = Database::create().await;
    let error = refused(database.config(), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(
        error.to_string().contains("run `trueno migrate`"),
        "{error}"
    );

    migrate(&database.config(), &keys()).await.unwrap();
    let error = refused(database.config().with_role_prefix("trueno_nobody"), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("trueno_nobody_app"), "{error}");

    let other = KeyFile::single(Key::new("other", [1; 32]).unwrap());
    let error = refused(database.config(), &other).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(
        error.to_string().contains("does not know the key other"),
        "{error}"
    );

    let error = refused(database.config().with_login(Login::Direct), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("superuser"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://nobody:hunter2@127.0.0.1:{port}/none");
    let config = PostgresConfig::new(url.into());
    let error = refused(config.clone(), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = migrate(&config, &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.certainly_not_applied());
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_setting_to_mend() {
    let url = support::server()
        .database("trueno_no_such_database")
        .to_url_lossy();
    let error = refused(PostgresConfig::new(url.to_string().into()), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let database = Database::migrated(&keys()).await;
    assert!(
        migrate(&database.config(), &keys())
            .await
            .unwrap()
            .applied
            .is_empty()
    );
    database
        .execute("update trueno.schema_migration set checksum = 'x' where version = 3")
        .await;
    let error = migrate(&database.config(), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("0003_policies"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_serves_this_program_for_as_long_as_it_says() {
    let database = Database::migrated(&keys()).await;
    database
        .execute("insert into trueno.schema_migration values (99, '0099_later', 'x')")
        .await;
    works(
        &PostgresStore::connect(database.config(), &keys())
            .await
            .unwrap(),
    )
    .await;
    let report = migrate(&database.config(), &keys()).await.unwrap();
    assert_eq!((report.version, report.applied.len()), (99, 0));
    database
        .execute("update trueno.schema_info set oldest_binary = 99")
        .await;
    let error = refused(database.config(), &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("upgrade"), "{error}");
    let error = migrate(&database.config(), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    database
        .execute("delete from trueno.schema_migration where version >= 5")
        .await;
    let error = refused(database.config(), &keys()).await;
    assert!(
        error.to_string().contains("run `trueno migrate`"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_are_rotated_without_stopping() {
    let database = Database::migrated(&keys()).await;
    let before = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let new = Key::new("new", [1; 32]).unwrap();
    let both = format!("{}{}", *keys().newest().to_line(), *new.to_line());
    let both = KeyFile::parse(&both).unwrap();
    let report = migrate(&database.config(), &both).await.unwrap();
    assert_eq!(report.keys, ["test", "new"]);
    works(&before).await;
    works(
        &PostgresStore::connect(database.config(), &both)
            .await
            .unwrap(),
    )
    .await;
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

#[tokio::test]
async fn members_of_the_roles_log_in_directly_and_an_administrator_needs_no_superuser() {
    let database = Database::create().await;
    let (prefix, admin, login) = (unique("trueno_direct"), unique("admin"), unique("login"));
    let name = database.options().get_database().unwrap().to_owned();
    database
        .execute(&format!(
            "create role {admin} login createrole password 'a'"
        ))
        .await;
    database
        .execute(&format!("grant create on database {name} to {admin}"))
        .await;
    let url = |user: &str, password: &str| {
        database
            .options()
            .username(user)
            .password(password)
            .to_url_lossy()
            .to_string()
            .into()
    };
    let config = |user: &str, password: &str| {
        PostgresConfig::new(url(user, password)).with_role_prefix(&prefix)
    };
    migrate(&config(&admin, "a"), &keys()).await.unwrap();
    works(
        &PostgresStore::connect(config(&admin, "a"), &keys())
            .await
            .unwrap(),
    )
    .await;
    // It may become the roles behind row-level security, so nothing would bind it as itself.
    let direct = config(&admin, "a").with_login(Login::Direct);
    let error = refused(direct, &keys()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(
        error.to_string().contains(&format!("{prefix}_owner")),
        "{error}"
    );

    let roles = format!("{prefix}_app, {prefix}_processor, {prefix}_sequencer");
    database
        .execute(&format!(
            "create role {login} login password 'l' in role {roles}"
        ))
        .await;
    let direct = config(&login, "l")
        .with_login(Login::Direct)
        .without_prepared_statements();
    works(
        &PostgresStore::connect(direct.clone(), &keys())
            .await
            .unwrap(),
    )
    .await;
    let unbound = [
        direct.clone().with_processor_url(url(&admin, "a")),
        direct.clone().with_sequencer_url(database.url()),
        direct
            .with_processor_url(url(&login, "l"))
            .with_sequencer_url(url(&admin, "a")),
    ];
    for unbound in unbound {
        let error = refused(unbound, &keys()).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(
            error.to_string().contains("row-level security"),
            "of any of the logins: {error}"
        );
    }
    let error = migrate(&config(&login, "l"), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    drop(database);
    Roles([Roles::prefixed(&prefix).0, vec![admin, login]].concat())
        .drop()
        .await;
}

#[tokio::test]
async fn a_schema_or_role_of_somebody_else_is_not_taken_over() {
    let database = Database::create().await;
    database.execute("create schema trueno").await;
    let error = migrate(&database.config(), &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("belongs to the role"), "{error}");

    let prefix = unique("trueno_strong");
    database
        .execute(&format!("create role {prefix}_app bypassrls"))
        .await;
    let config = database
        .config()
        .with_schema("other")
        .with_role_prefix(&prefix);
    let error = migrate(&config, &keys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("BYPASSRLS"), "{error}");
    database
        .execute(&format!(
            "drop role {prefix}_app, {prefix}_owner, {prefix}_system"
        ))
        .await;
}

#[tokio::test]
async fn a_used_up_pool_is_exhausted_and_recovers() {
    let database = Database::migrated(&keys()).await;
    let config = database
        .config()
        .with_max_connections(1)
        .with_acquire_timeout(Duration::from_millis(300));
    let store = PostgresStore::connect(config, &keys()).await.unwrap();
    let owner = IdSource::random().next(jiff::Timestamp::MAX);
    let organization = IdSource::random().next(jiff::Timestamp::MAX);
    let new = NewOrganization::new(organization, "One", owner).unwrap();
    let event = EventDraft::new("organization.created", "organization", organization);
    store.create_organization(new, event).await.unwrap();
    let owner = Identity::authenticated(owner);
    let scope = authorize(&store, &owner, organization, Action::Read)
        .await
        .unwrap();
    let view = store.read(&scope).await.unwrap();
    let Err(error) = store.read(&scope).await else {
        panic!("there is one connection only")
    };
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
    assert!(error.is_retryable() && error.certainly_not_applied());
    drop(view);
    store.read(&scope).await.unwrap();
}
