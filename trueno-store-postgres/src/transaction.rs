//! Transactions: what begins one, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Row as _};
use trueno_core::error::{Error, Result};

use crate::config::{Names, PostgresConfig};
use crate::error;
use crate::pool::Settings;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Changes: each statement sees what was committed before it.
    Write,
    /// Changes that hold locks which others across organizations wait for: a client that falls silent
    /// half-way loses them soon.
    Brief,
    /// A view as of one moment.
    Snapshot,
}

/// How long a client may be silent in a [`Mode::Brief`] transaction: longer than a network's hiccup, and
/// shorter than most leases.
pub(crate) const BRIEF: Duration = Duration::from_secs(5);

/// An open transaction. Dropping it rolls it back.
///
/// Not sqlx's own: that begins with a statement of which it keeps no answer, so that settings would be
/// a round trip of their own; and where its `begin` is dropped half-way (sqlx 0.9.0), the connection
/// goes back inside an open transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    /// Taken by what ends it.
    connection: Option<PoolConnection<Postgres>>,
    settings: Arc<Settings>,
    /// See [`Settings::open`].
    open: Arc<()>,
    now: Timestamp,
    /// Backend pid and transaction timestamp, as the context's MAC covers them.
    pub(crate) stamp: Vec<u8>,
    /// The role that the context's MAC covers.
    pub(crate) invoker: String,
}

impl Tx {
    /// What is not begun yet.
    pub(crate) fn on(connection: PoolConnection<Postgres>, settings: &Arc<Settings>) -> Self {
        Self {
            connection: Some(connection),
            settings: settings.clone(),
            open: settings.open.clone(),
            now: Timestamp::UNIX_EPOCH,
            stamp: Vec::new(),
            invoker: String::new(),
        }
    }

    /// Begins it with an [`opening`].
    pub(crate) async fn begin(&mut self, opening: Arc<str>) -> sqlx::Result<()> {
        let opening = sqlx::raw_sql(AssertSqlSafe(opening));
        // To the end: an error after the row counts as well.
        let rows = self.connection().fetch_all(opening).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let stamp: String = row.try_get("stamp")?;
        self.stamp = HEXLOWER
            .decode(stamp.as_bytes())
            .map_err(|source| sqlx::Error::Decode(source.into()))?;
        self.invoker = row.try_get("invoker")?;
        self.now = began(&self.stamp).ok_or(sqlx::Error::BeginFailed)?;
        Ok(())
    }

    /// A statement of this transaction. Only literals: values are bound.
    pub(crate) fn query<'q>(&self, sql: &'static str) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.settings.prepared)
    }

    /// Where the statement runs.
    #[expect(
        clippy::expect_used,
        reason = "what takes it owns or drops the transaction"
    )]
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("the transaction is open")
    }

    /// Whether statements may be named.
    pub(crate) fn prepared(&self) -> bool {
        self.settings.prepared
    }

    /// When the transaction began, by the database's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end("COMMIT").await.map_err(error::commit)
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
        self.end("ROLLBACK").await.map_err(error::statement)
    }

    /// Where this is dropped half-way, or fails, it goes the way of a transaction that is dropped: a COMMIT
    /// that was on its way may be applied all the same.
    async fn end(mut self, how: &'static str) -> sqlx::Result<()> {
        self.connection().execute(how).await?;
        self.connection = None;
        Ok(())
    }

    /// Drops it, and where the connection `is_lost`, that with it.
    pub(crate) fn give_up(mut self, is_lost: bool) {
        if let Some(connection) = &mut self.connection
            && is_lost
        {
            connection.close_on_drop();
            self.connection = None;
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let (open, most) = (self.open.clone(), self.settings.rollback_timeout);
        // The pool, too, needs the runtime to take a connection back.
        tokio::spawn(async move {
            match tokio::time::timeout(most, connection.execute("ROLLBACK")).await {
                Ok(Ok(_)) => {}
                // The pool looks at what it takes back, and would wait as long.
                Ok(Err(_)) | Err(_) => {
                    tracing::debug!("a transaction that was dropped was not rolled back");
                    connection.close_on_drop();
                }
            }
            drop((connection, open));
        });
    }
}

/// What begins a transaction: in one message, so in one round trip, and never prepared. Answers what the
/// transaction is bound to; its settings end with it.
pub(crate) fn opening(mode: Mode, config: &PostgresConfig, names: &Names) -> String {
    let isolation = match mode {
        // Not READ WRITE: a standby and a database that its operator made read-only then serve
        // what only reads, and refuse what writes as what it is.
        Mode::Write | Mode::Brief => "READ COMMITTED",
        Mode::Snapshot => "REPEATABLE READ READ ONLY",
    };
    let idle_timeout = match mode {
        Mode::Brief => config.idle_timeout.min(BRIEF),
        Mode::Write | Mode::Snapshot => config.idle_timeout,
    };
    let mut settings = vec![
        ("search_path", names.search_path()),
        ("statement_timeout", milliseconds(config.statement_timeout)),
        ("lock_timeout", milliseconds(config.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(idle_timeout),
        ),
    ];
    // Lists walk an index in its order, and stop where the page ends. A bitmap, which the planner
    // likes while a table has no statistics, would have read all that the page is cut from.
    if mode == Mode::Snapshot {
        settings.push(("enable_bitmapscan", "off".to_owned()));
    }
    let settings: String = settings
        .iter()
        // Names that were checked, and numbers.
        .map(|(name, value)| format!(", set_config('{name}', '{value}', true)"))
        .collect();
    format!(
        "BEGIN ISOLATION LEVEL {isolation};
         select encode(
                int4send(pg_backend_pid()) || timestamptz_send(transaction_timestamp()), 'hex'
            ) as stamp,
            coalesce(nullif(current_setting('role'), 'none'), session_user::text) as invoker
            {settings}"
    )
}

/// When a transaction with this stamp began. Postgres sends a moment as microseconds since 2000
/// (`timestamptz_send`).
fn began(stamp: &[u8]) -> Option<Timestamp> {
    const SINCE: i64 = 946_684_800_000_000;
    let sent = stamp.last_chunk::<8>()?;
    let microsecond = i64::from_be_bytes(*sent).checked_add(SINCE)?;
    Timestamp::from_microsecond(microsecond).ok()
}

fn milliseconds(duration: Duration) -> String {
    // 0 would mean no limit at all.
    duration.as_millis().clamp(1, 1 << 30).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_says_when_its_transaction_began() {
        // `select encode(int4send(4711) || timestamptz_send('2026-11-23 01:02:03.000004Z'), 'hex')`
        let stamp = HEXLOWER.decode(b"00001267000303e5e91518c4").unwrap();
        let moment = "2026-11-23T01:02:03.000004Z".parse().unwrap();
        assert_eq!(began(&stamp), Some(moment));
        assert_eq!(began(&stamp[..7]), None, "too short");
    }
}
