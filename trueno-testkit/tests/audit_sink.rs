//! The suite of `AuditSink` over a small sink of its own: the sink passes, and each way of breaking
//! it is noticed by the case that promises otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use trueno_core::clock::Clock as _;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{IdSource, OrganizationId};
use trueno_core::ledger::{Hash, Tree};
use trueno_core::model::AuditEvent;
use trueno_core::port::{AuditSink, LedgerEntry, LedgerHead};
use trueno_testkit::audit_sink::{World, append, isolation, proofs};
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::SinkHarness;
use trueno_testkit::suite::run;

/// A way of breaking the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    AppendsAgain,
    DropsTheLast,
    Reverses,
    SharesOneLedger,
    HashesAnotherForm,
    ShowsWhatWasChanged,
    ForgetsWhereItEnds,
}

#[derive(Debug, Default)]
struct Ledger {
    tree: Tree,
    entries: Vec<LedgerEntry>,
}

#[derive(Debug)]
struct SmallSink {
    defect: Defect,
    ledgers: Mutex<HashMap<OrganizationId, Ledger>>,
}

impl SmallSink {
    fn ledger_of(&self, organization: OrganizationId) -> OrganizationId {
        if self.defect == Defect::SharesOneLedger {
            return OrganizationId::from_uuid(uuid::Uuid::nil());
        }
        organization
    }

    fn look<T>(
        &self,
        organization: OrganizationId,
        look: impl FnOnce(&Ledger) -> Result<T>,
    ) -> Result<T> {
        let organization = self.ledger_of(organization);
        look(self.ledgers.lock().entry(organization).or_default())
    }
}

#[async_trait]
impl AuditSink for SmallSink {
    async fn append(&self, events: &[AuditEvent]) -> Result<()> {
        let mut batches: BTreeMap<OrganizationId, Vec<&AuditEvent>> = BTreeMap::new();
        for event in events {
            batches
                .entry(self.ledger_of(event.organization))
                .or_default()
                .push(event);
        }
        let mut ledgers = self.ledgers.lock();
        for (organization, mut batch) in batches {
            match self.defect {
                Defect::Reverses => batch.reverse(),
                Defect::DropsTheLast if batch.len() > 2 => drop(batch.pop()),
                _ => {}
            }
            let ledger = ledgers.entry(organization).or_default();
            for event in batch {
                let known = ledger.entries.iter().any(|entry| entry.event == event.id);
                if known && self.defect != Defect::AppendsAgain {
                    continue;
                }
                let leaf = event.canonical()?;
                let hashed = match self.defect {
                    Defect::HashesAnotherForm => serde_json::to_vec_pretty(event).unwrap(),
                    _ => leaf.clone(),
                };
                ledger.tree.append(&hashed)?;
                let index = ledger.entries.len() as u64;
                ledger.entries.push(LedgerEntry {
                    index,
                    event: event.id,
                    leaf,
                });
            }
        }
        Ok(())
    }

    async fn head(&self, organization: OrganizationId) -> Result<LedgerHead> {
        self.look(organization, |ledger| {
            let size = ledger.tree.size();
            Ok(LedgerHead {
                size,
                root: ledger.tree.root(size)?,
            })
        })
    }

    async fn entries(
        &self,
        organization: OrganizationId,
        first: u64,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>> {
        self.look(organization, |ledger| {
            let first = usize::try_from(first).unwrap();
            let Some(rest) = ledger.entries.get(first..) else {
                return match self.defect {
                    Defect::ForgetsWhereItEnds => Ok(Vec::new()),
                    _ => Err(Error::not_found("ledger entry")),
                };
            };
            let found: Vec<LedgerEntry> = rest.iter().take(limit).cloned().collect();
            let size = ledger.tree.size();
            let root = ledger.tree.root(size)?;
            for entry in &found {
                if !matches!(
                    self.defect,
                    Defect::ShowsWhatWasChanged | Defect::HashesAnotherForm
                ) {
                    let proof = ledger.tree.inclusion_proof(entry.index, size)?;
                    let at = entry.index;
                    trueno_core::ledger::verify_inclusion(&root, size, at, &entry.leaf, &proof)?;
                }
            }
            Ok(found)
        })
    }

    async fn inclusion_proof(
        &self,
        organization: OrganizationId,
        index: u64,
        size: u64,
    ) -> Result<Vec<Hash>> {
        self.look(organization, |ledger| {
            ledger.tree.inclusion_proof(index, size)
        })
    }

    async fn consistency_proof(
        &self,
        organization: OrganizationId,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>> {
        self.look(organization, |ledger| {
            ledger.tree.consistency_proof(old, new)
        })
    }
}

struct Harness {
    sink: Arc<SmallSink>,
    ids: IdSource,
}

async fn broken(defect: Defect) -> Harness {
    let sink = Arc::new(SmallSink {
        defect,
        ledgers: Mutex::default(),
    });
    Harness {
        sink,
        ids: IdSource::seeded(1),
    }
}

#[async_trait]
impl SinkHarness for Harness {
    fn sink(&self) -> Arc<dyn AuditSink> {
        self.sink.clone()
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn organization(&self) -> OrganizationId {
        self.ids.next(ManualClock::default().now())
    }

    async fn tamper(&self, organization: OrganizationId, index: u64) {
        let mut ledgers = self.sink.ledgers.lock();
        let ledger = ledgers.get_mut(&self.sink.ledger_of(organization)).unwrap();
        *ledger.entries[usize::try_from(index).unwrap()]
            .leaf
            .last_mut()
            .unwrap() ^= 1;
    }
}

mod a_sound_sink_passes {
    use super::{Defect, broken};

    trueno_testkit::audit_sink_conformance!("a small sink", || broken(Defect::None));
}

/// Checks that a case fails over a sink with `defect`.
#[track_caller]
fn noticed(defect: Defect, case: impl AsyncFnOnce(World) + std::panic::UnwindSafe) {
    let ran = std::panic::catch_unwind(|| {
        run(
            "audit_sink",
            "defect",
            async { World::new(broken(defect).await).await },
            case,
        );
    });
    assert!(ran.is_err(), "{defect:?} went unnoticed");
}

#[test]
fn every_defect_is_noticed() {
    noticed(
        Defect::AppendsAgain,
        append::appending_again_changes_nothing,
    );
    noticed(
        Defect::AppendsAgain,
        append::a_dropped_append_is_delivered_again,
    );
    noticed(
        Defect::DropsTheLast,
        append::entries_are_the_events_in_order,
    );
    noticed(Defect::DropsTheLast, append::a_batch_is_appended_as_a_whole);
    noticed(
        Defect::Reverses,
        append::concurrent_batches_keep_their_order,
    );
    noticed(
        Defect::SharesOneLedger,
        append::a_batch_is_spread_over_its_ledgers,
    );
    noticed(Defect::SharesOneLedger, isolation::isolation_head);
    noticed(Defect::SharesOneLedger, isolation::isolation_entries);
    noticed(
        Defect::SharesOneLedger,
        isolation::isolation_inclusion_proof,
    );
    noticed(
        Defect::SharesOneLedger,
        isolation::isolation_consistency_proof,
    );
    noticed(Defect::SharesOneLedger, isolation::isolation_append);
    noticed(
        Defect::HashesAnotherForm,
        append::entries_are_the_events_in_order,
    );
    noticed(
        Defect::HashesAnotherForm,
        proofs::every_entry_is_proved_in_every_tree,
    );
    noticed(
        Defect::ShowsWhatWasChanged,
        proofs::a_changed_entry_is_corrupt,
    );
    noticed(
        Defect::ForgetsWhereItEnds,
        append::entries_are_read_from_anywhere,
    );
}

#[test]
fn a_refusal_of_the_wrong_kind_is_noticed() {
    let refusal = || -> Result<()> { Err(Error::new(ErrorKind::Unavailable, "down")) };
    let ran = std::panic::catch_unwind(|| {
        trueno_testkit::suite::refused(refusal(), ErrorKind::NotFound, "P1");
    });
    assert!(ran.is_err());
}
