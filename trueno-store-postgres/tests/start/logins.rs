//! Who logs in: members of the roles, administrators, and roles of somebody else.

use std::io;
use std::sync::{Arc, Mutex};

use sqlx::ConnectOptions as _;
use tracing::subscriber::{DefaultGuard, set_default};
use trueno_core::error::ErrorKind;
use trueno_store_postgres::{Login, PostgresConfig, PostgresStore, migrate};

use crate::support::{Database, ROLES, keys};
use crate::{Roles, refused, unique, works};

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

/// What is logged as a warning, on the test's thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u8>>>);

impl Warnings {
    fn capture(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || log.clone());
        set_default(subscriber.finish())
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Warnings {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_login_that_no_policy_binds_is_warned_about() {
    let database = Database::migrated(&keys()).await;
    let login = unique("login");
    let roles = ["app", "processor", "sequencer"].map(|role| format!("{ROLES}_{role}"));
    let create = format!(
        "create role {login} login password 'l' in role {}",
        roles.join(", ")
    );
    database.execute(&create).await;
    let options = database.options().username(&login).password("l");
    let url = options.to_url_lossy().to_string().into();
    let (superuser, bound) = (
        database.config(),
        PostgresConfig::new(url).with_role_prefix(ROLES),
    );
    let warnings = Warnings::default();
    let guard = warnings.capture();
    for (config, is_warned) in [(superuser, true), (bound, false)] {
        let store = PostgresStore::connect(config, &keys()).await.unwrap();
        let told = warnings.take();
        assert_eq!(
            told.contains("superuser or has BYPASSRLS"),
            is_warned,
            "{told}"
        );
        store.close().await;
    }
    drop(guard);
    drop(database);
    Roles(vec![login]).drop().await;
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
