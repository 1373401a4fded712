//! The ledger in memory: one Merkle tree and its leaves per organization.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{AuditEventId, OrganizationId};
use trueno_core::ledger::{Hash, Tree, verify_inclusion};
use trueno_core::model::AuditEvent;
use trueno_core::port::{AuditSink, LedgerEntry, LedgerHead};

/// Audit events in memory, in a real RFC 6962 tree (P7). Clones share it.
///
/// What is read is checked against the tree first: an entry that was changed behind the ledger's
/// back is [`Corrupt`](ErrorKind::Corrupt), and never shown. An event that comes again with another
/// content under the same id is refused as [`AlreadyExists`](ErrorKind::AlreadyExists), where a
/// database may pass over it.
#[derive(Clone, Default)]
pub struct MemoryLedger {
    histories: Arc<Mutex<HashMap<OrganizationId, History>>>,
}

/// One organization's ledger.
#[derive(Default)]
struct History {
    tree: Tree,
    entries: Vec<LedgerEntry>,
    places: HashMap<AuditEventId, usize>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn look<T>(
        &self,
        operation: &'static str,
        organization: OrganizationId,
        look: impl FnOnce(&History) -> Result<T>,
    ) -> Result<T> {
        let histories = self.histories.lock();
        let answer = match histories.get(&organization) {
            Some(history) => history.intact().and_then(|()| look(history)),
            None => look(&History::default()),
        };
        answer.map_err(|error| error.with_operation(operation))
    }

    /// What somebody with the memory in hand could do to a stored entry.
    #[cfg(test)]
    fn tamper(
        &self,
        organization: OrganizationId,
        index: usize,
        change: impl FnOnce(&mut LedgerEntry),
    ) {
        let mut histories = self.histories.lock();
        change(&mut histories.get_mut(&organization).unwrap().entries[index]);
    }
}

#[async_trait]
impl AuditSink for MemoryLedger {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        let append = || {
            let mut batches: BTreeMap<OrganizationId, Vec<LedgerEntry>> = BTreeMap::new();
            for event in events {
                let entry = LedgerEntry {
                    index: 0,
                    event: event.id,
                    leaf: event.canonical()?,
                };
                batches.entry(event.organization).or_default().push(entry);
            }
            let mut histories = self.histories.lock();
            // Whatever can be refused is refused before anything is appended.
            for (organization, batch) in &mut batches {
                histories.entry(*organization).or_default().admit(batch)?;
            }
            for (organization, batch) in batches {
                histories.entry(organization).or_default().append(batch)?;
            }
            Ok(())
        };
        append().map_err(|error: Error| error.with_operation("audit_sink.append"))
    }

    async fn head(&self, organization: OrganizationId) -> Result<LedgerHead> {
        self.look("audit_sink.head", organization, |history| {
            let size = history.tree.size();
            Ok(LedgerHead {
                size,
                root: history.tree.root(size)?,
            })
        })
    }

    async fn entries(
        &self,
        organization: OrganizationId,
        first: u64,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>> {
        self.look("audit_sink.entries", organization, |history| {
            // The end itself is where the next entry will be: nothing is there yet.
            let rest = place(first).and_then(|first| history.entries.get(first..));
            let found = rest.ok_or_else(not_found)?.iter().take(limit);
            found
                .map(|entry| history.verified(entry).cloned())
                .collect()
        })
    }

    async fn inclusion_proof(
        &self,
        organization: OrganizationId,
        index: u64,
        size: u64,
    ) -> Result<Vec<Hash>> {
        self.look("audit_sink.inclusion_proof", organization, |history| {
            let proof = history.tree.inclusion_proof(index, size)?;
            let entry = place(index).and_then(|index| history.entries.get(index));
            history.verified(entry.ok_or_else(not_found)?)?;
            Ok(proof)
        })
    }

    async fn consistency_proof(
        &self,
        organization: OrganizationId,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>> {
        self.look("audit_sink.consistency_proof", organization, |history| {
            history.tree.consistency_proof(old, new)
        })
    }
}

impl History {
    /// Keeps of `batch` what is not in the ledger yet, each event once.
    fn admit(&self, batch: &mut Vec<LedgerEntry>) -> Result<()> {
        self.intact()?;
        let mut new: Vec<LedgerEntry> = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            let stored = self
                .places
                .get(&entry.event)
                .and_then(|place| self.entries.get(*place));
            let known = match stored {
                // Only an entry that is still its own is a judge of another.
                Some(stored) => Some(self.verified(stored)?),
                None => new.iter().find(|other| other.event == entry.event),
            };
            match known {
                None => new.push(entry),
                Some(known) if known.leaf == entry.leaf => {}
                Some(_) => {
                    let message = "the ledger holds another audit event under the same id";
                    return Err(Error::new(ErrorKind::AlreadyExists, message));
                }
            }
        }
        *batch = new;
        Ok(())
    }

    fn append(&mut self, batch: Vec<LedgerEntry>) -> Result<()> {
        // Fails only where the tree's own hashes are broken. It is then longer than the entries,
        // and nothing is read or appended any more.
        for entry in &batch {
            self.tree.append(&entry.leaf)?;
        }
        for mut entry in batch {
            let place = self.entries.len();
            entry.index = place as u64;
            self.places.insert(entry.event, place);
            self.entries.push(entry);
        }
        Ok(())
    }

    fn intact(&self) -> Result<()> {
        if self.tree.size() == self.entries.len() as u64 {
            Ok(())
        } else {
            Err(corrupt())
        }
    }

    /// Passes an entry that is the very one that the tree holds at its place.
    fn verified<'a>(&self, entry: &'a LedgerEntry) -> Result<&'a LedgerEntry> {
        let size = self.tree.size();
        let proof = self.tree.inclusion_proof(entry.index, size)?;
        verify_inclusion(
            &self.tree.root(size)?,
            size,
            entry.index,
            &entry.leaf,
            &proof,
        )?;
        let event: AuditEvent =
            serde_json::from_slice(&entry.leaf).map_err(|source| corrupt().with_source(source))?;
        if event.id == entry.event {
            Ok(entry)
        } else {
            Err(corrupt())
        }
    }
}

fn place(index: u64) -> Option<usize> {
    usize::try_from(index).ok()
}

fn not_found() -> Error {
    Error::not_found("ledger entry")
}

fn corrupt() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the ledger's entries do not match its tree",
    )
}

/// Shows how many organizations it keeps, and nothing of them.
impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}
