//! What is refused when a store opens, and a pool that is used up.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use trueno_core::access::{Action, Identity, authorize};
use trueno_core::error::ErrorKind;
use trueno_core::id::IdSource;
use trueno_core::model::{EventDraft, NewOrganization};
use trueno_core::port::{JobQueue as _, TenantStore as _};
use trueno_core::vault::{Key, KeyFile};
use trueno_store_postgres::{Login, PostgresConfig, PostgresStore, migrate};

use crate::support::{self, Database, keys};
use crate::{refused, works};

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

#[tokio::test]
async fn a_closed_store_keeps_no_connection_and_is_unavailable() {
    let database = Database::migrated(&keys()).await;
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    works(&store).await;
    assert!(database.connections().await > 0);
    store.clone().close().await;
    database.connections_end(0).await;
    let error = store.stats().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_store_shows_its_schema_and_key_id_and_nothing_secret() {
    let database = Database::migrated(&keys()).await;
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    let shown = "PostgresStore { schema: \"trueno\", key: ContextKey { id: \"test\", .. }, .. }";
    assert_eq!(format!("{store:?}"), shown);
}

/// How values are written out is the operator's to choose: the store asks for its own.
#[tokio::test]
async fn a_database_that_writes_values_in_its_own_way_is_as_good_as_any() {
    let database = Database::migrated(&keys()).await;
    let name = database.options().get_database().unwrap().to_owned();
    for setting in [
        "bytea_output = 'escape'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Pacific/Chatham'",
        "extra_float_digits = -3",
        "standard_conforming_strings = off",
    ] {
        let set = format!("alter database {name} set {setting}");
        database.execute(&set).await;
    }
    let store = PostgresStore::connect(database.config(), &keys())
        .await
        .unwrap();
    works(&store).await;
}
