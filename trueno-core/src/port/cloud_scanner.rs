//! The port to a cloud provider.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{AccountNumber, CloudAccount, CoverageStatus, Provider, Resource, TaskKey};

/// An operation of a provider's API, written `service:Name` as policies do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The service, such as `ec2`.
    pub service: &'static str,
    /// The operation, such as `DescribeVolumes`.
    pub name: &'static str,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.name)
    }
}

/// What to scan: a connection and the right to enter it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScanTarget {
    /// The connection. Its organization is what the external id is derived for.
    pub account: CloudAccount,
}

impl ScanTarget {
    /// A scan of this connection.
    #[must_use]
    pub const fn new(account: CloudAccount) -> Self {
        Self { account }
    }
}

/// One task: one kind of resource of one service in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanTask {
    /// Its name.
    pub key: TaskKey,
    /// Every operation that it may call.
    pub operations: Vec<Operation>,
}

/// What a plan says of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskPlan {
    /// It is to be read.
    Read(ScanTask),
    /// It is known without a look how it ends: a region that is not enabled, for one.
    Settled(TaskKey, CoverageStatus),
}

impl TaskPlan {
    /// The task's name.
    #[must_use]
    pub const fn key(&self) -> &TaskKey {
        match self {
            Self::Read(task) => &task.key,
            Self::Settled(key, _) => key,
        }
    }
}

/// What a scan will do, before it does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPlan {
    /// Every task, whether to be read or not: coverage reports each of them.
    pub tasks: Vec<TaskPlan>,
}

impl ScanPlan {
    /// Every operation that the plan needs, sorted, each once: the session policy is made of this.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations: Vec<Operation> = self
            .tasks
            .iter()
            .filter_map(|task| match task {
                TaskPlan::Read(task) => Some(task.operations.iter().copied()),
                TaskPlan::Settled(..) => None,
            })
            .flatten()
            .collect();
        operations.sort_unstable();
        operations.dedup();
        operations
    }
}

/// One page of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanPage {
    /// What it holds.
    pub resources: Vec<Resource>,
    /// Requests that it took, retries included.
    pub requests: u64,
    /// Where the next page begins, opaque to all but the scanner; `None` on the last page.
    pub checkpoint: Option<String>,
}

/// A page that could not be read: the task ends here.
#[derive(Debug)]
pub struct PageError {
    /// Requests that it took, retries included.
    pub requests: u64,
    /// Why. Its [`code`](Error::code) is the provider's.
    pub error: Error,
}

/// The pages of a task.
pub type ScanStream = BoxStream<'static, Result<ScanPage, PageError>>;

/// How a probe of a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// As it should.
    Passed,
    /// Not as it should: the connection is refused.
    Failed,
}

/// One probe of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What was tried, such as `assume without external id is denied`.
    pub name: String,
    /// How it went.
    pub outcome: ProbeOutcome,
    /// What to do about it, where it failed.
    pub advice: Option<String>,
}

/// What a verification of a connection found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The account that the credentials belong to, where any were given.
    pub number: Option<AccountNumber>,
    /// Every probe.
    pub probes: Vec<Probe>,
}

impl Verification {
    /// True where every probe passed: only then is the connection accepted.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.probes.is_empty()
            && self
                .probes
                .iter()
                .all(|probe| probe.outcome == ProbeOutcome::Passed)
    }
}

/// Reads a cloud account, and cannot do anything else to it.
///
/// # Contract
/// - **Read-only** (P4): nothing outside the adapter's read allow-list leaves the process.
/// - **No stored credentials** (P5): credentials live in the memory of one [`ScanSession`]; they
///   are never serialised, logged, or part of an error, a page or a checkpoint.
/// - **Least right**: a session has exactly the operations of its plan, and refuses a task that
///   needs others.
/// - **Honest** (P8): every task of the plan ends in pages up to a last one (no checkpoint), or in
///   one [`PageError`]; what could not be read is never left out in silence.
/// - **Bounded**: each request has a deadline and a retry budget; a page has a bounded size.
/// - **Errors**: [`Denied`](crate::error::ErrorKind::Denied) and
///   [`Unauthenticated`](crate::error::ErrorKind::Unauthenticated) where the provider refuses,
///   [`Throttled`](crate::error::ErrorKind::Throttled) once the retry budget is used up,
///   [`Unavailable`](crate::error::ErrorKind::Unavailable) and
///   [`Timeout`](crate::error::ErrorKind::Timeout) where it does not answer,
///   [`Corrupt`](crate::error::ErrorKind::Corrupt) for an answer that cannot be parsed. The
///   provider's own code is in [`Error::code`].
/// - **Cancel-safety**: every future and stream can be dropped at any point; nothing is left behind
///   at the provider.
#[async_trait]
pub trait CloudScanner: Send + Sync + fmt::Debug {
    /// The provider.
    fn provider(&self) -> Provider;

    /// What a scan of the target would do. Asks the provider which regions are enabled.
    async fn plan(&self, target: &ScanTarget) -> Result<ScanPlan>;

    /// Tries the connection, negative probes included: without its external id, and with a wrong
    /// one, the role must not let anybody in.
    async fn verify(&self, target: &ScanTarget) -> Result<Verification>;

    /// Opens a session that can do what the plan needs and nothing else.
    async fn open(&self, target: &ScanTarget, plan: &ScanPlan) -> Result<Box<dyn ScanSession>>;
}

/// A scan's way into an account. Dropping it drops the credentials.
#[async_trait]
pub trait ScanSession: Send + Sync + fmt::Debug {
    /// Reads one task of the plan, from its beginning or from a page's checkpoint. A checkpoint
    /// that the provider no longer knows fails with
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput): begin anew.
    async fn scan(&self, task: &ScanTask, checkpoint: Option<String>) -> Result<ScanStream>;
}
