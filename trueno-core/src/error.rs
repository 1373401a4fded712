//! One error type for the whole library: what kind, whether trying again helps, and whether a
//! write was certainly not applied.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A result with Trueno's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, in terms that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input breaks a rule; the message names the field.
    InvalidInput,
    /// A setting, key file or price table is wrong: refused at start.
    Config,
    /// There is no such thing, or the caller may not know of it: the two are never told apart.
    NotFound,
    /// Something with that identity is already there.
    AlreadyExists,
    /// The row changed since it was read (optimistic concurrency).
    Conflict,
    /// Work that ran at the same time could not be put in an order: it was undone as a whole, and
    /// may be done again as a whole.
    Serialization,
    /// Two waited for each other, and this one was undone as a whole to let the other go on.
    Deadlock,
    /// The lease is no longer held: nothing was changed, and nothing may be tried again with it.
    StaleLease,
    /// The state machine does not allow the step.
    InvalidTransition,
    /// The caller is known, and may not do this.
    Denied,
    /// Credentials are missing, wrong or expired.
    Unauthenticated,
    /// The other side asked for fewer requests.
    Throttled,
    /// The other side cannot be reached, or is down.
    Unavailable,
    /// It took longer than its deadline. A write may have been applied.
    Timeout,
    /// Too many at once here (a pool or quota is used up).
    Exhausted,
    /// There is no room left to store anything: it may work once somebody has made some.
    StorageFull,
    /// The caller asked to stop.
    Cancelled,
    /// What was read breaks its format or its integrity check; fails closed.
    Corrupt,
    /// The other side lacks what is needed (server too old, not migrated, region not enabled).
    Unsupported,
    /// A bug in Trueno or an answer that nobody foresaw.
    Unexpected,
}

impl ErrorKind {
    /// A stable machine-readable name, such as `stale_lease`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Config => "config",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::Serialization => "serialization",
            Self::Deadlock => "deadlock",
            Self::StaleLease => "stale_lease",
            Self::InvalidTransition => "invalid_transition",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Exhausted => "exhausted",
            Self::StorageFull => "storage_full",
            Self::Cancelled => "cancelled",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Whether doing the same again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAdvice {
    /// It will fail in the same way.
    Never,
    /// It may work, with the caller's own backoff.
    Backoff,
    /// It may work, not before this long from now.
    After(Duration),
}

/// What is known of a write that answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// Certainly not applied: nothing changed.
    No,
    /// It may have been applied: read back before doing it again.
    Unknown,
}

/// Trueno's error. [`fmt::Display`] is safe to show to the caller whose request it was; what only
/// a log may hold is in [`Error::detail`] and in the source chain.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: RetryAdvice,
    applied: Applied,
    operation: Option<&'static str>,
    message: Cow<'static, str>,
    code: Option<String>,
    detail: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind` with a message for the caller.
    ///
    /// Retry advice and [`Applied`] start at what is usual for the kind: only [`ErrorKind::Timeout`],
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Unexpected`] leave open whether a write was applied.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let retry = match kind {
            ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Exhausted
            | ErrorKind::StorageFull
            | ErrorKind::Conflict
            | ErrorKind::Serialization
            | ErrorKind::Deadlock => RetryAdvice::Backoff,
            _ => RetryAdvice::Never,
        };
        let applied = match kind {
            ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Unexpected => Applied::Unknown,
            _ => Applied::No,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            applied,
            operation: None,
            message: message.into(),
            code: None,
            detail: None,
            source: None,
        }))
    }

    /// Bad input: `field` is what the caller sent, `problem` what is wrong with it and how to mend it.
    pub fn invalid(field: &str, problem: &str) -> Self {
        Self::new(ErrorKind::InvalidInput, format!("{field}: {problem}"))
    }

    /// `what` is not there, or not visible to the caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} not found"))
    }

    /// The lease is no longer held.
    #[must_use]
    pub fn stale_lease() -> Self {
        Self::new(ErrorKind::StaleLease, "the lease is no longer held")
    }

    /// The operation that failed, as `port.method`.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// The other side's own code for it (an AWS error code, an SQLSTATE).
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// What a log may hold and a caller may not read.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Whether trying again helps, where it is not what is usual for the kind.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryAdvice) -> Self {
        self.0.retry = retry;
        self
    }

    /// What is known of the write, where it is not what is usual for the kind.
    #[must_use]
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether doing the same again can help.
    #[must_use]
    pub fn retry(&self) -> RetryAdvice {
        self.0.retry
    }

    /// True where doing the same again can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retry != RetryAdvice::Never
    }

    /// True where the write that answered with this error certainly changed nothing.
    #[must_use]
    pub fn certainly_not_applied(&self) -> bool {
        self.0.applied == Applied::No
    }

    /// The operation that failed, as `port.method`, where known.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The other side's own code, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// For logs only.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.0.kind)
            .field("message", &self.0.message);
        if let Some(operation) = self.0.operation {
            debug.field("operation", &operation);
        }
        if let Some(code) = &self.0.code {
            debug.field("code", code);
        }
        if let Some(detail) = &self.0.detail {
            debug.field("detail", detail);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug
            .field("retry", &self.0.retry)
            .field("applied", &self.0.applied)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_start_with_their_usual_advice() {
        let stale = Error::stale_lease();
        assert!(stale.certainly_not_applied() && !stale.is_retryable());
        let cut = Error::new(ErrorKind::Unavailable, "connection cut");
        assert!(!cut.certainly_not_applied() && cut.is_retryable());
        assert!(cut.with_applied(Applied::No).certainly_not_applied());
    }

    #[test]
    fn what_a_log_may_hold_is_not_what_a_caller_reads() {
        let error = Error::not_found("scan").with_detail("row of organization 42");
        assert_eq!(error.to_string(), "scan not found");
        assert!(format!("{error:?}").contains("organization 42"));
    }
}
