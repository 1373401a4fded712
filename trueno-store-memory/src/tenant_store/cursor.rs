//! Pages by keyset: a cursor is the list's name and the last row's key.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Cursor, Page, PageRequest};

use crate::state::Overlay;

/// A list of rows in the order of their keys.
pub(super) struct List<'a, K, R> {
    /// Told apart from other lists in its cursors.
    pub(super) name: Cow<'static, str>,
    pub(super) rows: &'a Overlay<K, R>,
    /// Where it begins.
    pub(super) start: Bound<K>,
}

impl<K, R> List<'_, K, R>
where
    K: Ord + Clone + Serialize + DeserializeOwned,
{
    /// One page of the rows that `pick` answers something for. The list ends early where `more`
    /// says that no later key is wanted. A cursor may come from the same list under another filter,
    /// so `pick` decides of every row, whatever the list's start.
    pub(super) fn page<T>(
        &self,
        request: &PageRequest,
        more: impl Fn(&K) -> bool,
        pick: impl Fn(&K, &Arc<R>) -> Option<T>,
    ) -> Result<Page<T>> {
        let start = match request.cursor() {
            None => self.start.clone(),
            Some(cursor) => Bound::Excluded(key_of(&self.name, cursor)?),
        };
        let mut items = Vec::new();
        let mut last = None;
        for (key, row) in self
            .rows
            .rows_from(start.as_ref())
            .take_while(|(key, _)| more(key))
        {
            let Some(item) = pick(key, row) else { continue };
            if items.len() == request.limit() {
                return Ok(Page {
                    items,
                    next: last.map(|key| cursor_at(&self.name, key)).transpose()?,
                });
            }
            items.push(item);
            last = Some(key);
        }
        Ok(Page { items, next: None })
    }
}

/// The cursor after `key` in the list `name`.
pub(super) fn cursor_at(name: &str, key: &impl Serialize) -> Result<Cursor> {
    let key = serde_json::to_vec(key).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the cursor cannot be written").with_source(source)
    })?;
    Ok(Cursor::from_key(format!(
        "{name}.{}",
        BASE64URL_NOPAD.encode(&key)
    )))
}

/// The key that a cursor of the list `name` stands for.
pub(super) fn key_of<K: DeserializeOwned>(name: &str, cursor: &Cursor) -> Result<K> {
    let refused = || Error::invalid("cursor", "is not one that this list gave out");
    let (list, key) = cursor.as_str().split_once('.').unwrap_or_default();
    if list != name {
        return Err(refused());
    }
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).ok();
    key.and_then(|key| serde_json::from_slice(&key).ok())
        .ok_or_else(refused)
}
