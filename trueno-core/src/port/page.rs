//! Keyset pages: a page names where the next one begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most that one page holds.
pub const MAX_PAGE: usize = 1_000;

/// Where a page begins: opaque, and worth something only to the store and the list it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Made by a store from the last row of a page.
    #[must_use]
    pub fn from_key(key: String) -> Self {
        Self(key)
    }

    /// The key, for the store that made it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > 2_048 || text.chars().any(char::is_control) {
            return Err(Error::invalid(
                "cursor",
                "is not one that this list gave out",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Which page is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    after: Option<Cursor>,
    limit: usize,
}

impl PageRequest {
    /// The first page of `limit` items.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless `limit` is 1 to
    /// [`MAX_PAGE`].
    pub fn first(limit: usize) -> Result<Self> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Error::invalid("limit", "needs 1 to 1000"));
        }
        Ok(Self { after: None, limit })
    }

    /// The first page, as large as pages get.
    #[must_use]
    pub const fn largest() -> Self {
        Self {
            after: None,
            limit: MAX_PAGE,
        }
    }

    /// The page after `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.after = cursor;
        self
    }

    /// Where it begins.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// How many items it holds at the most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one, however full it is.
    pub next: Option<Cursor>,
}
