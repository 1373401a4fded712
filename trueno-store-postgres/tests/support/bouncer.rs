//! The same databases through a PgBouncer in transaction mode, at `TRUENO_TEST_PGBOUNCER_URL`.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use trueno_store_postgres::{Login, PostgresConfig, WakeUpMode};

use super::{Database, Harness, ROLES, harness_of, keys, server};

const VARIABLE: &str = "TRUENO_TEST_PGBOUNCER_URL";

/// More than PgBouncer has servers for each database and login: clients wait for each other's.
const CONNECTIONS: u32 = 10;

/// Where PgBouncer is; its user is what the logins' names begin with.
fn pooler() -> PgConnectOptions {
    let url = std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: run scripts/test, which starts one"));
    url.parse()
        .unwrap_or_else(|_| panic!("{VARIABLE} is not a database URL"))
}

/// The login that is a member of `role` and of nothing else.
pub(crate) fn login(role: &str) -> String {
    format!("{}_{role}", pooler().get_username())
}

/// Through PgBouncer to a database of it, as the login of a role. The password is the server's own.
pub(crate) fn options(database: &str, role: &str) -> PgConnectOptions {
    let pooler = pooler();
    server()
        .host(pooler.get_host())
        .port(pooler.get_port())
        .ssl_mode(PgSslMode::Disable)
        .username(&login(role))
        .database(database)
        .application_name("trueno")
        .statement_cache_capacity(0)
}

fn url(database: &Database, role: &str) -> SecretString {
    let name = database.options().get_database().unwrap().to_owned();
    options(&name, role).to_url_lossy().to_string().into()
}

/// The URL of the same login straight on the server.
pub(crate) fn straight(database: &Database, role: &str) -> SecretString {
    let options = database.options().username(&login(role));
    options.to_url_lossy().to_string().into()
}

/// Makes the logins, which belong to the whole server. The roles are there: a database was migrated.
pub(crate) async fn ensure_logins() {
    let mut admin = server().connect().await.expect("the test server answers");
    // Other test programs make them at the same time.
    let lock = "begin; select pg_advisory_xact_lock(hashtextextended('trueno test logins', 0))";
    admin.execute(lock).await.unwrap();
    for role in ["app", "processor", "sequencer"] {
        let login = login(role);
        // The same verifier is the same password, which nobody has to take out of a URL then.
        let create = format!(
            "do $$ begin
                if not exists (select from pg_roles where rolname = '{login}') then
                    execute format(
                        'create role {login} login in role {ROLES}_{role} password %L',
                        (select rolpassword from pg_authid where rolname = session_user)
                    );
                end if;
            end $$"
        );
        admin
            .execute(AssertSqlSafe(create))
            .await
            .expect("a login is created");
    }
    admin.execute("commit").await.unwrap();
    admin.close().await.unwrap();
}

/// A configuration of a migrated database through PgBouncer, as its documentation asks for.
pub(crate) async fn config(database: &Database) -> PostgresConfig {
    ensure_logins().await;
    PostgresConfig::new(url(database, "app"))
        .with_processor_url(url(database, "processor"))
        .with_sequencer_url(url(database, "sequencer"))
        .with_role_prefix(ROLES)
        .with_login(Login::Direct)
        .without_prepared_statements()
        .with_wake_ups(WakeUpMode::Poll)
        .with_max_connections(CONNECTIONS)
        .with_lock_timeout(Duration::from_secs(5))
        .with_poll_interval(Duration::from_millis(200))
}

/// A store through PgBouncer on a fresh database. What the store itself cannot do goes straight to
/// the server.
pub(crate) async fn harness() -> Harness {
    let database = Database::migrated(&keys()).await;
    let config = config(&database).await;
    harness_of(database, config).await
}

/// A connection through PgBouncer as the login of a role, as injected SQL would have it.
pub(crate) async fn injected(database: &Database, role: &str) -> PgConnection {
    ensure_logins().await;
    let name = database.options().get_database().unwrap().to_owned();
    options(&name, role)
        .connect()
        .await
        .expect("PgBouncer lets the login through")
}

/// A setting of PgBouncer's own.
pub(crate) async fn setting(name: &str) -> String {
    let rows = console("show config").await;
    rows.iter()
        .find(|row| row.get::<String, _>("key") == name)
        .unwrap_or_else(|| panic!("PgBouncer has no setting {name}"))
        .get("value")
}

/// Its version, as in `1.18.0`.
pub(crate) async fn version() -> String {
    let rows = console("show version").await;
    let version: String = rows[0].get("version");
    version
        .strip_prefix("PgBouncer ")
        .unwrap_or_else(|| panic!("this is no PgBouncer: {version}"))
        .to_owned()
}

/// Asks its administration console.
async fn console(command: &'static str) -> Vec<PgRow> {
    let mut console = options("pgbouncer", "app")
        .connect()
        .await
        .expect("PgBouncer has a console");
    console.fetch_all(sqlx::raw_sql(command)).await.unwrap()
}
