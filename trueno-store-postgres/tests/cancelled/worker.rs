//! Who makes the calls that are cut off, and keeps account of what may have become of them.

use std::sync::Arc;
use std::time::Duration;

use trueno_core::model::{CloudAccount, CoverageStatus, EventDraft, JobKind, NewJob};
use trueno_core::port::{
    ClaimRequest, FinishOutcome, Finished, Ingest, JobOutcome, Lease, PageRequest, UnitOfWork,
    claim_leases,
};
use trueno_core::state::scan::ScanEvent;
use trueno_testkit::fixtures::{self, Requested, Tenant, World};

use super::knife::Knife;

/// What may have become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its commit was not reached: there must be nothing of it.
    Never,
    /// Its commit was cut off: all of it or nothing.
    Either,
    /// Its commit was answered: all of it.
    Applied,
}

/// A change that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A connection and its event.
    Account(trueno_core::id::CloudAccountId),
    /// A scan, its job and its event.
    Request(Requested),
    /// The nth batch of the worker's scan: resources, coverage and a finding.
    Batch(u64),
}

/// A scan that was finished, or tried to be.
#[derive(Debug)]
pub(super) struct End {
    pub(super) scan: Requested,
    pub(super) lease: Lease,
    pub(super) fate: Fate,
}

/// How many resources a batch has.
pub(super) const RESOURCES: u64 = 3;

/// One client of the store: works in one organization, on a scan of its own.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) world: Arc<World>,
    pub(super) tenant: Tenant,
    pub(super) account: CloudAccount,
    pub(super) run: Requested,
    pub(super) changes: Vec<(Change, Fate)>,
    pub(super) ends: Vec<End>,
    kind: JobKind,
    lease: Lease,
    batches: u64,
}

impl Worker {
    /// A worker in a new organization.
    pub(super) async fn new(world: Arc<World>, nth: usize) -> Self {
        let tenant = world.organization().await;
        let account = world.account(&tenant).await;
        // Claimed by nobody else.
        let kind: JobKind = format!("test.scan-{nth}").parse().unwrap();
        let (run, lease) = running(&world, &tenant, &account, &kind).await;
        Self {
            world,
            tenant,
            account,
            run,
            changes: Vec::new(),
            ends: Vec::new(),
            kind,
            lease,
            batches: 0,
        }
    }

    /// Makes calls until `wanted` futures that begin, ask or commit were cut off.
    pub(super) async fn work(&mut self, knife: &mut Knife, wanted: u32) {
        let before = knife.steps();
        let mut tries = 0;
        while knife.steps() - before < wanted {
            tries += 1;
            assert!(tries < 50 * wanted + 500, "hardly anything is cut off");
            match knife.draw.below(11) {
                0..=2 => self.unit(knife).await,
                3..=5 => self.ingest(knife).await,
                6 | 7 => self.view(knife).await,
                8 => self.finish(knife).await,
                _ => self.queue(knife).await,
            }
        }
    }

    /// A unit of work of a member: app's pool.
    async fn unit(&mut self, knife: &mut Knife) {
        let world = self.world.clone();
        let request = knife.draw.below(2) == 0;
        knife.aim(if request { 4 } else { 3 });
        let scope = if request {
            &self.tenant.scan
        } else {
            &self.tenant.accounts
        };
        let Some(unit) = knife
            .cut("begin: unit of work", world.store.begin(scope))
            .await
        else {
            return;
        };
        let mut unit = unit.unwrap();
        let (change, event, whole) = if request {
            let job = world.job();
            let requested = Requested {
                scan: world.id(),
                job: job.id,
            };
            let event = EventDraft::new("scan.requested", "scan", requested.scan);
            let whole = self.request(knife, &mut unit, requested, job).await;
            (Change::Request(requested), event, whole)
        } else {
            let new = world.new_account();
            let event = EventDraft::new("cloud_account.connected", "cloud_account", new.id);
            let change = Change::Account(new.id);
            let inserted = knife
                .cut("query: insert_account", unit.insert_account(new))
                .await;
            (change, event, inserted.map(Result::unwrap).is_some())
        };
        let fate = if whole {
            match knife.cut("commit: unit of work", unit.commit(event)).await {
                Some(committed) => committed.map(|_| Fate::Applied).unwrap(),
                None => Fate::Either,
            }
        } else {
            if knife.draw.below(2) == 0 {
                let half = unit.commit(event).await;
                assert!(
                    half.expect_err("a step was cut off")
                        .certainly_not_applied(),
                    "P2"
                );
            }
            Fate::Never
        };
        self.changes.push((change, fate));
    }

    async fn request(
        &self,
        knife: &mut Knife,
        unit: &mut Box<dyn UnitOfWork>,
        requested: Requested,
        job: NewJob,
    ) -> bool {
        let scan = self.world.new_scan(&self.account, requested);
        let Some(scan) = knife
            .cut("query: insert_scan", unit.insert_scan(scan))
            .await
        else {
            return false;
        };
        scan.unwrap();
        let enqueued = knife.cut("query: enqueue", unit.enqueue(vec![job])).await;
        enqueued.map(Result::unwrap).is_some()
    }

    /// A batch of the worker's scan: processor's pool.
    pub(super) async fn ingest(&mut self, knife: &mut Knife) {
        let store = self.world.store.clone();
        knife.aim(5);
        let Some(ingest) = knife.cut("begin: ingest", store.ingest(&self.lease)).await else {
            return;
        };
        let mut ingest = ingest.unwrap();
        self.batches += 1;
        let nth = self.batches;
        let fate = if put(knife, &mut ingest, nth).await {
            match knife.cut("commit: ingest", ingest.commit()).await {
                Some(committed) => committed.map(|()| Fate::Applied).unwrap(),
                None => Fate::Either,
            }
        } else {
            if knife.draw.below(2) == 0 {
                let half = ingest.commit().await;
                assert!(
                    half.expect_err("a step was cut off")
                        .certainly_not_applied(),
                    "P2"
                );
            }
            Fate::Never
        };
        self.changes.push((Change::Batch(nth), fate));
    }

    /// A view, of the owner or of the lease: app's pool or processor's.
    async fn view(&self, knife: &mut Knife) {
        knife.aim(3);
        let (kind, scope) = if knife.draw.below(2) == 0 {
            ("begin: view", &self.tenant.read)
        } else {
            ("begin: view of a lease", self.lease.scope())
        };
        let Some(view) = knife.cut(kind, self.world.store.read(scope)).await else {
            return;
        };
        let mut view = view.unwrap();
        let page = PageRequest::first(100).unwrap();
        let read = knife.cut("query: accounts", view.accounts(&page)).await;
        for account in read
            .map(Result::unwrap)
            .into_iter()
            .flat_map(|page| page.items)
        {
            assert_eq!(account.organization, self.tenant.id, "P1");
        }
        // A view whose statement was cut off goes on.
        let account = knife
            .cut("query: account", view.account(self.account.id))
            .await;
        if let Some(account) = account {
            assert_eq!(account.unwrap(), self.account);
        }
    }

    /// The end of another scan of the worker's account: processor's pool.
    async fn finish(&mut self, knife: &mut Knife) {
        knife.aim(1);
        let (scan, lease) = running(&self.world, &self.tenant, &self.account, &self.kind).await;
        let (outcome, event) = ending(scan);
        let store = self.world.store.clone();
        let finishing = store.finish(&lease, outcome, event);
        let fate = match knife.cut("call: finish", finishing).await {
            Some(finished) => {
                assert!(matches!(finished.unwrap(), Finished::Applied { .. }));
                Fate::Applied
            }
            None => Fate::Either,
        };
        self.ends.push(End { scan, lease, fate });
    }

    /// Calls of one transaction each: every pool.
    async fn queue(&self, knife: &mut Knife) {
        knife.aim(1);
        let (store, queue) = (&self.world.store, &self.world.queue);
        match knife.draw.below(6) {
            0 => {
                let jobs = vec![self.world.job()];
                let call = queue.enqueue(&self.tenant.scan, jobs);
                knife.cut("call: enqueue", call).await.map(Result::unwrap);
            }
            1 => {
                let nothing = vec!["test.nothing".parse().unwrap()];
                let request = ClaimRequest::new(self.world.id(), "worker", nothing, 1);
                let call = queue.claim(&request);
                knife.cut("call: claim", call).await.map(Result::unwrap);
            }
            2 => {
                let session = self.lease.reference().session;
                let call = queue.heartbeat(session, LEASE);
                knife.cut("call: heartbeat", call).await.map(Result::unwrap);
            }
            3 => {
                let call = store.staged(10);
                knife.cut("call: staged", call).await.map(Result::unwrap);
            }
            4 => {
                let nobodys = [self.world.id()];
                let call = store.forget(&nobodys);
                knife.cut("call: forget", call).await.map(Result::unwrap);
            }
            _ => {
                let call = store.memberships(self.tenant.owner);
                knife
                    .cut("call: memberships", call)
                    .await
                    .map(Result::unwrap);
            }
        }
    }
}

/// Long enough for the slowest run.
const LEASE: Duration = Duration::from_secs(3_600);

/// How a scan ends, and the event of it.
pub(super) fn ending(scan: Requested) -> (FinishOutcome, EventDraft) {
    let completed = ScanEvent::Completed {
        coverage_complete: true,
    };
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(completed);
    (outcome, EventDraft::new("scan.finished", "scan", scan.scan))
}

/// A scan that runs, under a lease of its own.
async fn running(
    world: &World,
    tenant: &Tenant,
    account: &CloudAccount,
    kind: &JobKind,
) -> (Requested, Lease) {
    let job = world.job_of_kind(kind.as_str());
    let requested = world.request_scan_by(tenant, account, job).await;
    let mut request = ClaimRequest::new(world.id(), "worker", vec![kind.clone()], 1);
    request.lease_for = LEASE;
    let mut leases = claim_leases(&*world.queue, &request).await.unwrap();
    let lease = leases.pop().expect("the job is due");
    assert_eq!(lease.reference().job, requested.job);
    world.start(&lease, 1).await;
    (requested, lease)
}

/// Whether all of the nth batch was put.
async fn put(knife: &mut Knife, ingest: &mut Box<dyn Ingest>, nth: u64) -> bool {
    let resources = (0..RESOURCES)
        .map(|part| fixtures::resource("ec2.volume", "eu-west-1", &native_id(nth, part)))
        .collect();
    let put = knife.cut("query: put_resources", ingest.put_resources(resources));
    if put.await.map(Result::unwrap).is_none() {
        return false;
    }
    let task = fixtures::task("ec2.volume", &region(nth));
    let coverage = vec![fixtures::coverage(task, CoverageStatus::Complete)];
    let put = knife.cut("query: put_coverage", ingest.put_coverage(coverage));
    if put.await.map(Result::unwrap).is_none() {
        return false;
    }
    let findings = vec![fixtures::finding(&native_id(nth, 0))];
    let put = knife.cut("query: put_findings", ingest.put_findings(findings));
    put.await.map(Result::unwrap).is_some()
}

pub(super) fn native_id(batch: u64, part: u64) -> String {
    format!("vol-{batch}-{part}")
}

pub(super) fn region(batch: u64) -> String {
    format!("region-{batch}")
}
