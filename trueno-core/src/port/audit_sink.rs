//! The port to the ledger: append-only history per organization.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{AuditEventId, OrganizationId};
use crate::ledger::Hash;
use crate::model::AuditEvent;

/// The state of an organization's ledger: how long it is, and the RFC 6962 root over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// How many entries it has.
    pub size: u64,
    /// Merkle tree hash over all of them.
    pub root: Hash,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its place, from 0.
    pub index: u64,
    /// The event's id.
    pub event: AuditEventId,
    /// The event as RFC 8785 canonical JSON: the leaf that the tree hashes.
    pub leaf: Vec<u8>,
}

/// Keeps audit events so that nobody can change, drop or reorder them unseen (P7).
///
/// # Contract
/// - **Append-only and ordered**: an entry's index and bytes never change; events of one batch
///   keep their order; an organization's ledger holds that organization's events only (P1).
/// - **Idempotent**: an event whose id is in the ledger already is not appended again. A sequencer
///   delivers at least once.
/// - **Atomic per organization**: of one batch, either all events of an organization are appended
///   or none.
/// - **Durable before acknowledged**: what `append` answered for is in every later `head`.
/// - **Errors**: [`NotFound`](crate::error::ErrorKind::NotFound) for an index or size beyond the
///   ledger; [`Corrupt`](crate::error::ErrorKind::Corrupt) where stored entries do not match the
///   tree, which fails closed.
/// - **Cancel-safety**: a dropped `append` was applied or not; deliver it again.
#[async_trait]
pub trait AuditSink: Send + Sync + std::fmt::Debug {
    /// Appends `events`, which may belong to several organizations, in order.
    async fn append(&self, events: &[AuditEvent]) -> Result<()>;

    /// The present head of an organization's ledger; an empty one has size 0.
    async fn head(&self, organization: OrganizationId) -> Result<LedgerHead>;

    /// Up to `limit` entries from `first` on, in order; none where `first` is the ledger's size.
    async fn entries(
        &self,
        organization: OrganizationId,
        first: u64,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>>;

    /// RFC 6962 audit path of entry `index` in the tree of the first `size` entries, leaf to root.
    async fn inclusion_proof(
        &self,
        organization: OrganizationId,
        index: u64,
        size: u64,
    ) -> Result<Vec<Hash>>;

    /// RFC 6962 consistency proof between the trees of the first `old` and the first `new` entries.
    async fn consistency_proof(
        &self,
        organization: OrganizationId,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>>;
}
