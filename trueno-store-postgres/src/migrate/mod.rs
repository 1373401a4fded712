//! Preparing and upgrading the schema.
//!
//! Tables, indexes, policies and privileges on them have a history: numbered migrations, each applied
//! once. Functions and triggers have a present only: they are made from their files after the
//! migrations, wherever the database has others. A schema of a newer program is left as it is, functions
//! included.
//!
//! Everything but the roles, which belong to the whole server, is one transaction: a migration that
//! fails leaves nothing half-made. A lock in the database lets several processes try at once.

mod files;
mod functions;
mod history;
mod keys;
mod roles;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Postgres, Row as _, Transaction};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::vault::KeyFile;

pub(crate) use files::{LATEST, OLDEST_BINARY};
use files::{MIGRATIONS, Migration, RunsAs, Script};
pub use history::{HistoryReport, partition_history};

use crate::config::{Names, PostgresConfig};
use crate::encode::RowExt as _;
use crate::{error, pool, server};

/// What [`migrate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// The migrations that were applied now, in order, then `functions` where functions and triggers
    /// were made anew; empty where the schema was up to date.
    pub applied: Vec<&'static str>,
    /// The schema's version now.
    pub version: u32,
    /// Ids of the keys that contexts may be signed with.
    pub keys: Vec<String>,
}

/// How many deadlocks one migration gets over.
const DEADLOCKS: u32 = 5;

/// Prepares the database of `config` for this program, or upgrades it: roles, schema, tables,
/// policies, functions, and the context keys derived from `keys`. Idempotent, and safe from several
/// processes at once, and beside programs that work: what they have locked is waited for, and after a
/// deadlock with them it is tried again.
///
/// Functions that are not this program's, because somebody changed them or another program of the same
/// schema version made them, are made anew. On the schema of a newer program nothing but keys is added.
///
/// The URL logs in as an administrator: a superuser, or a role with `CREATEROLE` and `CREATE` on the
/// database; straight on the server, not through a pooler.
///
/// Keys of the database that are not in `keys` stay: see [`retire_keys`].
///
/// # Errors
/// [`ErrorKind::Unavailable`] where the server cannot be reached; [`ErrorKind::Unsupported`] where
/// it is too old, or the schema was made by a newer program that no longer serves this one;
/// [`ErrorKind::Corrupt`] where a migration that was applied differs from this program's;
/// [`ErrorKind::Config`] for malformed names, roles that could pass row-level security by, a schema
/// that belongs to somebody else, and a key that the database knows by its id with other bytes;
/// [`ErrorKind::Denied`] where the login may not do it.
/// Nothing was changed then, roles apart.
///
/// # Cancel-safety
/// A dropped call was applied as a whole or not at all, roles apart.
pub async fn migrate(config: &PostgresConfig, keys: &KeyFile) -> Result<MigrationReport> {
    let names = config.names()?;
    let mut connection = pool::connect(config, &config.url).await?;
    let server_version = pool::server_version(&mut connection).await?;
    server::check(server_version)?;
    roles::ensure(&mut connection, &names, server_version).await?;
    let mut deadlocks = 0;
    let report = loop {
        match in_one_transaction(&mut connection, &names, keys).await {
            // With programs that work meanwhile. They went on, and nothing was changed here.
            Err(error) if error.kind() == ErrorKind::Deadlock && deadlocks < DEADLOCKS => {
                deadlocks += 1;
                tracing::debug!(%error, "the migration met a deadlock and is tried again");
            }
            report => break report?,
        }
    };
    // Committed already; a goodbye that is lost changes nothing.
    let _ = connection.close().await;
    Ok(report)
}

/// Makes the database refuse contexts that are signed with a key that is not in `keys`, and answers
/// the ids of those keys. The last step of a rotation, after which nothing may sign with them:
///
/// 1. add the new key to the key file, as its last line, and [`migrate`] with it;
/// 2. restart the processes one by one with that file: those that sign with the old key and those
///    that sign with the new one work side by side;
/// 3. take the old key out of the file, and retire it.
///
/// A process that still signs with a retired key is refused from its next transaction on, with
/// [`ErrorKind::Config`], which names the key. Where external ids were derived from the old key, it
/// has to stay in the file, and is not retired.
///
/// The URL logs in as for [`migrate`], which never retires a key by itself: nobody but the operator
/// knows when the last process was restarted. Done again, it answers that there was nothing to retire.
///
/// # Errors
/// [`ErrorKind::Config`] where the database does not know every key of `keys`, so that it would refuse
/// who signs with them; otherwise as [`migrate`]. Nothing was changed then.
///
/// # Cancel-safety
/// A dropped call was applied as a whole or not at all.
pub async fn retire_keys(config: &PostgresConfig, keys: &KeyFile) -> Result<Vec<String>> {
    let names = config.names()?;
    let mut connection = pool::connect(config, &config.url).await?;
    server::check(pool::server_version(&mut connection).await?)?;
    if !exists(&mut connection, &names.schema).await? {
        return Err(not_migrated());
    }
    let mut transaction = begin_as_owner(&mut connection, &names).await?;
    let retired = keys::retire_others(&mut transaction, keys, &names.schema).await?;
    transaction.commit().await.map_err(error::commit)?;
    // Committed already; a goodbye that is lost changes nothing.
    let _ = connection.close().await;
    Ok(retired)
}

async fn in_one_transaction(
    connection: &mut PgConnection,
    names: &Names,
    keys: &KeyFile,
) -> Result<MigrationReport> {
    let mut transaction = begin_alone(connection, names).await?;
    let connection = &mut *transaction;
    create_schema(connection, names).await?;
    run(connection, &names.fill_in(BOOTSTRAP)).await?;
    let applied = apply_missing(connection, names).await?;
    run(connection, &names.fill_in("set local role \"@owner@\"")).await?;
    let keys = keys::register(connection, keys, &names.schema).await?;
    let version = read_version(connection).await?.latest;
    transaction.commit().await.map_err(error::commit)?;
    Ok(MigrationReport {
        applied,
        version,
        keys,
    })
}

/// Begins a transaction that no other one of these runs beside, in the same schema.
async fn begin_alone<'c>(
    connection: &'c mut PgConnection,
    names: &Names,
) -> Result<Transaction<'c, Postgres>> {
    let mut transaction = connection.begin().await.map_err(error::statement)?;
    run(
        &mut transaction,
        "set local statement_timeout = 0; set local lock_timeout = 0",
    )
    .await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("trueno migrate {}", names.schema))
        .execute(&mut *transaction)
        .await
        .map_err(error::statement)?;
    Ok(transaction)
}

/// Begins such a transaction as the owner, on a schema that serves this program.
async fn begin_as_owner<'c>(
    connection: &'c mut PgConnection,
    names: &Names,
) -> Result<Transaction<'c, Postgres>> {
    let mut transaction = begin_alone(connection, names).await?;
    run(
        &mut transaction,
        &names.fill_in("set local search_path = \"@schema@\", pg_temp; set local role \"@owner@\""),
    )
    .await?;
    read_version(&mut transaction)
        .await?
        .serves_this_program()?;
    Ok(transaction)
}

/// Tables that know which migrations were applied. As the owner, like everything from here on.
const BOOTSTRAP: &str = r#"
set local search_path = "@schema@", pg_temp;
set local client_min_messages = warning;
set local role "@owner@";
grant usage on schema "@schema@" to "@system@", "@app@", "@processor@", "@sequencer@";
create table if not exists schema_migration (
    version bigint primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
);
create table if not exists schema_info (
    only_row boolean primary key default true check (only_row),
    oldest_binary bigint not null
);
"#;

async fn create_schema(connection: &mut PgConnection, names: &Names) -> Result<()> {
    let owner = sqlx::query(
        "select r.rolname::text as owner from pg_namespace n join pg_roles r on r.oid = n.nspowner
         where n.nspname = $1",
    )
    .bind(&names.schema)
    .fetch_optional(&mut *connection)
    .await
    .map_err(error::statement)?;
    match owner.map(|row| row.text("owner")).transpose()? {
        None => {
            run(
                connection,
                &names.fill_in("create schema \"@schema@\" authorization \"@owner@\""),
            )
            .await
        }
        Some(owner) if owner == names.owner => Ok(()),
        Some(owner) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "the schema {} belongs to the role {owner}, not to {}; choose another schema or \
                 role prefix",
                names.schema, names.owner
            ),
        )),
    }
}

async fn apply_missing(connection: &mut PgConnection, names: &Names) -> Result<Vec<&'static str>> {
    let rows = sqlx::query("select version, name, checksum from schema_migration order by version")
        .fetch_all(&mut *connection)
        .await
        .map_err(error::statement)?;
    let mut applied = Vec::new();
    for row in &rows {
        applied.push((row.count::<u32>("version")?, row.text("checksum")?));
    }
    if applied.last().is_some_and(|(version, _)| *version > LATEST) {
        // A newer program was here: what it made is not for this one to touch.
        read_version(connection).await?.serves_this_program()?;
        return Ok(Vec::new());
    }
    let mut now = Vec::new();
    for migration in MIGRATIONS {
        match applied
            .iter()
            .find(|(version, _)| *version == migration.version)
        {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "the migration {} was applied in another form than this program's; use \
                         the program that applied it, or a newer one",
                        migration.script.name
                    ),
                ));
            }
            None => {
                apply(connection, names, migration).await?;
                now.push(migration.script.name);
            }
        }
    }
    if !now.is_empty() {
        sqlx::query(
            "insert into schema_info (oldest_binary) values ($1)
             on conflict (only_row) do update set oldest_binary = excluded.oldest_binary",
        )
        .bind(i64::from(OLDEST_BINARY))
        .execute(&mut *connection)
        .await
        .map_err(error::statement)?;
    }
    if functions::make_changed(connection, names).await? {
        now.push("functions");
    }
    Ok(now)
}

async fn apply(connection: &mut PgConnection, names: &Names, migration: &Migration) -> Result<()> {
    run_script(connection, names, &migration.script).await?;
    sqlx::query("insert into schema_migration (version, name, checksum) values ($1, $2, $3)")
        .bind(i64::from(migration.version))
        .bind(migration.script.name)
        .bind(migration.checksum())
        .execute(&mut *connection)
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Runs a script as the role that it is for, and is the owner before and after.
async fn run_script(connection: &mut PgConnection, names: &Names, script: &Script) -> Result<()> {
    let sql = names.fill_in(script.sql);
    let result = match script.runs_as {
        RunsAs::Owner => run(connection, &sql).await,
        // The system role makes its functions itself, and may make nothing else afterwards.
        RunsAs::System => {
            let before = "grant create on schema \"@schema@\" to \"@system@\";
                set local role \"@system@\";";
            let after = "set local role \"@owner@\";
                revoke create on schema \"@schema@\" from \"@system@\";";
            run(
                connection,
                &[&names.fill_in(before), &sql, &*names.fill_in(after)].concat(),
            )
            .await
        }
    };
    result.map_err(|error| error.with_detail(format!("migration {}", script.name)))
}

/// What a schema says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaVersion {
    latest: u32,
    oldest_binary: u32,
}

impl SchemaVersion {
    /// Refuses a schema that lacks a migration, or that a newer program made for newer ones only.
    pub(crate) fn serves_this_program(self) -> Result<()> {
        if self.latest < LATEST {
            return Err(not_migrated());
        }
        if self.oldest_binary > LATEST {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the database schema is at version {} and serves programs of version {} on; \
                     this one is at {LATEST}: upgrade it",
                    self.latest, self.oldest_binary
                ),
            ));
        }
        Ok(())
    }
}

/// The schema is not there, or not as this program needs it.
pub(crate) fn not_migrated() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the database is not prepared for this version: run `trueno migrate`",
    )
}

/// Reads the version of the schema on the search path.
pub(crate) async fn read_version(connection: &mut PgConnection) -> Result<SchemaVersion> {
    let row = sqlx::query(
        "select coalesce((select max(version) from schema_migration), 0) as latest,
            coalesce((select oldest_binary from schema_info), 0) as oldest_binary",
    )
    .persistent(false)
    .fetch_one(connection)
    .await
    .map_err(error::statement)?;
    Ok(SchemaVersion {
        latest: row.count("latest")?,
        oldest_binary: row.count("oldest_binary")?,
    })
}

/// Whether the schema has been made at all, asked without any privilege on it.
pub(crate) async fn exists(connection: &mut PgConnection, schema: &str) -> Result<bool> {
    let row = sqlx::query(
        "select exists (
            select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relname = 'schema_migration'
         ) as found",
    )
    .persistent(false)
    .bind(schema)
    .fetch_one(connection)
    .await
    .map_err(error::statement)?;
    row.try_get("found").map_err(error::statement)
}

/// Runs statements whose only variable parts are names that were checked.
async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await
        .map_err(error::statement)?;
    Ok(())
}
