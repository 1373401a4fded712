//! How long and how often a scanner tries.

use std::time::Duration;

use trueno_core::error::{Error, ErrorKind, Result};

/// AWS's own bounds of a session's duration; see
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
const SESSION_SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;
/// What every paged operation of the collectors accepts.
const PAGE_SIZE: std::ops::RangeInclusive<i32> = 5..=1_000;

/// How long and how often a scanner tries. A whole task's deadline is its caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) first_backoff: Duration,
    pub(crate) largest_backoff: Duration,
    pub(crate) session_duration: Duration,
    pub(crate) page_size: i32,
}

impl Default for Limits {
    /// 3 s to connect, 10 s an attempt, 4 attempts with 0.2 s to 5 s between them, sessions of
    /// 900 s (the shortest that AWS gives), pages of 500 resources.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(10),
            attempts: 4,
            first_backoff: Duration::from_millis(200),
            largest_backoff: Duration::from_secs(5),
            session_duration: Duration::from_secs(900),
            page_size: 500,
        }
    }
}

impl Limits {
    /// How long to wait for a connection.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long to wait for one answer, its last byte included.
    #[must_use]
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// How often to send a request at most, and how long to wait in between (jittered, doubling).
    #[must_use]
    pub const fn with_attempts(
        mut self,
        attempts: u32,
        first: Duration,
        largest: Duration,
    ) -> Self {
        self.attempts = attempts;
        self.first_backoff = first;
        self.largest_backoff = largest;
        self
    }

    /// How long an assumed session lasts; it is renewed before it ends. In whole seconds.
    #[must_use]
    pub const fn with_session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = duration;
        self
    }

    /// How many resources to ask for at once.
    #[must_use]
    pub const fn with_page_size(mut self, size: i32) -> Self {
        self.page_size = size;
        self
    }

    /// What a session's retries cost, in the SDK's tokens (5 for a retry), before it gives up on
    /// further ones: about 100 retries.
    pub(crate) const fn retry_tokens(&self) -> usize {
        500
    }

    /// The duration as AWS takes it: [`Limits::check`] has seen that it fits.
    pub(crate) fn session_seconds(&self) -> i32 {
        i32::try_from(self.session_duration.as_secs()).unwrap_or(i32::MAX)
    }

    pub(crate) fn check(self) -> Result<Self> {
        let wrong =
            |problem: &str| Err(Error::new(ErrorKind::Config, format!("limits: {problem}")));
        if self.attempts == 0 {
            return wrong("at least one attempt is needed");
        }
        if self.attempt_timeout.is_zero() || self.connect_timeout.is_zero() {
            return wrong("a timeout of nothing lets nothing through");
        }
        if !SESSION_SECONDS.contains(&self.session_duration.as_secs()) {
            return wrong("a session lasts 900 s to 43,200 s");
        }
        if !PAGE_SIZE.contains(&self.page_size) {
            return wrong("a page has 5 to 1,000 resources");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_aws_or_sense_refuse_are_refused() {
        assert!(Limits::default().check().is_ok());
        for wrong in [
            Limits::default().with_attempts(0, Duration::ZERO, Duration::ZERO),
            Limits::default().with_attempt_timeout(Duration::ZERO),
            Limits::default().with_session_duration(Duration::from_secs(899)),
            Limits::default().with_page_size(4),
        ] {
            assert_eq!(wrong.check().unwrap_err().kind(), ErrorKind::Config);
        }
    }
}
