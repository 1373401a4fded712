//! Settings, and the names that come from them.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::IdSource;

/// As whom the store works once it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// The URLs log in as somebody who may take the roles on, and every connection does: for one
    /// URL on one's own machine. Whoever injects SQL can give the role back up, so it is only as
    /// safe as the login itself; a superuser's is warned about.
    SetRole,
    /// The URLs log in as members of the roles, and of nothing else: for production.
    Direct,
}

/// How workers learn that there may be work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WakeUpMode {
    /// `LISTEN` on a connection of its own, and polling beside it.
    Listen,
    /// Polling only: behind a pooler in transaction mode, which `LISTEN` does not pass.
    Poll,
}

/// Where the database is, and how to use it. The defaults are those of [`new`](Self::new).
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    pub(crate) url: SecretString,
    pub(crate) processor_url: Option<SecretString>,
    pub(crate) sequencer_url: Option<SecretString>,
    pub(crate) schema: String,
    pub(crate) role_prefix: String,
    pub(crate) login: Login,
    pub(crate) max_connections: u32,
    pub(crate) acquire_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) wake_ups: WakeUpMode,
    pub(crate) poll_interval: Duration,
    pub(crate) prepared_statements: bool,
    pub(crate) ids: IdSource,
}

impl PostgresConfig {
    /// The database at `url` (`postgres://USER:PASSWORD@HOST:PORT/DATABASE`): schema `trueno`, roles
    /// `trueno_…`, [`Login::SetRole`], up to 10 connections for each role, statements of up to 30 s,
    /// waits for locks of up to 10 s.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            processor_url: None,
            sequencer_url: None,
            schema: "trueno".to_owned(),
            role_prefix: "trueno".to_owned(),
            login: Login::SetRole,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            wake_ups: WakeUpMode::Listen,
            poll_interval: Duration::from_secs(1),
            prepared_statements: true,
            ids: IdSource::random(),
        }
    }

    /// Another URL for the processor's role.
    #[must_use]
    pub fn with_processor_url(mut self, url: SecretString) -> Self {
        self.processor_url = Some(url);
        self
    }

    /// Another URL for the sequencer's role, which empties the audit outbox.
    #[must_use]
    pub fn with_sequencer_url(mut self, url: SecretString) -> Self {
        self.sequencer_url = Some(url);
        self
    }

    /// Another schema: 1 to 40 of `a-z`, `0-9` and `_`, beginning with a letter. Checked when the
    /// configuration is used.
    #[must_use]
    pub fn with_schema(mut self, schema: &str) -> Self {
        self.schema = schema.to_owned();
        self
    }

    /// Another prefix of the roles, which are shared by all databases of a server. Written like a
    /// schema.
    #[must_use]
    pub fn with_role_prefix(mut self, prefix: &str) -> Self {
        self.role_prefix = prefix.to_owned();
        self
    }

    /// As whom to work.
    #[must_use]
    pub fn with_login(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// The most connections for each role; at least 1.
    #[must_use]
    pub fn with_max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How long to wait for a connection to be free before answering
    /// [`Exhausted`](ErrorKind::Exhausted).
    #[must_use]
    pub fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How long a statement may take.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// How long a statement may wait for a lock.
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long a view, unit of work or ingest batch may lie idle before the server ends it.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How workers learn that there may be work.
    #[must_use]
    pub fn with_wake_ups(mut self, mode: WakeUpMode) -> Self {
        self.wake_ups = mode;
        self
    }

    /// How often the wake-up stream hints at work by itself; at least every millisecond.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Never names a prepared statement: behind a pooler in transaction mode.
    #[must_use]
    pub fn without_prepared_statements(mut self) -> Self {
        self.prepared_statements = false;
        self
    }

    /// Makes lease tokens and ids of audit events. A seeded source is for tests only.
    #[must_use]
    pub fn with_ids(mut self, ids: IdSource) -> Self {
        self.ids = ids;
        self
    }

    /// The URLs beside the first one that differ from it and from each other.
    pub(crate) fn other_urls(&self) -> Vec<&SecretString> {
        let mut others: Vec<&SecretString> = Vec::new();
        for url in [&self.processor_url, &self.sequencer_url]
            .into_iter()
            .flatten()
        {
            let known = |other: &SecretString| other.expose_secret() == url.expose_secret();
            if !known(&self.url) && !others.iter().any(|other| known(other)) {
                others.push(url);
            }
        }
        others
    }

    pub(crate) fn names(&self) -> Result<Names> {
        Names::new(&self.schema, &self.role_prefix)
    }
}

/// The names of schema and roles: checked, so that they can stand in SQL as they are.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) schema: String,
    pub(crate) owner: String,
    pub(crate) system: String,
    pub(crate) app: String,
    pub(crate) processor: String,
    pub(crate) sequencer: String,
}

impl Names {
    fn new(schema: &str, prefix: &str) -> Result<Self> {
        identifier("schema", schema)?;
        identifier("role prefix", prefix)?;
        let role = |name: &str| format!("{prefix}_{name}");
        Ok(Self {
            schema: schema.to_owned(),
            owner: role("owner"),
            system: role("system"),
            app: role("app"),
            processor: role("processor"),
            sequencer: role("sequencer"),
        })
    }

    /// The setting that holds a transaction's context.
    pub(crate) fn setting(&self) -> String {
        format!("{}.context", self.schema)
    }

    /// The channel that wakes workers up.
    pub(crate) fn channel(&self) -> String {
        format!("{}_work", self.schema)
    }

    /// Where unqualified names are looked up. The temporary schema comes last, since anybody may
    /// create there.
    pub(crate) fn search_path(&self) -> String {
        format!("\"{}\", pg_temp", self.schema)
    }

    /// Puts the names where `sql` has `@schema@`, `@setting@` or `@ROLE@`.
    pub(crate) fn fill_in(&self, sql: &str) -> String {
        sql.replace("@schema@", &self.schema)
            .replace("@setting@", &self.setting())
            .replace("@owner@", &self.owner)
            .replace("@system@", &self.system)
            .replace("@app@", &self.app)
            .replace("@processor@", &self.processor)
            .replace("@sequencer@", &self.sequencer)
    }
}

fn identifier(what: &str, text: &str) -> Result<()> {
    let well_formed = (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        // The server keeps these names to itself.
        && !text.starts_with("pg_");
    if well_formed {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::Config,
            format!("{what}: needs 1 to 40 of a-z, 0-9 and _, beginning with a letter, not pg_"),
        ))
    }
}

/// Parses a connection URL. An error does not repeat it: it may hold a password.
pub(crate) fn options(url: &SecretString) -> Result<PgConnectOptions> {
    let text = url.expose_secret();
    if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
        return Err(malformed_url());
    }
    PgConnectOptions::from_str(text).map_err(|_| malformed_url())
}

fn malformed_url() -> Error {
    Error::new(
        ErrorKind::Config,
        "database URL: is malformed; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_end_an_identifier_are_refused() {
        for name in [
            "",
            "a\"b",
            "A",
            "1a",
            "a-b",
            "pg_x",
            "a b",
            "ä",
            &"a".repeat(41),
        ] {
            let config = PostgresConfig::new("postgres://h/d".to_owned().into());
            let error = config.clone().with_schema(name).names().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{name}");
            assert!(config.with_role_prefix(name).names().is_err(), "{name}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_being_repeated() {
        for url in ["", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d"] {
            let error = options(&url.to_owned().into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn the_configuration_shows_no_password() {
        let config = PostgresConfig::new("postgres://u:hunter2@h/d".to_owned().into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn every_placeholder_is_filled_in() {
        let names = Names::new("s", "p").unwrap();
        let sql = "@schema@ @setting@ @owner@ @system@ @app@ @processor@ @sequencer@";
        let wanted = "s s.context p_owner p_system p_app p_processor p_sequencer";
        assert_eq!(names.fill_in(sql), wanted);
    }
}
