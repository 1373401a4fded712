//! Roles: they belong to the server, so that other databases' migrations race for them.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use trueno_core::error::{Error, ErrorKind, Result};

use crate::config::Names;
use crate::encode::RowExt as _;
use crate::error::{self, sqlstate};

/// How often a statement is tried that another process got in the way of.
const TRIES: u32 = 50;

/// Makes the roles that are missing, refuses those that could pass row-level security by, and lets
/// the login act for them.
///
/// Membership alone lets no login act for a role on PostgreSQL 16 and later: there, whoever creates a
/// role becomes its member with ADMIN only, and needs the SET option for `set role` and for giving
/// objects to it. The login may grant that to itself. It is not to inherit anything: migrations and
/// the store always take a role on.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    names: &Names,
    server_version: u32,
) -> Result<()> {
    let (privilege, options) = if server_version >= 160_000 {
        ("set", " with inherit false, set true")
    } else {
        ("member", "")
    };
    let all = [
        &names.owner,
        &names.system,
        &names.app,
        &names.processor,
        &names.sequencer,
    ];
    let login = sqlx::query(
        "select rolname::text as name, rolsuper as super from pg_roles where rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(error::statement)?;
    let (login, is_super) = (login.text("name")?, login.flag("super")?);
    for role in all {
        ensure_one(connection, role).await?;
        if !is_super && !may(connection, role, privilege).await? {
            // Checked names, and the login's own, quoted.
            let login = login.replace('"', "\"\"");
            let grant = format!("grant \"{role}\" to \"{login}\"{options}");
            retried(connection, &grant).await?;
        }
    }
    Ok(())
}

async fn ensure_one(connection: &mut PgConnection, role: &str) -> Result<()> {
    let found =
        sqlx::query("select rolsuper or rolbypassrls as unbound from pg_roles where rolname = $1")
            .bind(role)
            .fetch_optional(&mut *connection)
            .await
            .map_err(error::statement)?;
    match found {
        Some(row) if row.flag("unbound")? => Err(Error::new(
            ErrorKind::Config,
            format!(
                "the role {role} is a superuser or has BYPASSRLS: row-level security would not hold"
            ),
        )),
        Some(_) => Ok(()),
        // Neither superuser nor BYPASSRLS, which is what a role is where nothing is said: saying so
        // takes more than CREATEROLE.
        None => retried(connection, &format!("create role \"{role}\" nologin")).await,
    }
}

async fn may(connection: &mut PgConnection, role: &str, privilege: &str) -> Result<bool> {
    let row = sqlx::query("select pg_has_role(current_user, $1, $2) as may")
        .bind(role)
        .bind(privilege)
        .fetch_one(connection)
        .await
        .map_err(error::statement)?;
    row.flag("may")
}

/// Runs a statement on roles, again where another process changed the same role at the same time.
async fn retried(connection: &mut PgConnection, sql: &str) -> Result<()> {
    let mut tries = 0;
    loop {
        let Err(source) = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await else {
            return Ok(());
        };
        match error::code(&source).as_deref() {
            // Another process made it in between.
            Some(sqlstate::DUPLICATE_OBJECT | sqlstate::UNIQUE_VIOLATION) => return Ok(()),
            // "tuple concurrently updated".
            Some(sqlstate::INTERNAL_ERROR) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(u64::from(tries))).await;
            }
            _ => return Err(error::statement(source)),
        }
    }
}
