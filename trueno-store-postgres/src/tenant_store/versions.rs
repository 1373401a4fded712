//! Optimistic concurrency, in one way for every row that changes: missing, stale and as it was read
//! are told apart.
//!
//! A change locks the row first (`for no key update`), holds it against the version that its caller
//! read, applies the state machine, and writes. The lock keeps the answer true until the commit.

use sqlx::postgres::PgRow;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::Version;

use crate::encode::RowExt as _;

/// The row that was locked, where it is there and as it was read. `what` names it for the caller.
pub(super) fn unchanged(row: Option<PgRow>, what: &str, read: Version) -> Result<PgRow> {
    let row = row.ok_or_else(|| Error::not_found(what))?;
    check(&row, what, read)?;
    Ok(row)
}

/// Refuses a row that changed since it was read.
pub(super) fn check(row: &PgRow, what: &str, read: Version) -> Result<()> {
    if row.count::<Version>("version")? == read {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("the {what} was changed by somebody else meanwhile; read it and try again"),
    ))
}
