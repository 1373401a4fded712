//! Members whose units of work add accounts, with the audit event that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinHandle;
use trueno_core::error::Result;
use trueno_core::id::{AuditEventId, CloudAccountId};
use trueno_core::model::{AuditEvent, EventDraft};
use trueno_core::port::{PageRequest, TenantStore as _};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{Tenant, World};

use super::{PAUSE, Storm, Tally, Verdict};

/// Two accounts that are added together, and what was said of it.
struct Unit {
    accounts: [CloudAccountId; 2],
    verdict: Verdict,
    event: Option<AuditEventId>,
}

pub(super) struct Writer {
    tenant: Tenant,
    task: JoinHandle<Vec<Unit>>,
}

/// Starts a worker that adds accounts to an organization of its own.
pub(super) async fn start(worker: usize, world: &Arc<World>, storm: &Arc<Storm>) -> Writer {
    let tenant = world.organization().await;
    let task = tokio::spawn(work(worker, world.clone(), tenant.clone(), storm.clone()));
    Writer { tenant, task }
}

async fn work(worker: usize, world: Arc<World>, tenant: Tenant, storm: Arc<Storm>) -> Vec<Unit> {
    let mut units = Vec::new();
    while storm.goes_on() {
        let new = [world.new_account(), world.new_account()];
        let accounts = [new[0].id, new[1].id];
        let write = async {
            let mut unit = world.store.begin(&tenant.accounts).await?;
            for new in new {
                unit.insert_account(new).await?;
            }
            let event = EventDraft::new("cloud_account.connected", "cloud_account", accounts[0])
                .with_target("cloud_account", accounts[1]);
            unit.commit(event).await
        };
        let answer: Result<AuditEventId> = write.await;
        units.push(Unit {
            accounts,
            verdict: storm.verdict(worker, &answer),
            event: answer.ok(),
        });
        tokio::time::sleep(PAUSE).await;
    }
    units
}

impl Writer {
    /// Holds everything that is there to what was said of it.
    pub(super) async fn verify(self, store: &PostgresStore, staged: &[AuditEvent]) -> Tally {
        let units = self.task.await.unwrap();
        let mut there = BTreeSet::new();
        let mut view = store.read(&self.tenant.read).await.unwrap();
        let mut page = PageRequest::largest();
        loop {
            let found = view.accounts(&page).await.unwrap();
            there.extend(found.items.iter().map(|account| account.id));
            match found.next {
                Some(next) => page = PageRequest::largest().after(Some(next)),
                None => break,
            }
        }
        let mut events: BTreeMap<String, Vec<&AuditEvent>> = BTreeMap::new();
        for event in staged {
            if event.organization == self.tenant.id && event.action == "cloud_account.connected" {
                let first = event.targets[0].id.clone();
                events.entry(first).or_default().push(event);
            }
        }
        let mut tally = Tally::default();
        for unit in units {
            let what = format!("the unit of work on {:?}", unit.accounts);
            let added = unit.accounts.map(|account| there.remove(&account));
            let event = events.remove(&unit.accounts[0].to_string());
            let is_there = match (added, event.as_deref()) {
                ([false, false], None) => false,
                ([true, true], Some([event])) => {
                    assert!(unit.event.is_none_or(|id| id == event.id), "{what}");
                    assert_eq!(event.targets[1].id, unit.accounts[1].to_string(), "{what}");
                    true
                }
                other => panic!("{what} is there in part: {other:?}"),
            };
            tally.add(&what, unit.verdict, is_there);
        }
        assert!(
            there.is_empty() && events.is_empty(),
            "nobody wrote {there:?} {events:?}"
        );
        tally
    }
}
