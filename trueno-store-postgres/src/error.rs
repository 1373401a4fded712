//! The one place that says what an error of the database means.

use sqlx::error::DatabaseError;
use trueno_core::error::{Applied, Error, ErrorKind};

/// SQLSTATEs that this adapter acts on.
/// Source: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
pub(crate) mod sqlstate {
    /// Raised by `enter` and by policies: no tenant context, or one that does not verify.
    pub(crate) const BAD_CONTEXT: &str = "TR001";
    /// Raised by `enter_lease` and the like: the lease or the session is over.
    pub(crate) const STALE_LEASE: &str = "TR002";
    /// Raised by `enqueue`: the job id is in use.
    pub(crate) const JOB_ID_IN_USE: &str = "TR003";
    /// Raised by `settle_succeeded`: a job of the batch runs a scan.
    pub(crate) const RUNS_A_SCAN: &str = "TR004";
    /// Raised by `enqueue`: the organization has as many live jobs as it may.
    pub(crate) const QUOTA_REACHED: &str = "TR005";

    pub(crate) const INVALID_TEXT: &str = "22021";
    pub(crate) const UNTRANSLATABLE_TEXT: &str = "22P05";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const INVALID_PARAMETER: &str = "22023";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const DATETIME_OVERFLOW: &str = "22008";
    pub(crate) const NUMERIC_OUT_OF_RANGE: &str = "22003";
    pub(crate) const PROGRAM_LIMIT: &str = "54000";
    pub(crate) const FOREIGN_KEY_VIOLATION: &str = "23503";
    pub(crate) const UNIQUE_VIOLATION: &str = "23505";
    pub(crate) const CHECK_VIOLATION: &str = "23514";
    pub(crate) const READ_ONLY_TRANSACTION: &str = "25006";
    pub(crate) const IDLE_IN_TRANSACTION: &str = "25P03";
    pub(crate) const TRANSACTION_TIMEOUT: &str = "25P04";
    pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
    pub(crate) const INVALID_PASSWORD: &str = "28P01";
    pub(crate) const NO_SUCH_DATABASE: &str = "3D000";
    pub(crate) const SERIALIZATION_FAILURE: &str = "40001";
    pub(crate) const COMPLETION_UNKNOWN: &str = "40003";
    pub(crate) const DEADLOCK: &str = "40P01";
    pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(crate) const DUPLICATE_OBJECT: &str = "42710";
    pub(crate) const RESOLUTION_UNKNOWN: &str = "08007";
    pub(crate) const DISK_FULL: &str = "53100";
    pub(crate) const OUT_OF_MEMORY: &str = "53200";
    pub(crate) const TOO_MANY_CONNECTIONS: &str = "53300";
    /// Limits of the server: the whole class.
    pub(crate) const RESOURCE_CLASS: &str = "53";
    pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    /// Somebody ended the connection, or the server shuts down.
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
    /// Server restarts, crashes and shutdowns: the whole class.
    pub(crate) const OPERATOR_INTERVENTION: &str = "57P";
    pub(crate) const CONNECTION_CLASS: &str = "08";
    pub(crate) const INTERNAL_ERROR: &str = "XX000";
    pub(crate) const DATA_CORRUPTED: &str = "XX001";
    pub(crate) const INDEX_CORRUPTED: &str = "XX002";
}

/// The SQLSTATE that the server gave, where it gave one.
pub(crate) fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .map(|code| code.into_owned())
}

/// An error of a statement inside a transaction: it was not committed, so it was not applied.
pub(crate) fn statement(error: sqlx::Error) -> Error {
    mapped(error).with_applied(Applied::No)
}

/// An error of a commit. A server that answered with an ordinary error rolled back; one that was
/// cut off, or says itself that it does not know, leaves it open.
pub(crate) fn commit(error: sqlx::Error) -> Error {
    use sqlstate as s;
    let applied = match code(&error) {
        Some(code)
            if code != s::COMPLETION_UNKNOWN
                && code != s::RESOLUTION_UNKNOWN
                && !code.starts_with(s::OPERATOR_INTERVENTION)
                && !code.starts_with(s::CONNECTION_CLASS) =>
        {
            Applied::No
        }
        _ => Applied::Unknown,
    };
    mapped(error).with_applied(applied)
}

/// What was read back is not what this adapter writes.
pub(crate) fn corrupt(
    column: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(ErrorKind::Corrupt, "a stored row cannot be read")
        .with_detail(format!("column {column}"))
        .with_source(source)
}

/// Whether it says that the connection is of no more use, whatever was asked of it.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    use sqlstate as s;
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        error => code(error).is_some_and(|code| {
            code.starts_with(s::OPERATOR_INTERVENTION) || code.starts_with(s::CONNECTION_CLASS)
        }),
    }
}

fn mapped(error: sqlx::Error) -> Error {
    let mapped = match &error {
        sqlx::Error::Database(database) => return from_server(error_code(&**database), error),
        sqlx::Error::PoolTimedOut => Error::new(
            ErrorKind::Exhausted,
            "no database connection became free in time; try again, or allow more connections",
        ),
        sqlx::Error::Io(io) if broke(io.kind()) => Error::new(
            ErrorKind::Unavailable,
            "the connection to the database broke",
        ),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => {
            Error::new(ErrorKind::Unavailable, "the database cannot be reached")
        }
        sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed | sqlx::Error::WorkerCrashed => {
            Error::new(
                ErrorKind::Unavailable,
                "the connection to the database broke",
            )
        }
        sqlx::Error::Configuration(_) => Error::new(
            ErrorKind::Config,
            "the database URL or a setting in it is wrong",
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Error::new(ErrorKind::Corrupt, "a stored row cannot be read")
        }
        sqlx::Error::Encode(_) => Error::new(ErrorKind::InvalidInput, "a value cannot be stored"),
        _ => Error::new(
            ErrorKind::Unexpected,
            "the database answered in an unforeseen way",
        ),
    };
    mapped.with_source(error)
}

/// Whether there was a connection, and is none any more.
fn broke(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as Io;
    matches!(
        kind,
        Io::BrokenPipe | Io::ConnectionAborted | Io::ConnectionReset | Io::UnexpectedEof
    )
}

fn error_code(error: &dyn DatabaseError) -> String {
    error.code().unwrap_or_default().into_owned()
}

/// Messages say nothing of what the server said: that may carry another row's values. It is in the
/// source, which only logs hold.
fn from_server(code: String, source: sqlx::Error) -> Error {
    use sqlstate as s;
    let (kind, message) = match code.as_str() {
        s::STALE_LEASE => (ErrorKind::StaleLease, "the lease is no longer held"),
        s::BAD_CONTEXT => (ErrorKind::Denied, "the tenant context is not valid"),
        s::JOB_ID_IN_USE => (
            ErrorKind::AlreadyExists,
            "a job with this id exists already",
        ),
        s::RUNS_A_SCAN => (
            ErrorKind::InvalidInput,
            "a job of the batch runs a scan: its success is reported through TenantStore::finish, \
             with the scan's end",
        ),
        s::QUOTA_REACHED => (
            ErrorKind::Exhausted,
            "the organization has as many jobs waiting or running as it may",
        ),
        s::UNIQUE_VIOLATION => (
            ErrorKind::AlreadyExists,
            "something with this id exists already",
        ),
        s::FOREIGN_KEY_VIOLATION => (ErrorKind::NotFound, "what it refers to was not found"),
        s::INVALID_TEXT | s::UNTRANSLATABLE_TEXT | s::INVALID_TEXT_REPRESENTATION => (
            ErrorKind::InvalidInput,
            "text: holds a character that cannot be stored, such as NUL",
        ),
        s::DATETIME_OVERFLOW | s::NUMERIC_OUT_OF_RANGE => (
            ErrorKind::InvalidInput,
            "a number or time is too large to be stored",
        ),
        s::CHECK_VIOLATION => (
            ErrorKind::InvalidInput,
            "a value is outside of what can be stored",
        ),
        s::PROGRAM_LIMIT => (ErrorKind::InvalidInput, "a value is too large to be stored"),
        s::SERIALIZATION_FAILURE => (
            ErrorKind::Serialization,
            "somebody else changed the same at the same time; try again",
        ),
        s::DEADLOCK => (
            ErrorKind::Deadlock,
            "somebody else changed the same in another order at the same time; try again",
        ),
        s::LOCK_NOT_AVAILABLE => (ErrorKind::Timeout, "waited too long for a lock; try again"),
        s::QUERY_CANCELED => (ErrorKind::Timeout, "the database took too long"),
        s::IDLE_IN_TRANSACTION => (ErrorKind::Timeout, "it lay idle too long and was given up"),
        s::TRANSACTION_TIMEOUT => (ErrorKind::Timeout, "it was open too long and was given up"),
        s::DISK_FULL => (
            ErrorKind::StorageFull,
            "the database has no room left on its disk",
        ),
        s::TOO_MANY_CONNECTIONS => (
            ErrorKind::Exhausted,
            "the database has no connection left; try again",
        ),
        s::OUT_OF_MEMORY => (
            ErrorKind::Exhausted,
            "the database has no memory left for this; try again",
        ),
        code if code.starts_with(s::RESOURCE_CLASS) => (
            ErrorKind::Exhausted,
            "a limit of the database server is used up; try again",
        ),
        s::DATA_CORRUPTED | s::INDEX_CORRUPTED => {
            (ErrorKind::Corrupt, "the database found its data damaged")
        }
        s::INSUFFICIENT_PRIVILEGE => (ErrorKind::Denied, "the database role may not do this"),
        s::INVALID_AUTHORIZATION | s::INVALID_PASSWORD => {
            (ErrorKind::Unauthenticated, "the database refused the login")
        }
        s::NO_SUCH_DATABASE => (ErrorKind::Config, "there is no such database on the server"),
        s::READ_ONLY_TRANSACTION => (
            ErrorKind::Unavailable,
            "the database is read-only; it works again once its operator lets it be written",
        ),
        s::ADMIN_SHUTDOWN => (
            ErrorKind::Unavailable,
            "the database ended the connection; try again",
        ),
        code if code.starts_with(s::OPERATOR_INTERVENTION) => (
            ErrorKind::Unavailable,
            "the database is shutting down or starting up; try again",
        ),
        code if code.starts_with(s::CONNECTION_CLASS) => (
            ErrorKind::Unavailable,
            "the connection to the database broke",
        ),
        _ => (
            ErrorKind::Unexpected,
            "the database answered in an unforeseen way",
        ),
    };
    Error::new(kind, message)
        .with_source(source)
        .with_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_connection_leaves_a_commit_open_and_a_statement_not() {
        let cut = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(!commit(cut()).certainly_not_applied());
        assert!(statement(cut()).certainly_not_applied());
        assert_eq!(commit(cut()).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_used_up_pool_is_told_apart_and_worth_another_try() {
        let error = statement(sqlx::Error::PoolTimedOut);
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert!(error.is_retryable());
    }
}
