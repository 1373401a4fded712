//! Connections: a pool for each role, and how they come back to it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::sync::Mutex;
use tokio::time::Instant;
use trueno_core::error::{Applied, Error, ErrorKind, Result};

use crate::config::{self, Login, Names, PostgresConfig};
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::{self, BRIEF, Mode, Tx};

/// What every transaction says of itself, and sets for itself: nothing is left on a connection.
#[derive(Debug)]
pub(crate) struct Settings {
    write: Arc<str>,
    brief: Arc<str>,
    snapshot: Arc<str>,
    acquire_timeout: Duration,
    /// How long a connection may take to roll back what was dropped on it: the statement that it was at
    /// ends first.
    pub(crate) rollback_timeout: Duration,
    pub(crate) prepared: bool,
    /// The role that connections were asked to take on; none where the login is a member of it.
    role: Option<String>,
    /// Shared by the open transactions, so that their number is known.
    pub(crate) open: Arc<()>,
    /// Held by whoever asks why there is no connection: one at a time.
    asking: Mutex<()>,
}

impl Settings {
    /// What begins a transaction.
    fn opening(&self, mode: Mode) -> Arc<str> {
        match mode {
            Mode::Write => &self.write,
            Mode::Brief => &self.brief,
            Mode::Snapshot => &self.snapshot,
        }
        .clone()
    }

    /// What comes of the first that a connection is used for: one whose other end is gone without a word
    /// would say so after a quarter of an hour.
    async fn in_time<T>(&self, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        match tokio::time::timeout(self.acquire_timeout, answer).await {
            Ok(answered) => answered,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// Passes a transaction of the role that was asked for.
    fn check_role(&self, tx: Tx) -> Result<Tx> {
        match &self.role {
            Some(role) if *role != tx.invoker => Err(role_not_taken(role)),
            _ => Ok(tx),
        }
    }
}

/// How long to ask why there is no connection.
const WHY: Duration = Duration::from_secs(1);

/// Connections of one role.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    connections: PgPool,
    settings: Arc<Settings>,
}

impl Pool {
    /// A pool of `role` that connects with `options`, when it is used first.
    pub(crate) fn new(
        options: PgConnectOptions,
        role: &str,
        config: &PostgresConfig,
        names: &Names,
    ) -> Self {
        let options = as_role(options, config.login, role, config.prepared_statements);
        let taken = (config.login == Login::SetRole).then_some(role);
        let check: Arc<str> = left_behind(names, taken).into();
        let connections = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            // What begins a transaction finds out: see [`Pool::begin`].
            .test_before_acquire(false)
            .after_release(move |connection, _| {
                let check = check.clone();
                Box::pin(async move { is_clean(connection, check).await })
            })
            .connect_lazy_with(options);
        let opening = |mode| transaction::opening(mode, config, names).into();
        let settings = Settings {
            write: opening(Mode::Write),
            brief: opening(Mode::Brief),
            snapshot: opening(Mode::Snapshot),
            acquire_timeout: config.acquire_timeout,
            rollback_timeout: config.statement_timeout.saturating_add(BRIEF),
            prepared: config.prepared_statements,
            role: taken.map(str::to_owned),
            open: Arc::new(()),
            asking: Mutex::new(()),
        };
        Self {
            connections,
            settings: Arc::new(settings),
        }
    }

    /// Begins a transaction, with this adapter's settings for it, in one round trip.
    ///
    /// A connection that was lost while it lay idle is found out here, where nothing was asked of it
    /// yet, and another one is taken. To look at each before it is used would be a round trip more,
    /// and it could be lost right after.
    pub(crate) async fn begin(&self, mode: Mode) -> Result<Tx> {
        let (begun, mut lost) = (Instant::now(), 0);
        loop {
            let mut tx = match self.connections.acquire().await {
                Ok(connection) => Tx::on(connection, &self.settings),
                Err(sqlx::Error::PoolTimedOut) => return Err(self.no_connection().await),
                Err(source) => return Err(error::statement(source)),
            };
            let answer = tx.begin(self.settings.opening(mode));
            match self.settings.in_time(answer).await {
                Ok(()) => return self.settings.check_role(tx),
                Err(source) => {
                    let is_lost = error::is_lost(&source);
                    tx.give_up(is_lost);
                    if !is_lost
                        || lost == self.connections.options().get_max_connections()
                        || begun.elapsed() >= self.settings.acquire_timeout
                    {
                        return Err(error::statement(source));
                    }
                    lost += 1;
                }
            }
        }
    }

    /// Why no connection was had in time. sqlx says the same where every one is taken and where none
    /// could be made, and keeps the reason to itself; so the server is asked once more.
    async fn no_connection(&self) -> Error {
        let most = self.connections.options().get_max_connections() as usize;
        // The settings' own is one of them.
        if Arc::strong_count(&self.settings.open) > most {
            return error::statement(sqlx::Error::PoolTimedOut);
        }
        let connecting = async {
            let _one_at_a_time = self.settings.asking.lock().await;
            PgConnection::connect_with(&self.connections.connect_options()).await
        };
        match tokio::time::timeout(WHY, connecting).await {
            Ok(Err(reason)) => error::statement(reason),
            answered => {
                if let Ok(Ok(connection)) = answered {
                    // It had its use; a goodbye that is lost changes nothing.
                    let _ = connection.close().await;
                }
                error::statement(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
            }
        }
    }

    /// Wakes workers up on `channel`; outside transactions, where it would take a global lock at
    /// their commit. `sending` is told once a connection is there. Best effort: workers poll as well.
    pub(crate) async fn notify(&self, channel: &str, sending: impl FnOnce()) {
        // A name that was checked. One message outside a transaction: a pooler in transaction mode may
        // give parsing and executing to two servers.
        let notify: Arc<str> = format!("notify \"{channel}\"").into();
        let mut sending = Some(sending);
        for _ in 0..=self.connections.options().get_max_connections() {
            let connection = self.connections.acquire().await;
            if let Some(sending) = sending.take() {
                sending();
            }
            let sent = match connection {
                Ok(mut connection) => {
                    let sent = connection.execute(sqlx::raw_sql(AssertSqlSafe(notify.clone())));
                    let sent = self.settings.in_time(sent).await;
                    if sent.as_ref().is_err_and(error::is_lost) {
                        // As where a transaction begins.
                        connection.close_on_drop();
                        continue;
                    }
                    sent.map(|_| ())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                tracing::debug!(%error, "no wake-up was sent; workers poll");
            }
            return;
        }
    }

    pub(crate) async fn close(&self) {
        self.connections.close().await;
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

/// A pooler may drop what a connection asks for at its start. Such a connection works as its login,
/// whom row-level security may not bind at all.
fn role_not_taken(role: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "the database connection did not take on the role {role}: a pooler dropped the request; \
             connect without it, or log in as members of the roles (Login::Direct)"
        ),
    )
    .with_applied(Applied::No)
}

/// Asks what a transaction left on a connection that the next one, of another organization, would
/// meet there, and how many statements of sqlx there are; then drops what settings it changed for the
/// session, and its advisory locks.
///
/// Statements with values from outside bind them, so only SQL that somebody injected leaves anything:
/// `deallocate sqlx_s_1; prepare sqlx_s_1 as …` would answer in the place of the store's statement.
/// Outside a transaction, "now" is the statement's own time, and only cursors WITH HOLD are there.
/// Inside a failed one none of this can even be asked. To look for settings and advisory locks would
/// take longer than a transaction does (`pg_settings`), or locks that all sessions share (`pg_locks`).
fn left_behind(names: &Names, role: Option<&str>) -> String {
    let role = match role {
        Some(role) => format!("when current_setting('role') <> '{role}' then 'another role'"),
        // Whichever the login is a member of: the next transaction asks, and is bound to it.
        None => String::new(),
    };
    format!(
        "select
            case
                when now() <> statement_timestamp() then 'a transaction'
                when coalesce(current_setting('{}', true), '') <> '' then 'a tenant context'
                {role}
                when exists (select from pg_prepared_statement() where from_sql)
                    then 'a prepared statement'
                when exists (select from pg_cursor() where is_holdable) then 'a cursor'
                when pg_my_temp_schema() <> 0 then 'temporary objects'
                when exists (select from pg_listening_channels()) then 'a channel to listen on'
            end as left_behind,
            (select count(*) from pg_prepared_statement()) as prepared,
            pg_advisory_unlock_all();
         reset all",
        names.setting()
    )
}

/// A connection that is not clean is closed, never mended: nothing is known of how it came to it.
/// What asks is never prepared: it could have been replaced itself.
async fn is_clean(connection: &mut PgConnection, check: Arc<str>) -> sqlx::Result<bool> {
    let cached = connection.cached_statements_size();
    // To the end: an error after the row counts as well.
    let rows = connection
        .fetch_all(sqlx::raw_sql(AssertSqlSafe(check)))
        .await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut left_behind: Option<String> = row.try_get("left_behind")?;
    let prepared: i64 = row.try_get("prepared")?;
    // Every further use of one that is gone would fail.
    if usize::try_from(prepared).is_ok_and(|prepared| prepared < cached) {
        left_behind.get_or_insert_with(|| "deallocated statements".to_owned());
    }
    if let Some(what) = &left_behind {
        tracing::warn!("a connection came back with {what} and was closed");
    }
    Ok(left_behind.is_none())
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

/// The same, inside a transaction that is given up with it: what is asked of a server before there
/// are pools. Outside one, a pooler in transaction mode may give each message to another server.
pub(crate) async fn probe(config: &PostgresConfig, url: &SecretString) -> Result<PgConnection> {
    let mut connection = connect(config, url).await?;
    connection
        .execute(sqlx::raw_sql("begin read only"))
        .await
        .map_err(error::statement)?;
    Ok(connection)
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
