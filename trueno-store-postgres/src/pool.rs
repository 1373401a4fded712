//! Connections: a pool for each role, transactions, and how they end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use secrecy::SecretString;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Postgres, Row as _, Transaction};
use trueno_core::error::{Applied, Error, ErrorKind, Result};

use crate::config::{self, Login, Names, PostgresConfig};
use crate::encode::RowExt as _;
use crate::error;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Changes: each statement sees what was committed before it.
    Write,
    /// A view as of one moment.
    Snapshot,
}

/// What every transaction sets for itself: nothing is left on a connection.
#[derive(Debug)]
struct Settings {
    search_path: String,
    statement_timeout: String,
    lock_timeout: String,
    idle_timeout: String,
    prepared: bool,
}

/// Connections of one role.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    connections: PgPool,
    settings: Arc<Settings>,
}

impl Pool {
    /// A pool that connects with `options`, when it is used first.
    pub(crate) fn new(options: PgConnectOptions, config: &PostgresConfig, names: &Names) -> Self {
        let check: Arc<str> = still_open(names).into();
        let connections = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .after_release(move |connection, _| {
                let check = check.clone();
                Box::pin(async move { is_clean(connection, check).await })
            })
            .connect_lazy_with(options);
        let settings = Settings {
            search_path: names.search_path(),
            statement_timeout: milliseconds(config.statement_timeout),
            lock_timeout: milliseconds(config.lock_timeout),
            idle_timeout: milliseconds(config.idle_timeout),
            prepared: config.prepared_statements,
        };
        Self {
            connections,
            settings: Arc::new(settings),
        }
    }

    /// Begins a transaction, with this adapter's settings for it.
    ///
    /// Cancel-safe: sqlx 0.9.0 hands a connection back inside an open transaction where its `begin`
    /// is dropped half-way, so it runs in a task that nobody drops.
    pub(crate) async fn begin(&self, mode: Mode) -> Result<Tx> {
        let pool = self.clone();
        let begun = tokio::spawn(async move { pool.begin_here(mode).await });
        begun.await.map_err(error::lost_task)?
    }

    async fn begin_here(&self, mode: Mode) -> Result<Tx> {
        let begin = match mode {
            Mode::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Mode::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let transaction = self
            .connections
            .begin_with(begin)
            .await
            .map_err(|source| self.no_connection(source))?;
        let settings = &*self.settings;
        let mut tx = Tx {
            transaction,
            prepared: settings.prepared,
            now: Timestamp::UNIX_EPOCH,
            stamp: Vec::new(),
            invoker: String::new(),
        };
        // One round trip: what the transaction is bound to, and its settings, which end with it.
        let query = tx.query(
            "select transaction_timestamp() as now,
                int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp()) as stamp,
                coalesce(nullif(current_setting('role'), 'none'), session_user::text) as invoker,
                set_config('search_path', $1, true),
                set_config('statement_timeout', $2, true),
                set_config('lock_timeout', $3, true),
                set_config('idle_in_transaction_session_timeout', $4, true)",
        );
        let row = query
            .bind(&settings.search_path)
            .bind(&settings.statement_timeout)
            .bind(&settings.lock_timeout)
            .bind(&settings.idle_timeout)
            .fetch_one(tx.connection())
            .await
            .map_err(error::statement)?;
        tx.now = row.time("now")?;
        tx.stamp = row.try_get("stamp").map_err(error::statement)?;
        tx.invoker = row.try_get("invoker").map_err(error::statement)?;
        Ok(tx)
    }

    /// sqlx says that it timed out both where every connection is taken and where the server cannot
    /// be reached; a pool that is not full was connecting.
    fn no_connection(&self, source: sqlx::Error) -> Error {
        let full = self.connections.size() >= self.connections.options().get_max_connections();
        if matches!(source, sqlx::Error::PoolTimedOut) && !full {
            return Error::new(ErrorKind::Unavailable, "the database cannot be reached")
                .with_applied(Applied::No)
                .with_source(source);
        }
        error::statement(source)
    }

    /// Wakes workers up on `channel`; outside transactions, where it would take a global lock at
    /// their commit. `sending` is told once a connection is there. Best effort: workers poll as well.
    pub(crate) async fn notify(&self, channel: &str, sending: impl FnOnce()) {
        let connection = self.connections.acquire().await;
        sending();
        let sent = async {
            sqlx::query("select pg_notify($1, '')")
                .persistent(self.settings.prepared)
                .bind(channel)
                .execute(&mut *connection?)
                .await
        };
        if let Err(error) = sent.await {
            tracing::debug!(%error, "no wake-up was sent; workers poll");
        }
    }

    pub(crate) async fn close(&self) {
        self.connections.close().await;
    }
}

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(crate) struct Tx {
    transaction: Transaction<'static, Postgres>,
    prepared: bool,
    now: Timestamp,
    /// Backend pid and transaction timestamp, as the context's MAC covers them.
    pub(crate) stamp: Vec<u8>,
    /// The role that the context's MAC covers.
    pub(crate) invoker: String,
}

impl Tx {
    /// A statement of this transaction. Only literals: values are bound.
    pub(crate) fn query<'q>(&self, sql: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.prepared)
    }

    /// Where the statement runs.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Whether statements may be named.
    pub(crate) fn prepared(&self) -> bool {
        self.prepared
    }

    /// When the transaction began, by the database's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<()> {
        self.transaction.commit().await.map_err(error::commit)
    }

    /// Gives it up because of `error`, and answers that. The server tells of an error before it lets
    /// go of the locks, so that is waited for: a claim or recovery right after it would skip the job.
    pub(crate) async fn fail(self, error: Error) -> Error {
        if let Err(lost) = self.rollback().await {
            tracing::debug!(error = %lost, "a transaction that failed was not rolled back either");
        }
        error
    }

    /// Gives it up.
    pub(crate) async fn rollback(self) -> Result<()> {
        self.transaction.rollback().await.map_err(error::statement)
    }
}

/// Options that connect as `role`, where the login takes it on itself.
pub(crate) fn as_role(
    options: PgConnectOptions,
    login: Login,
    role: &str,
    prepared: bool,
) -> PgConnectOptions {
    let options = options.application_name("trueno");
    let options = if prepared {
        options
    } else {
        options.statement_cache_capacity(0)
    };
    match login {
        Login::SetRole => options.options([("role", role)]),
        Login::Direct => options,
    }
}

/// Asks whether a transaction is open, or a context left behind: outside one, "now" is the
/// statement's own time. Inside a failed one it cannot even be asked.
fn still_open(names: &Names) -> String {
    format!(
        "select now() <> statement_timestamp() \
         or coalesce(current_setting('{}', true), '') <> '' as still_open",
        names.setting()
    )
}

/// A connection that is not clean is closed, never mended: nothing is known of how it came to it.
async fn is_clean(connection: &mut PgConnection, check: Arc<str>) -> sqlx::Result<bool> {
    let row = connection
        .fetch_one(sqlx::raw_sql(AssertSqlSafe(check)))
        .await?;
    let still_open: bool = row.try_get("still_open")?;
    if still_open {
        tracing::warn!("a connection came back inside a transaction and was closed");
    }
    Ok(!still_open)
}

fn milliseconds(duration: Duration) -> String {
    // 0 would mean no limit at all.
    duration.as_millis().clamp(1, 1 << 30).to_string()
}

/// A moment as Postgres takes it.
pub(crate) fn moment(timestamp: Timestamp) -> jiff_sqlx::Timestamp {
    timestamp.to_sqlx()
}

/// One connection outside the pools, as the login itself. A server that refuses connections is
/// [`ErrorKind::Unavailable`], at once.
pub(crate) async fn connect(config: &PostgresConfig, url: &SecretString) -> Result<PgConnection> {
    let options = as_role(
        config::options(url)?,
        Login::Direct,
        "",
        config.prepared_statements,
    );
    let connecting = PgConnection::connect_with(&options);
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(error::statement),
        Err(source) => Err(Error::new(
            ErrorKind::Unavailable,
            "the database cannot be reached: it did not answer in time",
        )
        .with_applied(Applied::No)
        .with_source(source)),
    }
}

/// The server's `server_version_num`.
pub(crate) async fn server_version(connection: &mut PgConnection) -> Result<u32> {
    let row = sqlx::query("select current_setting('server_version_num')::bigint as version")
        .persistent(false)
        .fetch_one(connection)
        .await
        .map_err(error::statement)?;
    row.count("version")
}
