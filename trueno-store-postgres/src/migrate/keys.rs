//! The keys that the database verifies contexts with.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::vault::KeyFile;

use crate::context::{ContextKey, Pads};
use crate::error;

/// The id of the server's own key, which is in no key file.
const SERVER: &str = "_server";

/// Lets the database verify contexts that are signed with any key of the file, and answers their ids.
/// A key that it knows by the same id with other bytes is refused: processes that sign with those
/// would be locked out. Keys that are not in the file stay: processes that still use them go on.
pub(super) async fn register(
    connection: &mut PgConnection,
    keys: &KeyFile,
    schema: &str,
) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for key in keys.keys() {
        let pads = ContextKey::derived(key, schema).pads();
        match known(connection, &pads).await? {
            Some(true) => {}
            Some(false) => return Err(differs(&pads)),
            None => add(connection, &pads).await?,
        }
        ids.push(pads.key_id);
    }
    Ok(ids)
}

/// Forgets every key that is not in the file, and answers their ids. Every key of the file has to be
/// known.
pub(super) async fn retire_others(
    connection: &mut PgConnection,
    keys: &KeyFile,
    schema: &str,
) -> Result<Vec<String>> {
    let mut kept = vec![SERVER.to_owned()];
    for key in keys.keys() {
        let pads = ContextKey::derived(key, schema).pads();
        match known(connection, &pads).await? {
            Some(true) => kept.push(pads.key_id),
            Some(false) => return Err(differs(&pads)),
            None => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "key file: the database does not know the key {} yet: run `trueno migrate` \
                         with this key file and restart the processes first",
                        pads.key_id
                    ),
                ));
            }
        }
    }
    let rows = sqlx::query("delete from context_key where key_id <> all ($1) returning key_id")
        .bind(kept)
        .fetch_all(connection)
        .await
        .map_err(error::statement)?;
    let ids = rows.iter().map(|row| row.try_get("key_id"));
    let mut ids = ids
        .collect::<sqlx::Result<Vec<String>>>()
        .map_err(error::statement)?;
    ids.sort_unstable();
    Ok(ids)
}

/// Whether the database knows the key: with these bytes, with others, or not at all.
async fn known(connection: &mut PgConnection, pads: &Pads) -> Result<Option<bool>> {
    let row = sqlx::query(
        "select inner_pad = $2 and outer_pad = $3 as same from context_key where key_id = $1",
    )
    .bind(&pads.key_id)
    .bind(&pads.inner[..])
    .bind(&pads.outer[..])
    .fetch_optional(connection)
    .await
    .map_err(error::statement)?;
    row.map(|row| row.try_get("same"))
        .transpose()
        .map_err(error::statement)
}

async fn add(connection: &mut PgConnection, pads: &Pads) -> Result<()> {
    sqlx::query("insert into context_key (key_id, inner_pad, outer_pad) values ($1, $2, $3)")
        .bind(&pads.key_id)
        .bind(&pads.inner[..])
        .bind(&pads.outer[..])
        .execute(connection)
        .await
        .map_err(error::statement)?;
    Ok(())
}

fn differs(pads: &Pads) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "key file: the database knows another key by the id {}: give the new one an id of its own",
            pads.key_id
        ),
    )
}
