//! The Postgres adapter of Trueno: a [`TenantStore`](trueno_core::port::TenantStore) isolated by
//! row-level security under a signed context, and a [`JobQueue`](trueno_core::port::JobQueue) on
//! `SKIP LOCKED`, in one schema of any database.
//!
//! | step | what |
//! |---|---|
//! | [`PostgresConfig`] | where the database is, schema, roles, time-outs |
//! | [`migrate()`] | prepares or upgrades the schema, as an administrator; safe to run at any time |
//! | [`retire_keys`] | ends a rotation of keys: contexts by keys that left the key file are refused |
//! | [`PostgresStore::connect`] | opens the store; both ports and the audit outbox are on it |
//!
//! It needs PostgreSQL 15.20, 16.16, 17.12, 18.7 or later: older ones leak through forced row-level
//! security. What it promises (P1, P2, P3, P10) rests on the database, not on this program:
//!
//! - Every row belongs to an organization, and every policy compares it with the organization that
//!   the transaction *entered*, with a message authentication code that no SQL can forge.
//! - The processor's role holds no key: it enters with a lease that the database checks and locks.
//! - What crosses organizations is a closed list of functions, which a test pins: in `functions/`, those
//!   of organizations, leases and operators in `across.sql`, those of the queue, schedules and history
//!   in `queue.sql`, `scheduling.sql` and `horizon.sql`.
//!
//! # Behind PgBouncer
//!
//! It works behind a pooler in transaction mode; the suites of the ports run through one.
//!
//! - Log in as members of the roles, with [`Login::Direct`] and a URL for each role: a pooler passes no
//!   request for a role on. One that drops it in silence is noticed and refused.
//! - Name no statements: [`PostgresConfig::without_prepared_statements`].
//! - `LISTEN` does not pass: give the processor a URL straight to the server, or use
//!   [`WakeUpMode::Poll`].
//! - PgBouncer needs `ignore_startup_parameters = extra_float_digits`.
//! - [`migrate()`] and [`retire_keys`] log in straight on the server.
//!
//! ```no_run
//! use trueno_core::vault::{Key, KeyFile};
//! use trueno_store_postgres::{PostgresConfig, PostgresStore, migrate};
//!
//! # async fn run() -> trueno_core::error::Result<()> {
//! let keys = KeyFile::single(Key::generate()?);
//! let config = PostgresConfig::new("postgres://admin@localhost/app".to_owned().into());
//! migrate(&config, &keys).await?;
//! let store = PostgresStore::connect(config, &keys).await?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```

mod config;
mod context;
mod encode;
mod error;
mod job_queue;
mod migrate;
mod pool;
mod server;
mod store;
mod tenant_store;
mod transaction;
mod waker;

pub use config::{Login, PostgresConfig, WakeUpMode};
pub use migrate::{HistoryReport, MigrationReport, migrate, partition_history, retire_keys};
pub use store::PostgresStore;
