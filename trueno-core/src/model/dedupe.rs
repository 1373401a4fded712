//! Which jobs stand for each other.

use std::time::Duration;

use super::JobKind;
use crate::error::{Error, Result};

/// Among which jobs of an organization a [`Dedupe`] key is one and the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DedupeScope {
    /// Those of the job's kind.
    #[default]
    Kind,
    /// All that have a key of this scope, whatever their kind.
    Organization,
}

/// A key that one job of an organization has at a time: enqueueing another one answers the job that has
/// it. The key is a job's while it is live, and for a window where one is asked for.
///
/// ```
/// # use std::time::Duration;
/// # use trueno_core::model::{Dedupe, DedupeScope};
/// // However often it is asked for, a report of the account is made once an hour.
/// let dedupe = Dedupe::new("report 111122223333")?
///     .with_scope(DedupeScope::Organization)
///     .within(Duration::from_secs(3_600))?;
/// # Ok::<(), trueno_core::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedupe {
    key: String,
    scope: DedupeScope,
    window: Option<Duration>,
}

impl Dedupe {
    /// The longest window. Jobs that ended are told apart for as long as the history has them
    /// (what forgets it: [`forget_finished`](crate::port::JobQueue::forget_finished), and what a store has
    /// beside it), so it is to be kept for at least as long as the longest window in use.
    pub const MAX_WINDOW: Duration = Duration::from_secs(30 * 24 * 3_600);

    /// A key among jobs of the same kind, for as long as they are live.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless it has 1 to 200 bytes
    /// and no NUL.
    pub fn new(key: &str) -> Result<Self> {
        if key.is_empty() || key.len() > 200 || key.contains('\0') {
            return Err(Error::invalid(
                "dedupe key",
                "needs 1 to 200 bytes without NUL",
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            scope: DedupeScope::default(),
            window: None,
        })
    }

    /// Among other jobs.
    #[must_use]
    pub const fn with_scope(mut self, scope: DedupeScope) -> Self {
        self.scope = scope;
        self
    }

    /// Also where the latest job of the key has ended, if it was enqueued no longer ago than this, by the
    /// store's clock, and was not cancelled.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless 1 ms to
    /// [`MAX_WINDOW`](Self::MAX_WINDOW).
    pub fn within(mut self, window: Duration) -> Result<Self> {
        if !(Duration::from_millis(1)..=Self::MAX_WINDOW).contains(&window) {
            return Err(Error::invalid("dedupe window", "needs 1 ms to 30 days"));
        }
        self.window = Some(window);
        Ok(self)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Among which jobs it is one and the same.
    #[must_use]
    pub const fn scope(&self) -> DedupeScope {
        self.scope
    }

    /// For how long it is a job's that ended.
    #[must_use]
    pub const fn window(&self) -> Option<Duration> {
        self.window
    }

    /// The kind of a job of `kind` where the key is one of that kind alone.
    #[must_use]
    pub const fn kind<'a>(&self, kind: &'a JobKind) -> Option<&'a JobKind> {
        match self.scope {
            DedupeScope::Kind => Some(kind),
            DedupeScope::Organization => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_windows_have_bounds() {
        for key in ["", "a\0b", &"k".repeat(201)] {
            assert!(Dedupe::new(key).is_err(), "{key:?}");
        }
        let dedupe = Dedupe::new(&"k".repeat(200)).unwrap();
        assert_eq!((dedupe.scope(), dedupe.window()), (DedupeScope::Kind, None));
        let millisecond = Duration::from_millis(1);
        for window in [Duration::ZERO, Dedupe::MAX_WINDOW + millisecond] {
            assert!(dedupe.clone().within(window).is_err(), "{window:?}");
        }
        for window in [millisecond, Dedupe::MAX_WINDOW] {
            let dedupe = dedupe.clone().within(window).unwrap();
            assert_eq!(dedupe.window(), Some(window));
        }
    }
}
