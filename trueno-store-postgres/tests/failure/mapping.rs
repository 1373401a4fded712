//! Each way to fail has an error of its own, which says whether trying again helps and whether
//! anything was written, and repeats no value; the store works on afterwards without being reopened.

mod interrupted;
mod refused;
mod starved;

use sqlx::{AssertSqlSafe, Executor as _};
use trueno_core::error::{Error, ErrorKind, RetryAdvice};
use trueno_core::id::CloudAccountId;
use trueno_core::model::{EventDraft, NewCloudAccount};
use trueno_core::port::AuditOutbox as _;
use trueno_store_postgres::{PostgresConfig, PostgresStore};
use trueno_testkit::fixtures::{Tenant, World};

use crate::support::{Database, Harness, harness_of, keys};

/// A value of the rows that are written: no error shows it to a caller.
const VALUE: &str = "Value 7f3a91";

/// What is expected of an error.
#[derive(Clone, Copy, Debug)]
struct Expected {
    kind: ErrorKind,
    /// The SQLSTATE; none where the server said nothing.
    code: Option<&'static str>,
    certainly_not_applied: bool,
}

impl Expected {
    const fn new(kind: ErrorKind, code: &'static str) -> Self {
        Self {
            kind,
            code: Some(code),
            certainly_not_applied: true,
        }
    }

    const fn perhaps_applied(mut self) -> Self {
        self.certainly_not_applied = false;
        self
    }

    /// Whether doing the same again can help.
    const fn advice(self) -> RetryAdvice {
        match self.kind {
            ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Exhausted
            | ErrorKind::StorageFull
            | ErrorKind::Serialization
            | ErrorKind::Deadlock => RetryAdvice::Backoff,
            _ => RetryAdvice::Never,
        }
    }

    #[track_caller]
    fn holds(self, error: &Error) {
        assert_eq!(error.kind(), self.kind, "{self:?}: {error:?}");
        assert_eq!(error.code(), self.code, "{self:?}: {error:?}");
        assert_eq!(error.retry(), self.advice(), "{self:?}: {error:?}");
        assert_eq!(
            error.certainly_not_applied(),
            self.certainly_not_applied,
            "{self:?}: {error:?}"
        );
        assert!(error.operation().is_some(), "{error:?}");
        let message = error.to_string();
        assert!(!message.contains(VALUE), "a value is shown: {message}");
        assert!(
            !message.contains("cloud_account"),
            "a table is shown: {message}"
        );
    }
}

/// The error of an answer that is none.
#[track_caller]
fn error_of<T>(answer: Result<T, Error>) -> Error {
    match answer {
        Ok(_) => panic!("it went through"),
        Err(error) => error,
    }
}

/// A store with an organization.
pub(super) struct Place {
    pub(super) store: PostgresStore,
    pub(super) database: Database,
    pub(super) world: World,
    pub(super) tenant: Tenant,
}

impl Place {
    /// On the shared server, with a configuration that `change` changes.
    pub(super) async fn new(change: impl FnOnce(PostgresConfig) -> PostgresConfig) -> Self {
        let database = Database::migrated(&keys()).await;
        let config = change(database.config());
        Self::of(harness_of(database, config).await).await
    }

    async fn of(harness: Harness) -> Self {
        let store = harness.store.clone();
        let database = harness.database.borrowed();
        let world = World::new(harness).await;
        let tenant = world.organization().await;
        Self {
            store,
            database,
            world,
            tenant,
        }
    }

    /// An account whose row holds the value that nobody is shown.
    fn new_account(&self) -> NewCloudAccount {
        let mut new = self.world.new_account();
        new.name = VALUE.to_owned();
        new
    }

    /// Adds an account in a unit of work, wherever it fails.
    async fn add_account(&self) -> Result<CloudAccountId, Error> {
        let new = self.new_account();
        let id = new.id;
        let mut unit = self.world.store.begin(&self.tenant.accounts).await?;
        unit.insert_account(new).await?;
        unit.commit(connected(id)).await?;
        Ok(id)
    }

    /// How many accounts there are; each with the event that says so (P2).
    async fn accounts(&self) -> i64 {
        let accounts = self
            .database
            .number("select count(*) from trueno.cloud_account")
            .await;
        let events = "select count(*) from trueno.audit_staged
            where action = 'cloud_account.connected'";
        assert_eq!(self.database.number(events).await, accounts, "P2");
        accounts
    }

    /// Works with every pool: the same store, which was not opened again.
    async fn works(&self) {
        let account = self.world.pending_account(&self.tenant).await;
        let mut view = self.world.view(&self.tenant).await;
        assert_eq!(view.account(account.id).await.unwrap(), account);
        drop(view);
        let scan = self.world.running_scan(&self.tenant).await;
        let running = self.world.read_scan(&self.tenant, scan.scan).await;
        assert!(running.started_at.is_some());
        assert!(!self.store.staged(1).await.unwrap().is_empty());
    }

    /// Waits until a connection of the store is in this state, by a condition on
    /// `pg_stat_activity`.
    async fn until(&self, condition: &str) {
        let count = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'trueno' and {condition}"
        );
        for _ in 0..1_500 {
            if self.database.number(&count).await > 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no connection has {condition}");
    }

    /// Alters a setting of the database, and ends the store's connections, which learn of it when they
    /// are made.
    pub(super) async fn alter(&self, setting: &str) {
        let name = self.database.options().get_database().unwrap().to_owned();
        let mut admin = self.database.admin().await;
        for statement in [
            "set default_transaction_read_only = off",
            &format!("alter database {name} {setting}"),
        ] {
            let statement = AssertSqlSafe(statement.to_owned());
            admin.execute(statement).await.unwrap();
        }
        assert!(self.terminate("true").await > 0);
    }

    /// Ends the store's connections for which the condition holds; answers how many.
    async fn terminate(&self, condition: &str) -> i64 {
        let terminate = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and application_name = 'trueno' and {condition}"
        );
        self.database.number(&terminate).await
    }
}

fn connected(account: CloudAccountId) -> EventDraft {
    EventDraft::new("cloud_account.connected", "cloud_account", account)
}
