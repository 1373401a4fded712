//! A database of its own for every test, on the server of `TRUENO_TEST_DATABASE_URL`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by several test programs, none of which uses all of it"
)]

pub(crate) mod bouncer;
pub(crate) mod way;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use trueno_core::id::IdSource;
use trueno_core::port::{JobQueue, TenantStore, WakeUps};
use trueno_core::vault::{Key, KeyFile};
use trueno_store_postgres::{PostgresConfig, PostgresStore, migrate};
use trueno_testkit::fixtures::{Tenant, World};
use trueno_testkit::harness::StoreHarness;

/// Roles belong to the whole server: every test uses the same ones.
pub(crate) const ROLES: &str = "trueno_test";

const VARIABLE: &str = "TRUENO_TEST_DATABASE_URL";

/// Where the server is. There is no test without one.
pub(crate) fn server() -> PgConnectOptions {
    let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{VARIABLE} is not set: run scripts/test, which starts a server, or set it to the URL \
             of a PostgreSQL superuser"
        )
    });
    url.parse()
        .unwrap_or_else(|_| panic!("{VARIABLE} is not a database URL"))
}

/// A database that is dropped with this value.
#[derive(Debug)]
pub(crate) struct Database {
    server: PgConnectOptions,
    name: String,
    owned: bool,
}

impl Database {
    /// An empty one.
    pub(crate) async fn create() -> Self {
        Self::create_on(server()).await
    }

    /// An empty one on this server, which outlives it.
    pub(crate) async fn create_on(server: PgConnectOptions) -> Self {
        let unique: uuid::Uuid = IdSource::random().next(Timestamp::UNIX_EPOCH);
        let name = format!("trueno_test_{}", unique.simple());
        let mut admin = server.connect().await.expect("the test server answers");
        admin
            .execute(AssertSqlSafe(format!("create database {name}")))
            .await
            .expect("a database is created");
        admin.close().await.unwrap();
        Self {
            server,
            name,
            owned: true,
        }
    }

    /// The same database; it is dropped with the original.
    pub(crate) fn borrowed(&self) -> Self {
        Self {
            server: self.server.clone(),
            name: self.name.clone(),
            owned: false,
        }
    }

    /// One that is migrated with `keys`.
    pub(crate) async fn migrated(keys: &KeyFile) -> Self {
        Self::migrated_on(server(), keys).await
    }

    /// One on this server that is migrated with `keys`.
    pub(crate) async fn migrated_on(server: PgConnectOptions, keys: &KeyFile) -> Self {
        let database = Self::create_on(server).await;
        migrate(&database.config(), keys)
            .await
            .expect("an empty database is migrated");
        database
    }

    /// How to connect to it, as the server's administrator.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// Its URL, as the server's administrator.
    pub(crate) fn url(&self) -> SecretString {
        self.options().to_url_lossy().to_string().into()
    }

    /// A configuration of it for tests.
    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::new(self.url())
            .with_role_prefix(ROLES)
            .with_max_connections(5)
            .with_lock_timeout(Duration::from_secs(5))
            .with_poll_interval(Duration::from_millis(200))
    }

    /// A connection as the server's administrator, whom no policy binds.
    pub(crate) async fn admin(&self) -> PgConnection {
        self.options()
            .connect()
            .await
            .expect("the database answers")
    }

    /// A connection as one of the roles, as injected SQL would have it.
    pub(crate) async fn role(&self, role: &str) -> PgConnection {
        let role = format!("{ROLES}_{role}");
        let options = self
            .options()
            .options([("role", role.as_str()), ("search_path", "trueno")]);
        options.connect().await.expect("the role connects")
    }

    /// Runs a statement as the server's administrator.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut admin = self.admin().await;
        admin
            .execute(AssertSqlSafe(sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One number, as the server's administrator.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.row(sql).await.get(0)
    }

    /// One text, as the server's administrator.
    pub(crate) async fn text(&self, sql: &str) -> String {
        self.row(sql).await.get(0)
    }

    /// How many connections stores have to it.
    pub(crate) async fn connections(&self) -> i64 {
        let open = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'trueno'";
        self.number(open).await
    }

    /// Waits until stores have no more than `left` connections to it. One that was closed ends soon after.
    pub(crate) async fn connections_end(&self, left: i64) {
        let ended = async {
            while self.connections().await > left {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended)
            .await
            .expect("connections that were closed end");
    }

    async fn row(&self, sql: &str) -> PgRow {
        let mut admin = self.admin().await;
        let row = admin.fetch_one(AssertSqlSafe(sql)).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        let server = self.server.clone();
        let drop = format!("drop database if exists {} with (force)", self.name);
        // The test's runtime may be on its way out.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut admin = server.connect().await?;
                admin.execute(AssertSqlSafe(drop)).await?;
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        let dropped = dropped.join().expect("dropping a database does not panic");
        // A test that fails already says why.
        if !std::thread::panicking() {
            dropped.expect("the test's database is dropped");
        }
    }
}

/// A key file with one key, the same in every test.
pub(crate) fn keys() -> KeyFile {
    KeyFile::single(Key::new("test", [42; 32]).unwrap())
}

/// Passes once an enqueue sent a hint to `hints`, which are to poll in an hour at the earliest.
pub(crate) async fn an_enqueue_is_heard(world: &World, tenant: &Tenant, mut hints: WakeUps) {
    // The first tick is at once: what comes after it was sent. The listener may still be on its way, so
    // it is told until it hears.
    hints.next().await.unwrap();
    let heard = async {
        loop {
            world.enqueue(tenant, world.job()).await;
            let hint = tokio::time::timeout(Duration::from_millis(500), hints.next()).await;
            if hint.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .expect("a worker is woken up");
}

/// A store on a database of its own, and an administrator's connection for what the store itself
/// cannot do.
#[derive(Debug)]
pub(crate) struct Harness {
    pub(crate) store: PostgresStore,
    pub(crate) database: Database,
    admin: tokio::sync::Mutex<PgConnection>,
    ids: IdSource,
}

/// The SQLSTATE that a statement is refused with; none where it goes through.
pub(crate) async fn sqlstate(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let error = connection.execute(AssertSqlSafe(sql)).await.err()?;
    let database = error
        .as_database_error()
        .unwrap_or_else(|| panic!("{sql}: {error}"));
    Some(
        database
            .code()
            .expect("the server gives a code")
            .into_owned(),
    )
}

/// Makes a fresh harness.
pub(crate) async fn harness() -> Harness {
    let database = Database::migrated(&keys()).await;
    let config = database.config();
    harness_of(database, config).await
}

/// Makes a harness of a migrated database, whose store has these settings.
pub(crate) async fn harness_of(database: Database, config: PostgresConfig) -> Harness {
    harness_with(database, config, &keys()).await
}

/// The same, with another key file than that of every test.
pub(crate) async fn harness_with(
    database: Database,
    config: PostgresConfig,
    keys: &KeyFile,
) -> Harness {
    let ids = IdSource::random();
    let config = config.with_ids(ids.clone());
    let store = PostgresStore::connect(config, keys)
        .await
        .expect("the store opens");
    let admin = tokio::sync::Mutex::new(database.admin().await);
    Harness {
        store,
        database,
        admin,
        ids,
    }
}

#[async_trait]
impl StoreHarness for Harness {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.store.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn now(&self) -> Timestamp {
        let mut admin = self.admin.lock().await;
        let row = admin
            .fetch_one("select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now")
            .await
            .unwrap();
        Timestamp::from_microsecond(row.get("now")).unwrap()
    }

    async fn advance(&self, by: Duration) {
        let mut admin = self.admin.lock().await;
        let by = i64::try_from(by.as_micros()).unwrap();
        for statement in [
            "update trueno.worker_session
             set expires_at = expires_at - $1 * interval '1 microsecond'",
            // Rows that an open unit of work has changed are not waited for.
            "update trueno.job j set run_at = j.run_at - $1 * interval '1 microsecond'
             from (
                select organization_id, id from trueno.job where status <> 'running'
                for no key update skip locked
             ) waiting
             where j.organization_id = waiting.organization_id and j.id = waiting.id",
            "update trueno.job_history
             set created_at = created_at - $1 * interval '1 microsecond',
                finished_at = finished_at - $1 * interval '1 microsecond'",
            // With their due times, by the trigger.
            "update trueno.schedule s set next_run_at = s.next_run_at - $1 * interval '1 microsecond'
             from (
                select organization_id, id from trueno.schedule for no key update skip locked
             ) free
             where s.organization_id = free.organization_id and s.id = free.id",
            "update trueno.queue_note set ready_at = ready_at - $1 * interval '1 microsecond'",
            "update trueno.queue_turn set turn = turn - $1 * interval '1 microsecond'",
            "update trueno.queue_lane set head_at = head_at - $1 * interval '1 microsecond',
                due_at = due_at - $1 * interval '1 microsecond'",
        ] {
            sqlx::query(statement)
                .bind(by)
                .execute(&mut *admin)
                .await
                .unwrap();
        }
    }
}
