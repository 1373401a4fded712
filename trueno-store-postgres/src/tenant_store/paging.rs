//! Pages by keyset, and the cursors that name where one begins.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Cursor, Page, PageRequest};

use crate::error;
use crate::transaction::Tx;

/// Far longer than the longest key, and short enough to be looked at.
const LONGEST: usize = 16 * 1_024;

fn foreign() -> Error {
    Error::invalid("cursor", "is not one that this list gave out")
}

/// Where the page begins: the key of the last row before it.
pub(super) fn after<K: DeserializeOwned>(list: &str, page: &PageRequest) -> Result<Option<K>> {
    let Some(cursor) = page.cursor() else {
        return Ok(None);
    };
    if cursor.as_str().len() > LONGEST {
        return Err(foreign());
    }
    let json = BASE64URL_NOPAD
        .decode(cursor.as_str().as_bytes())
        .map_err(|_| foreign())?;
    let named: Value = serde_json::from_slice(&json).map_err(|_| foreign())?;
    if holds_nul(&named) {
        return Err(foreign());
    }
    let (of, key): (String, K) = serde_json::from_value(named).map_err(|_| foreign())?;
    if of == list {
        Ok(Some(key))
    } else {
        Err(foreign())
    }
}

/// A NUL cannot be asked for, since no text of the database holds one.
fn holds_nul(key: &Value) -> bool {
    match key {
        Value::String(text) => text.contains('\0'),
        Value::Array(parts) => parts.iter().any(holds_nul),
        _ => false,
    }
}

/// Refuses a text to filter by that the database cannot take.
pub(super) fn no_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(
            field,
            "holds a NUL, which nothing stored does",
        ));
    }
    Ok(())
}

/// How many rows are fetched for a page: one more than it holds, which tells whether there is
/// another page.
pub(super) fn rows(page: &PageRequest) -> usize {
    page.limit() + 1
}

/// Fetches a page.
pub(super) async fn fetch<T, K: Serialize>(
    tx: &mut Tx,
    list: &str,
    mut query: QueryBuilder<Postgres>,
    page: &PageRequest,
    decode: impl Fn(&PgRow) -> Result<T>,
    key: impl Fn(&PgRow) -> Result<K>,
) -> Result<Page<T>> {
    query
        .push(" limit ")
        .push_bind(i64::try_from(rows(page)).unwrap_or(i64::MAX));
    let query = query.build().persistent(tx.prepared());
    let rows = query
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    self::page(list, &rows, page, decode, key)
}

/// The page of what [`rows`] says to fetch. Its cursor names the list, so that another list refuses
/// it, and the last row's key, which the reader has seen.
pub(super) fn page<T, K: Serialize>(
    list: &str,
    rows: &[PgRow],
    page: &PageRequest,
    decode: impl Fn(&PgRow) -> Result<T>,
    key: impl Fn(&PgRow) -> Result<K>,
) -> Result<Page<T>> {
    let next = match rows.get(page.limit()) {
        Some(_) => {
            let json =
                serde_json::to_vec(&(list, key(&rows[page.limit() - 1])?)).map_err(|source| {
                    Error::new(ErrorKind::Unexpected, "the page's end cannot be named")
                        .with_source(source)
                })?;
            Some(Cursor::from_key(BASE64URL_NOPAD.encode(&json)))
        }
        None => None,
    };
    let items = rows
        .iter()
        .take(page.limit())
        .map(decode)
        .collect::<Result<_>>()?;
    Ok(Page { items, next })
}
