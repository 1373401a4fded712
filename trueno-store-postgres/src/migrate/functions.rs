//! Functions and triggers: made from their files wherever the database has others.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use trueno_core::error::Result;

use super::files::FUNCTIONS;
use super::run_script;
use crate::config::Names;
use crate::encode::RowExt as _;
use crate::error;

/// Makes functions and triggers from this program's files, unless they were made from the same files
/// and are as they were then. Answers whether it did.
///
/// The schema has to be of this program's version.
pub(super) async fn make_changed(connection: &mut PgConnection, names: &Names) -> Result<bool> {
    let row = sqlx::query("select functions from schema_info")
        .fetch_one(&mut *connection)
        .await
        .map_err(error::statement)?;
    let recorded = row.text_opt("functions")?;
    if recorded == Some(checksum(connection, names).await?) {
        return Ok(false);
    }
    for script in FUNCTIONS {
        run_script(connection, names, script).await?;
    }
    let made = checksum(connection, names).await?;
    sqlx::query("update schema_info set functions = $1")
        .bind(made)
        .execute(&mut *connection)
        .await
        .map_err(error::statement)?;
    Ok(true)
}

/// SHA-256 over the files and over what the database has: one that was changed by hand, or lost, is
/// noticed like one that another program made.
///
/// A server of another version may word the latter differently; making all of it again does no harm.
async fn checksum(connection: &mut PgConnection, names: &Names) -> Result<String> {
    let row = sqlx::query(
        r#"select coalesce(string_agg(made.said, e'\n' order by made.said collate "C"), '') as said
         from (
            select concat_ws(' ', pg_get_functiondef(p.oid), p.proowner::regrole, p.proacl) as said
            from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = $1 and p.prokind in ('f', 'p')
            union all
            select concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
            from pg_trigger t
            join pg_class c on c.oid = t.tgrelid
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and not t.tgisinternal
         ) made"#,
    )
    .bind(&names.schema)
    .fetch_one(connection)
    .await
    .map_err(error::statement)?;
    let said = row.text("said")?;
    let mut digest = Sha256::new();
    // Lengths first: one reading only.
    for text in FUNCTIONS.iter().map(|it| it.sql).chain([said.as_str()]) {
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(text);
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
}
