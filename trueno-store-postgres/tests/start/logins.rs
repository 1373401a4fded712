//! Who logs in: members of the roles, administrators, and roles of somebody else.

use sqlx::ConnectOptions as _;
use trueno_core::error::ErrorKind;
use trueno_store_postgres::{Login, PostgresConfig, PostgresStore, migrate};

use crate::support::{Database, keys};
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
