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
        if text.is_empty() || text.len() > 4_096 || text.chars().any(char::is_control) {
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

/// Up to where filters that nobody keeps a count of are counted.
pub const COUNT_LIMIT: u64 = 1_000;

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "relation", content = "value", rename_all = "snake_case")]
pub enum Count {
    /// This many.
    Exactly(u64),
    /// This many, or more: nobody counted on.
    AtLeast(u64),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, more) = match self {
            Self::Exactly(value) => (value, ""),
            Self::AtLeast(value) => (value, "+"),
        };
        let digits = value.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        f.write_str(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_like_numbers() {
        assert_eq!(Count::Exactly(0).to_string(), "0");
        assert_eq!(Count::Exactly(999).to_string(), "999");
        assert_eq!(Count::AtLeast(COUNT_LIMIT).to_string(), "1,000+");
        assert_eq!(Count::Exactly(1_234_567).to_string(), "1,234,567");
    }
}
