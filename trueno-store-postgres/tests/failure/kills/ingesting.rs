//! Leases that ingest numbered batches, and a reader that looks for halves of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{CloudAccountId, ScanId};
use trueno_core::model::{Coverage, CoverageStatus, ScanProgress};
use trueno_core::port::tenant_store::{FindingFilter, ResourceFilter};
use trueno_core::port::{Lease, PageRequest, ReadView, TenantStore as _, claim_leases};
use trueno_store_postgres::PostgresStore;
use trueno_testkit::fixtures::{
    Tenant, World, coverage, finding, finding_id, region, resource, task,
};

use super::{PAUSE, READER, Storm, Tally, Verdict};

/// What each batch holds, beside the task's checkpoint and the scan's progress.
const RESOURCES: usize = 8;
const FINDINGS: usize = 3;

/// What one lease writes to.
#[derive(Clone)]
pub(super) struct Target {
    tenant: Tenant,
    account: CloudAccountId,
    scan: ScanId,
    /// The batch that is written now.
    present: Arc<AtomicU64>,
}

pub(super) struct Ingester {
    pub(super) target: Target,
    task: JoinHandle<Vec<Verdict>>,
}

/// Starts a scan in an organization of its own, and a worker that ingests into it.
pub(super) async fn start(
    worker: usize,
    world: &World,
    store: &PostgresStore,
    storm: &Arc<Storm>,
) -> Ingester {
    let tenant = world.organization().await;
    let account = world.account(&tenant).await;
    let requested = world.request_scan(&tenant, &account).await;
    // Longer than the test: leases run out by the store's clock.
    let request = world
        .claim_request(1)
        .with_lease_for(Duration::from_secs(3_600));
    let lease = claim_leases(&*world.queue, &request)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(lease.reference().job, requested.job);
    world.start(&lease, 1).await;
    let target = Target {
        tenant,
        account: account.id,
        scan: requested.scan,
        present: Arc::default(),
    };
    let present = target.present.clone();
    let task = tokio::spawn(work(worker, store.clone(), lease, storm.clone(), present));
    Ingester { target, task }
}

async fn work(
    worker: usize,
    store: PostgresStore,
    lease: Lease,
    storm: Arc<Storm>,
    present: Arc<AtomicU64>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    while storm.goes_on() {
        let number = verdicts.len() as u64;
        present.store(number, Ordering::Relaxed);
        let answer = ingest(&store, &lease, number).await;
        verdicts.push(storm.verdict(worker, &answer));
        tokio::time::sleep(PAUSE).await;
    }
    verdicts
}

/// One batch: everything in it tells its number.
async fn ingest(store: &PostgresStore, lease: &Lease, number: u64) -> Result<()> {
    let mut ingest = store.ingest(lease).await?;
    let resources = (0..RESOURCES)
        .map(|nth| resource("ec2.volume", &batch(number), &native_id(number, nth)))
        .collect();
    ingest.put_resources(resources).await?;
    let findings = (0..FINDINGS)
        .map(|nth| finding(&native_id(number, nth)))
        .collect();
    ingest.put_findings(findings).await?;
    let read = Coverage {
        checkpoint: Some(number.to_string()),
        ..coverage(task("ec2.volume", "eu-west-1"), CoverageStatus::Reading)
    };
    ingest.put_coverage(vec![read]).await?;
    let progress = ScanProgress {
        tasks: 1,
        tasks_done: 0,
        resources: number,
    };
    ingest.set_progress(progress).await?;
    ingest.commit().await
}

/// A batch's own region, so that its resources can be asked for alone.
fn batch(number: u64) -> String {
    format!("batch-{number}")
}

fn native_id(number: u64, nth: usize) -> String {
    format!("{number}-{nth}")
}

/// Where a view says that the scan is: its checkpoint and its progress, which are written together.
async fn checkpoint(view: &mut dyn ReadView, scan: ScanId) -> Result<Option<u64>> {
    let coverage = view.coverage(scan).await?;
    let progress = view.scan(scan).await?.progress;
    let checkpoint = coverage
        .first()
        .map(|read| read.checkpoint.as_ref().unwrap().parse().unwrap());
    assert_eq!(
        checkpoint.unwrap_or(0),
        progress.resources,
        "checkpoint and progress are of two batches"
    );
    Ok(checkpoint)
}

/// Looks at the batch that is being written, and at the one before it, until the storm is over.
/// Answers how many looks went through.
pub(super) async fn watch(store: PostgresStore, storm: Arc<Storm>, targets: Vec<Target>) -> u64 {
    let mut views = 0;
    for target in targets.iter().cycle() {
        if !storm.goes_on() {
            break;
        }
        let present = target.present.load(Ordering::Relaxed);
        for number in [present, present.saturating_sub(1)] {
            let looked = look(&store, target, number).await;
            if storm.verdict(READER, &looked) == Verdict::Acknowledged {
                views += 1;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    views
}

/// A batch is there with all that it holds, or with nothing.
async fn look(store: &PostgresStore, target: &Target, number: u64) -> Result<()> {
    let mut view = store.read(&target.tenant.read).await?;
    let filter = ResourceFilter::default().with_region(region(&batch(number)));
    let resources = view.resources(&filter, &PageRequest::largest()).await?;
    let is_there = match resources.items.len() {
        0 => false,
        RESOURCES => true,
        other => panic!("{other} resources of batch {number} are visible"),
    };
    for nth in 0..FINDINGS {
        let id = finding_id(target.account, &native_id(number, nth));
        match view.finding(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(!is_there, "batch {number} is there without finding {nth}");
            }
            Err(error) => return Err(error),
            Ok(_) => assert!(is_there, "finding {nth} is there without batch {number}"),
        }
    }
    let checkpoint = checkpoint(&mut *view, target.scan).await?;
    if is_there {
        assert!(checkpoint >= Some(number), "the checkpoint is behind");
    } else {
        assert_ne!(checkpoint, Some(number), "the checkpoint is ahead");
    }
    Ok(())
}

impl Ingester {
    /// Holds everything that is there to what was said of it.
    pub(super) async fn verify(self, store: &PostgresStore) -> Tally {
        let verdicts = self.task.await.unwrap();
        let mut view = store.read(&self.target.tenant.read).await.unwrap();
        let mut resources: BTreeMap<u64, usize> = BTreeMap::new();
        let mut page = PageRequest::largest();
        loop {
            let filter = ResourceFilter::default().with_account(self.target.account);
            let found = view.resources(&filter, &page).await.unwrap();
            for record in found.items {
                let native_id = &record.resource.reference.native_id;
                let (number, _) = native_id.split_once('-').unwrap();
                *resources.entry(number.parse().unwrap()).or_default() += 1;
            }
            match found.next {
                Some(next) => page = PageRequest::largest().after(Some(next)),
                None => break,
            }
        }
        let mut findings: BTreeMap<u64, usize> = BTreeMap::new();
        let mut page = PageRequest::largest();
        loop {
            let filter = FindingFilter::default().with_account(self.target.account);
            let found = view.findings(&filter, &page).await.unwrap();
            for finding in found.items {
                let native_id = &finding.draft.resource.native_id;
                let (number, _) = native_id.split_once('-').unwrap();
                *findings.entry(number.parse().unwrap()).or_default() += 1;
            }
            match found.next {
                Some(next) => page = PageRequest::largest().after(Some(next)),
                None => break,
            }
        }
        assert_eq!(
            checkpoint(&mut *view, self.target.scan).await.unwrap(),
            resources.keys().next_back().copied(),
            "the checkpoint is the last batch's that is there"
        );
        let mut tally = Tally::default();
        for (number, verdict) in (0..).zip(verdicts) {
            let found = (resources.remove(&number), findings.remove(&number));
            let is_there = match found {
                (None, None) => false,
                (Some(RESOURCES), Some(FINDINGS)) => true,
                _ => panic!("batch {number} is there in part: {found:?}"),
            };
            tally.add(&format!("batch {number}"), verdict, is_there);
        }
        assert!(
            resources.is_empty() && findings.is_empty(),
            "nobody wrote {resources:?} {findings:?}"
        );
        tally
    }
}
