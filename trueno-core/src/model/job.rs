//! Jobs: the queue record that runs a scan (or anything else that has a handler).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::JSON_DEPTH;
use super::{Concurrency, Dedupe, PRIORITIES};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CorrelationId, JobId, OrganizationId};
use crate::retry::Backoff;
use crate::text::{json_without_nul, text_enum};

text_enum! {
    /// Where a job is in its life; the machine is [`crate::state::job`].
    pub enum JobStatus as "job status" {
        /// Waits to be claimed.
        Queued = "queued",
        /// Held by a worker session.
        Running = "running",
        /// An attempt failed; waits for the next one.
        Failed = "failed",
        /// Done.
        Succeeded = "succeeded",
        /// Given up: every attempt failed, or it crashed too many workers.
        Dead = "dead",
        /// Stopped on request.
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// True once nothing happens to the job by itself any more: only a dead one goes on, where a
    /// member lets it begin anew.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }
}

/// The kind of a job, which picks its handler: 1 to 64 of `a-z`, `0-9`, `_`, `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobKind(Cow<'static, str>);

impl JobKind {
    /// A kind known when the program is built.
    ///
    /// # Panics
    /// At compile time, in a constant, where `text` is malformed.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        assert!(
            well_formed(text),
            "a job kind needs 1 to 64 of a-z, 0-9, _, . and -"
        );
        Self(Cow::Borrowed(text))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let byte = bytes[i];
        if !(byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'_' | b'.' | b'-'))
        {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty() && bytes.len() <= 64
}

impl FromStr for JobKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if well_formed(text) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err(Error::invalid(
                "job kind",
                "needs 1 to 64 of a-z, 0-9, _, . and -",
            ))
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for JobKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<JobKind> for String {
    fn from(kind: JobKind) -> Self {
        kind.0.into_owned()
    }
}

/// What a job's handler is given: JSON with the version of its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPayload {
    /// Version of the shape of `body`.
    pub version: u32,
    /// The payload. Never a secret.
    pub body: Value,
}

impl JobPayload {
    /// The largest payload, as JSON text, in bytes. A result may be as large.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// A payload of this version of its shape.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a body that JSON cannot
    /// say, such as a map whose keys are no texts.
    pub fn new(version: u32, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_value(body)
            .map_err(|source| Error::invalid(PAYLOAD, "is no JSON").with_source(source))?;
        Ok(Self { version, body })
    }

    /// The body, read as this version of its shape. A handler that still reads older versions picks
    /// the type by [`version`](Self::version).
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for another version and for a body that is not of this shape. No
    /// attempt can mend that: a handler that answers with this error leaves its job dead at once,
    /// with the reason. Once a worker reads the payload, the job can be let begin anew.
    pub fn parse<T: DeserializeOwned>(&self, version: u32) -> Result<T> {
        if self.version != version {
            let found = self.version;
            let problem = format!("is of version {found}, and this worker reads version {version}");
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{PAYLOAD}: {problem}"),
            ));
        }
        T::deserialize(&self.body).map_err(|source| {
            let problem: String = source
                .to_string()
                .chars()
                .take(PROBLEM_CHARACTERS)
                .collect();
            let message = format!("{PAYLOAD}: does not parse as version {version}: {problem}");
            Error::new(ErrorKind::Corrupt, message).with_source(source)
        })
    }
}

const PAYLOAD: &str = "job payload";

/// What is told of why a payload does not parse: serde repeats what it found, however long.
const PROBLEM_CHARACTERS: usize = 200;

/// A job about to be enqueued. The defaults are those of the struct's constructor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Picks the handler.
    pub kind: JobKind,
    /// What the handler is given.
    pub payload: JobPayload,
    /// Enqueueing it answers the job that has the key already, where there is one.
    pub dedupe: Option<Dedupe>,
    /// One of [`PRIORITIES`]: larger goes first within an organization, as far as
    /// [`PRIORITY_POINT`](super::PRIORITY_POINT) says.
    pub priority: i16,
    /// Not before this moment, from 1970 on; at once where `None`.
    pub run_at: Option<Timestamp>,
    /// Attempts that may fail before the job is dead: at least 1, 2 by default.
    pub max_attempts: u32,
    /// What it may not run beside.
    pub concurrency: Option<Concurrency>,
    /// How long an attempt may take: one that takes longer is stopped, and has failed. As long as
    /// its worker allows where `None`.
    pub timeout: Option<Duration>,
    /// The wait between its attempts: its worker's where `None`.
    pub backoff: Option<Backoff>,
    /// What it is enqueued on account of: a request, or the job that it follows. The services of
    /// [`runtime`](crate::runtime) take their scope's.
    pub correlation_id: Option<CorrelationId>,
}

impl NewJob {
    /// A job to run at once, with two attempts and priority 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a payload over
    /// [`JobPayload::MAX_BYTES`], nested deeper than [`JSON_DEPTH`], or one that holds a NUL.
    pub fn new(id: JobId, kind: JobKind, payload: JobPayload) -> Result<Self> {
        check_payload(&payload)?;
        Ok(Self {
            id,
            kind,
            payload,
            dedupe: None,
            priority: 0,
            run_at: None,
            max_attempts: 2,
            concurrency: None,
            timeout: None,
            backoff: None,
            correlation_id: None,
        })
    }

    /// Collapses into a live job of the same kind and key.
    ///
    /// # Errors
    /// As [`Dedupe::new`].
    pub fn with_dedupe_key(self, key: &str) -> Result<Self> {
        Ok(self.with_dedupe(Dedupe::new(key)?))
    }

    /// Collapses into the job that has the key already.
    #[must_use]
    pub fn with_dedupe(mut self, dedupe: Dedupe) -> Self {
        self.dedupe = Some(dedupe);
        self
    }

    /// Larger goes first within an organization, as far as
    /// [`PRIORITY_POINT`](super::PRIORITY_POINT) says.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless one of
    /// [`PRIORITIES`].
    pub fn with_priority(mut self, priority: i16) -> Result<Self> {
        check_priority(priority)?;
        self.priority = priority;
        Ok(self)
    }

    /// Not before `run_at`: a moment from 1970 on, which every queue asks when it takes the job. It
    /// may lie as far ahead as a [`Timestamp`] can say; until then the job waits.
    #[must_use]
    pub fn with_run_at(mut self, run_at: Timestamp) -> Self {
        self.run_at = Some(run_at);
        self
    }

    /// Attempts that may fail before the job is dead.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless 1 to 100.
    pub fn with_max_attempts(mut self, attempts: u32) -> Result<Self> {
        check_attempts(attempts)?;
        self.max_attempts = attempts;
        Ok(self)
    }

    /// Not beside too many others under the same key.
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// With so long for each attempt.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless 1 ms to 7 days.
    pub fn with_timeout(mut self, timeout: Duration) -> Result<Self> {
        check_timeout(timeout)?;
        self.timeout = Some(timeout);
        Ok(self)
    }

    /// With this wait between its attempts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a wait of over 30 days.
    pub fn with_backoff(mut self, backoff: Backoff) -> Result<Self> {
        check_backoff(&backoff)?;
        self.backoff = Some(backoff);
        Ok(self)
    }

    /// On account of this.
    #[must_use]
    pub fn with_correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// Checks the rules of the constructors once more: the fields are public, so every queue asks
    /// before it takes a job.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what the constructors
    /// refuse.
    pub fn check(&self) -> Result<()> {
        check_payload(&self.payload)?;
        if let Some(timeout) = self.timeout {
            check_timeout(timeout)?;
        }
        if let Some(backoff) = &self.backoff {
            check_backoff(backoff)?;
        }
        if let Some(run_at) = self.run_at {
            check_run_at(run_at)?;
        }
        check_priority(self.priority)?;
        check_attempts(self.max_attempts)
    }
}

fn check_payload(payload: &JobPayload) -> Result<()> {
    check_json(PAYLOAD, &payload.body)
}

/// Passes JSON that is kept with a job.
pub(crate) fn check_json(what: &'static str, json: &Value) -> Result<()> {
    let (bytes, most) = (json.to_string().len(), JobPayload::MAX_BYTES);
    if bytes > most {
        let problem = format!(
            "has {bytes} bytes as JSON and may have {most}: keep what is large elsewhere, and say \
             here where it is"
        );
        return Err(Error::invalid(what, &problem));
    }
    if !is_within(JSON_DEPTH, json) {
        let problem = format!("is nested deeper than {JSON_DEPTH} levels");
        return Err(Error::invalid(what, &problem));
    }
    json_without_nul(what, json)
}

/// Whether JSON is nested in so many levels at the most. Parsers refuse what is nested deeper than
/// theirs, of which serde's has 128: what none could read back must not get into the queue.
fn is_within(levels: usize, json: &Value) -> bool {
    let inside = |value| levels > 0 && is_within(levels - 1, value);
    match json {
        Value::Array(items) => items.iter().all(inside),
        Value::Object(entries) => entries.values().all(inside),
        _ => true,
    }
}

fn check_priority(priority: i16) -> Result<()> {
    if !PRIORITIES.contains(&priority) {
        return Err(Error::invalid("priority", "needs -100 to 100"));
    }
    Ok(())
}

fn check_run_at(run_at: Timestamp) -> Result<()> {
    // Not every database keeps the first moments that a timestamp can say.
    if run_at < Timestamp::UNIX_EPOCH {
        let problem = "needs a moment from 1970 on; leave it out for a job to run at once";
        return Err(Error::invalid("run-at", problem));
    }
    Ok(())
}

fn check_timeout(timeout: Duration) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);
    if !(Duration::from_millis(1)..=LONGEST).contains(&timeout) {
        return Err(Error::invalid("timeout", "needs 1 ms to 7 days"));
    }
    Ok(())
}

fn check_backoff(backoff: &Backoff) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);
    if backoff.base() > LONGEST || backoff.cap() > LONGEST {
        return Err(Error::invalid("backoff", "needs waits of at most 30 days"));
    }
    Ok(())
}

fn check_attempts(attempts: u32) -> Result<()> {
    if !(1..=100).contains(&attempts) {
        return Err(Error::invalid("max attempts", "needs 1 to 100"));
    }
    Ok(())
}

/// A job as its organization sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Picks the handler.
    pub kind: JobKind,
    /// Where it is in its life.
    pub status: JobStatus,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Attempts that may fail before it is dead.
    pub max_attempts: u32,
    /// Larger goes first.
    pub priority: i16,
    /// What it may not run beside.
    pub concurrency: Option<Concurrency>,
    /// What it was enqueued on account of, where somebody said.
    pub correlation_id: Option<CorrelationId>,
    /// Leases that were lost while it ran.
    pub lost_leases: u32,
    /// A cancellation was asked for, and the worker has not ended yet.
    pub cancel_requested: bool,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why attempts failed and leases were lost, the oldest first. A job that began anew keeps them;
    /// beyond [`Job::MAX_ERRORS`] the oldest are dropped.
    pub errors: Vec<JobError>,
    /// What its handler left, where it succeeded and left something.
    pub result: Option<Value>,
}

impl Job {
    /// How many errors of a job are kept.
    pub const MAX_ERRORS: usize = 20;

    /// Why the last attempt failed.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.errors.last().map(|error| error.error.as_str())
    }
}

/// Why an attempt of a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Why, in words for the organization.
    pub error: String,
}

#[cfg(test)]
mod tests;
