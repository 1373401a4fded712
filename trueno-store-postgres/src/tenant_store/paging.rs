//! Pages by keyset, and the cursors that name where one begins.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Cursor, Page, PageRequest};

use crate::error;
use crate::pool::Tx;

/// Where the page begins: the key of the last row before it.
pub(super) fn after<K: DeserializeOwned>(list: &str, page: &PageRequest) -> Result<Option<K>> {
    let Some(cursor) = page.cursor() else {
        return Ok(None);
    };
    let foreign = || Error::invalid("cursor", "is not one that this list gave out");
    let json = BASE64URL_NOPAD
        .decode(cursor.as_str().as_bytes())
        .map_err(|_| foreign())?;
    let (of, key): (String, K) = serde_json::from_slice(&json).map_err(|_| foreign())?;
    if of == list {
        Ok(Some(key))
    } else {
        Err(foreign())
    }
}

/// Fetches a page: a row more than it holds tells whether there is another. The cursor names the
/// list, so that another list refuses it, and the last row's key, which the reader has seen.
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
        .push_bind(i64::try_from(page.limit()).unwrap_or(i64::MAX - 1) + 1);
    let query = query.build().persistent(tx.prepared());
    let rows = query
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
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
