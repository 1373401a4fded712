//! What an adapter gives the suites: a factory that makes one of these, fresh, for every case.
//!
//! A factory is any `async fn()` (or closure that answers a future) that gives a harness. Cases run
//! in parallel, each on a runtime of its own, so a harness shares nothing with another: a store in
//! memory is a new one, a database is a new database. It is dropped when its case ends, also where
//! the case failed; servers and databases are cleaned up in `Drop`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::error::ErrorKind;
use trueno_core::id::{IdSource, OrganizationId};
use trueno_core::model::{ResourceRef, SecretRef, TaskKey};
use trueno_core::port::{AuditSink, CloudScanner, JobQueue, ScanTarget, SecretVault, TenantStore};

/// An empty store and the queue over the same data: for the suites of
/// [`TenantStore`](crate::tenant_store) and [`JobQueue`](crate::job_queue).
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// The store. Empty when the case begins.
    fn store(&self) -> Arc<dyn TenantStore>;

    /// The queue that the store's units of work enqueue to.
    fn queue(&self) -> Arc<dyn JobQueue>;

    /// Makes the ids of the case. Seeded, where a run is to be replayed.
    fn ids(&self) -> IdSource;

    /// The present moment by the store's own clock (P10).
    async fn now(&self) -> Timestamp;

    /// Makes time pass for the store. From the moment it returns:
    ///
    /// - every worker session's lease that would run out within `by` has run out, and every other
    ///   one has `by` less to go;
    /// - every waiting job (`queued`, or `failed` and in backoff) whose run-at lies within `by` is
    ///   due, and every other one is `by` nearer to it.
    ///
    /// Nothing else is promised: a store with an injected clock moves that clock; one whose clock
    /// cannot be moved (a database's) ages the sessions' expiry and the waiting jobs' run-at by `by`
    /// instead, through an administrator's connection. So cases compare moments with
    /// [`now`](Self::now) only where they do not advance in between.
    ///
    /// It changes no status and recovers nothing: an expired lease stays on its job until
    /// `recover_expired` takes it back. It does not wait for an open view, unit of work or ingest
    /// batch: cases call it while those are open.
    async fn advance(&self, by: Duration);
}

/// An empty vault: for the suite of [`SecretVault`](crate::secret_vault).
#[async_trait]
pub trait VaultHarness: Send + Sync {
    /// The vault.
    fn vault(&self) -> Arc<dyn SecretVault>;

    /// The store in which the suite creates the vault's organizations and gets its scopes. A vault
    /// without a store gives a [`MockTenantStore`](crate::mock::MockTenantStore).
    fn store(&self) -> Arc<dyn TenantStore>;

    /// Makes the ids of the case.
    fn ids(&self) -> IdSource;

    /// Does to the envelope at `place`, behind the vault's back, what somebody with the database
    /// in hand could do. The envelope is there.
    async fn tamper(&self, place: EnvelopeAt, tamper: Tamper);
}

/// Where an envelope is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeAt {
    /// The organization it belongs to.
    pub organization: OrganizationId,
    /// The secret's version that it holds.
    pub secret: SecretRef,
}

/// What is done to a stored envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// The lowest bit of one of its bytes is flipped: of its first, its middle or its last byte.
    FlipBit(Position),
    /// Its bytes are replaced by a copy of the envelope stored there.
    ReplaceWith(EnvelopeAt),
}

/// Which byte of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first.
    First,
    /// The one at half its length.
    Middle,
    /// The last.
    Last,
}

/// An empty ledger: for the suite of [`AuditSink`](crate::audit_sink).
#[async_trait]
pub trait SinkHarness: Send + Sync {
    /// The sink.
    fn sink(&self) -> Arc<dyn AuditSink>;

    /// Makes the ids of the case.
    fn ids(&self) -> IdSource;

    /// A new organization that the sink can keep a ledger of: a new id, unless the sink asks for
    /// the organization to exist somewhere.
    async fn organization(&self) -> OrganizationId;

    /// Flips the lowest bit of the last byte of the stored leaf `index`, behind the sink's back,
    /// and leaves every stored hash alone. The entry is there.
    async fn tamper(&self, organization: OrganizationId, index: u64);
}

/// A scanner and an account whose content is known: for the suite of
/// [`CloudScanner`](crate::cloud_scanner).
pub trait ScannerHarness: Send + Sync {
    /// The scanner.
    fn scanner(&self) -> Arc<dyn CloudScanner>;

    /// The account to scan.
    fn target(&self) -> ScanTarget;

    /// What a scan of the target has to give.
    fn expected(&self) -> ExpectedScan;

    /// Every secret that the scanner is given or receives (keys, tokens, external ids), as text,
    /// asked for after the case has scanned: none may show up anywhere.
    fn secrets(&self) -> Vec<String>;
}

/// What a scan of a harness's target has to give.
#[derive(Clone, Debug)]
pub struct ExpectedScan {
    /// Every resource of the tasks that can be read, in any order.
    pub resources: Vec<ResourceRef>,
    /// The tasks that end in an error, and its kind. At least one, so that honesty (P8) is tried.
    pub failing: Vec<(TaskKey, ErrorKind)>,
    /// A task that takes at least two pages, so that resuming is tried.
    pub paged: TaskKey,
}
