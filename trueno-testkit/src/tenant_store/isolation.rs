//! P1 over the store: one case per method that reads or writes tenants' data.
//!
//! Every case has two organizations whose accounts, scans, jobs, resources and findings share all
//! their ids and keys: whatever tells them apart is the organization alone.

use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{CloudAccountId, JobId, ScanId};
use trueno_core::model::{
    CoverageStatus, EventDraft, FindingStatus, JobStatus, NewCloudAccount, ScanProgress, ScanStatus,
};
use trueno_core::port::{
    Enqueued, FindingFilter, FinishOutcome, Ingest, JobOutcome, PageRequest, ReadView,
    ResourceFilter, ScanFilter,
};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::ScanEvent;

use super::World;
use crate::fixtures::{
    Requested, RunningScan, SCAN_KIND, Tenant, coverage, finding, resource, task,
};
use crate::suite::refused;

const REGION: &str = "eu-west-1";

/// One of two organizations that share every id.
struct Twin {
    tenant: Tenant,
    run: RunningScan,
}

/// Two organizations with an account, a running scan, coverage, a resource and a finding each,
/// under the same ids and keys.
async fn twins(w: &World) -> (Twin, Twin) {
    let new = w.new_account();
    let (scan, job) = (w.id(), w.job_of_kind(SCAN_KIND));
    let mut twins = Vec::new();
    for name in ["first", "second"] {
        let tenant = w.organization().await;
        let mut named = new.clone();
        named.name = name.to_owned();
        let account = insert(w, &tenant, named).await.unwrap();
        let mut unit = w.begin_scan(&tenant).await;
        let requested = Requested { scan, job: job.id };
        unit.insert_scan(w.new_scan(&account, requested))
            .await
            .unwrap();
        let enqueued = unit.enqueue(vec![job.clone()]).await.unwrap();
        assert_eq!(
            enqueued,
            [Enqueued::Created(job.id)],
            "P1: an id of another's is free"
        );
        unit.commit(EventDraft::new("scan.requested", "scan", scan))
            .await
            .unwrap();
        let lease = w.claim_one().await;
        w.start(&lease, 4).await;
        let mut ingest = w.store.ingest(&lease).await.unwrap();
        let mut volume = resource("ec2.volume", REGION, "vol-1");
        volume.name = Some(name.to_owned());
        ingest.put_resources(vec![volume]).await.unwrap();
        let mut upsert = finding("vol-1");
        upsert.draft.name = Some(name.to_owned());
        ingest.put_findings(vec![upsert]).await.unwrap();
        let read = coverage(task("ec2.volume", REGION), CoverageStatus::Complete);
        ingest.put_coverage(vec![read]).await.unwrap();
        ingest.commit().await.unwrap();
        let run = RunningScan {
            account,
            scan,
            job: job.id,
            lease,
        };
        twins.push(Twin { tenant, run });
    }
    let second = twins.remove(1);
    (twins.remove(0), second)
}

async fn insert(
    w: &World,
    tenant: &Tenant,
    new: NewCloudAccount,
) -> Result<trueno_core::model::CloudAccount> {
    let mut unit = w.store.begin(&tenant.accounts).await?;
    let account = unit.insert_account(new).await?;
    unit.commit(EventDraft::new(
        "cloud_account.connected",
        "cloud_account",
        account.id,
    ))
    .await?;
    Ok(account)
}

/// What an organization sees of its own, as text: compared before and after the other one acts.
async fn everything(w: &World, twin: &Twin) -> String {
    let mut view = w.view(&twin.tenant).await;
    let page = PageRequest::largest();
    let mut seen = format!("{:?}", view.accounts(&page).await.unwrap());
    seen += &format!(
        "{:?}",
        view.scans(&ScanFilter::default(), &page).await.unwrap()
    );
    seen += &format!(
        "{:?}",
        view.resources(&ResourceFilter::default(), &page)
            .await
            .unwrap()
    );
    seen += &format!(
        "{:?}",
        view.findings(&FindingFilter::default(), &page)
            .await
            .unwrap()
    );
    seen += &format!("{:?}", view.coverage(twin.run.scan).await.unwrap());
    seen += &format!("{:?}", view.job(twin.run.job).await.unwrap());
    seen
}

/// An organization whose rows nobody else has, and another one's view.
struct Foreign {
    account: CloudAccountId,
    scan: ScanId,
    job: JobId,
    view: Box<dyn ReadView>,
    missing: Box<dyn ReadView>,
}

async fn foreign(w: &World) -> Foreign {
    let (one, two) = (w.organization().await, w.organization().await);
    let run = w.running_scan(&one).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    ingest
        .put_resources(vec![resource("ec2.volume", REGION, "vol-1")])
        .await
        .unwrap();
    ingest.put_findings(vec![finding("vol-1")]).await.unwrap();
    let read = coverage(task("ec2.volume", REGION), CoverageStatus::Complete);
    ingest.put_coverage(vec![read]).await.unwrap();
    ingest.commit().await.unwrap();
    let (account, scan, job) = (run.account.id, run.scan, run.job);
    let (view, missing) = (w.view(&two).await, w.view(&two).await);
    Foreign {
        account,
        scan,
        job,
        view,
        missing,
    }
}

/// Checks that a foreign row and a missing one are answered alike.
#[track_caller]
fn alike<T, U>(foreign: Result<T>, missing: Result<U>) {
    let foreign = refused(foreign, ErrorKind::NotFound, "P1: another organization's");
    let missing = refused(missing, ErrorKind::NotFound, "what is not there");
    assert_eq!(
        foreign.to_string(),
        missing.to_string(),
        "P1: existence is not told"
    );
    assert_eq!(foreign.code(), missing.code(), "P1: existence is not told");
}

/// P1: `account`.
pub async fn isolation_account(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.account(f.account).await,
        f.missing.account(w.id()).await,
    );
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let read = w
            .view(&twin.tenant)
            .await
            .account(twin.run.account.id)
            .await
            .unwrap();
        assert_eq!(
            (read.organization, read.name.as_str()),
            (twin.tenant.id, name)
        );
    }
}

/// P1: `accounts`.
pub async fn isolation_accounts(w: World) {
    let mut f = foreign(&w).await;
    assert_eq!(
        f.view
            .accounts(&PageRequest::largest())
            .await
            .unwrap()
            .items,
        []
    );
    let (one, two) = twins(&w).await;
    for twin in [&one, &two] {
        let mut view = w.view(&twin.tenant).await;
        let listed = view.accounts(&PageRequest::largest()).await.unwrap().items;
        assert_eq!(
            listed,
            std::slice::from_ref(&twin.run.account),
            "P1: its own alone"
        );
    }
}

/// P1: `scan`.
pub async fn isolation_scan(w: World) {
    let mut f = foreign(&w).await;
    alike(f.view.scan(f.scan).await, f.missing.scan(w.id()).await);
}

/// P1: `scans`, also by another organization's account.
pub async fn isolation_scans(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        ScanFilter::default(),
        ScanFilter::default().with_account(f.account),
    ] {
        assert_eq!(
            f.view.scans(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
}

/// P1: `coverage`.
pub async fn isolation_coverage(w: World) {
    let mut f = foreign(&w).await;
    alike(
        f.view.coverage(f.scan).await,
        f.missing.coverage(w.id()).await,
    );
}

/// P1: `resources`, also by another organization's account or scan.
pub async fn isolation_resources(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        ResourceFilter::default(),
        ResourceFilter::default().with_account(f.account),
        ResourceFilter::default().with_scan(f.scan),
    ] {
        assert_eq!(
            f.view.resources(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let mut view = w.view(&twin.tenant).await;
        let filter = ResourceFilter::default().with_account(twin.run.account.id);
        let listed = view.resources(&filter, &page).await.unwrap().items;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].name.as_deref(), Some(name), "P1: its own alone");
    }
}

/// P1: `findings`, also by another organization's account or scan.
pub async fn isolation_findings(w: World) {
    let mut f = foreign(&w).await;
    let page = PageRequest::largest();
    for filter in [
        FindingFilter::default(),
        FindingFilter::default().with_account(f.account),
        FindingFilter::default().with_scan(f.scan).standing(),
    ] {
        assert_eq!(
            f.view.findings(&filter, &page).await.unwrap().items,
            [],
            "{filter:?}"
        );
    }
}

/// P1: `finding`.
pub async fn isolation_finding(w: World) {
    let mut f = foreign(&w).await;
    let key = finding("vol-1").draft.key;
    alike(
        f.view.finding(f.account, &key).await,
        f.missing.finding(w.id(), &key).await,
    );
    let (one, two) = twins(&w).await;
    for (twin, name) in [(&one, "first"), (&two, "second")] {
        let mut view = w.view(&twin.tenant).await;
        let read = view.finding(twin.run.account.id, &key).await.unwrap();
        assert_eq!(read.draft.name.as_deref(), Some(name), "P1: its own");
    }
}

/// P1: `job`.
pub async fn isolation_job(w: World) {
    let mut f = foreign(&w).await;
    alike(f.view.job(f.job).await, f.missing.job(w.id()).await);
}

/// P1: `memberships` tells a user of the user's own organizations alone.
pub async fn isolation_memberships(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let found = w.store.memberships(one.owner).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(
        found
            .iter()
            .all(|m| m.organization == one.id && m.user == one.owner)
    );
    assert!(
        found.iter().all(|m| m.organization != two.id),
        "P1: not of another's"
    );
}

/// P1: `insert_account`: ids of another organization are free, and both rows stay apart.
pub async fn isolation_insert_account(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let new = w.new_account();
    let theirs = insert(&w, &one, new.clone()).await.unwrap();
    let mine = insert(&w, &two, new).await.unwrap();
    assert_eq!(
        (mine.id, &mine.number),
        (theirs.id, &theirs.number),
        "P1: the same account"
    );
    assert_eq!(w.view(&one).await.account(theirs.id).await.unwrap(), theirs);
    assert_eq!(w.view(&two).await.account(mine.id).await.unwrap(), mine);
}

/// P1: `apply_account` reaches its own organization's row alone.
pub async fn isolation_apply_account(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.account(&one).await;
    let apply = async |id| {
        let mut unit = w.begin_accounts(&two).await;
        unit.apply_account(id, theirs.version, AccountEvent::Disconnected)
            .await
    };
    alike(apply(theirs.id).await, apply(w.id()).await);
    assert_eq!(
        w.view(&one).await.account(theirs.id).await.unwrap(),
        theirs,
        "P1: as it was"
    );

    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    w.apply(&two.tenant, &two.run.account, AccountEvent::Disconnected)
        .await;
    assert_eq!(
        everything(&w, &one).await,
        before,
        "P1: a twin's row is another row"
    );
}

/// P1: `insert_scan` finds no account of another organization.
pub async fn isolation_insert_scan(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let theirs = w.account(&one).await;
    let insert = async |account: CloudAccountId| {
        let account = trueno_core::model::CloudAccount {
            id: account,
            ..theirs.clone()
        };
        let requested = Requested {
            scan: w.id(),
            job: w.id(),
        };
        let mut unit = w.begin_scan(&two).await;
        unit.insert_scan(w.new_scan(&account, requested)).await
    };
    alike(insert(theirs.id).await, insert(w.id()).await);
}

/// P1: `enqueue` of a unit of work: another organization's ids and dedupe keys are free.
pub async fn isolation_unit_enqueue(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let job = w.job().with_dedupe_key("nightly").unwrap();
    w.enqueue(&one, job.clone()).await;
    let mut unit = w.begin_scan(&two).await;
    let id = job.id;
    assert_eq!(
        unit.enqueue(vec![job]).await.unwrap(),
        [Enqueued::Created(id)],
        "P1: free"
    );
    unit.commit(EventDraft::new("work.requested", "job", id))
        .await
        .unwrap();
    assert_eq!(w.claimable().await, [id, id], "one for each organization");
}

/// P1: `cancel_job` reaches its own organization's job alone.
pub async fn isolation_cancel_job(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let account = w.account(&one).await;
    let theirs = w.request_scan(&one, &account).await;
    let cancel = async |job| {
        let mut unit = w.begin_scan(&two).await;
        unit.cancel_job(job).await
    };
    alike(cancel(theirs.job).await, cancel(w.id()).await);
    assert_eq!(
        w.job_status(&one, theirs.job).await,
        JobStatus::Queued,
        "P1: it still waits"
    );
    assert_eq!(
        w.read_scan(&one, theirs.scan).await.status,
        ScanStatus::Queued
    );
}

/// P1: `commit` makes changes visible to its own organization alone, under its own name.
pub async fn isolation_commit(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    w.forget_staged().await;
    w.account(&one).await;
    let mut view = w.view(&two).await;
    assert_eq!(
        view.accounts(&PageRequest::largest()).await.unwrap().items,
        []
    );
    assert_eq!(
        w.staged_of(&two).await,
        [],
        "P1: nor is its history another's"
    );
    assert_eq!(w.staged_of(&one).await.len(), 2);
}

/// Runs one write of an ingest batch of the second twin, and checks that the first sees nothing.
async fn only_its_own(w: &World, write: impl AsyncFnOnce(&mut dyn Ingest)) {
    let (one, two) = twins(w).await;
    let (before, own) = (everything(w, &one).await, everything(w, &two).await);
    let mut ingest = w.store.ingest(&two.run.lease).await.unwrap();
    write(&mut *ingest).await;
    ingest.commit().await.unwrap();
    assert_eq!(
        everything(w, &one).await,
        before,
        "P1: the twin's rows are other rows"
    );
    assert_ne!(everything(w, &two).await, own, "its own rows changed");
}

/// P1: `start_scan`.
pub async fn isolation_start_scan(w: World) {
    only_its_own(&w, async |ingest| {
        ingest.start_scan(9).await.unwrap();
    })
    .await;
}

/// P1: `put_resources`.
pub async fn isolation_put_resources(w: World) {
    only_its_own(&w, async |ingest| {
        let volume = resource("ec2.volume", REGION, "vol-1");
        ingest.put_resources(vec![volume]).await.unwrap();
    })
    .await;
}

/// P1: `put_coverage`.
pub async fn isolation_put_coverage(w: World) {
    only_its_own(&w, async |ingest| {
        let denied = coverage(task("ec2.volume", REGION), CoverageStatus::Denied);
        ingest.put_coverage(vec![denied]).await.unwrap();
    })
    .await;
}

/// P1: `put_findings`.
pub async fn isolation_put_findings(w: World) {
    only_its_own(&w, async |ingest| {
        let mut upsert = finding("vol-1");
        upsert.status = FindingStatus::Open;
        ingest.put_findings(vec![upsert]).await.unwrap();
    })
    .await;
}

/// P1: `resolve_findings`.
pub async fn isolation_resolve_findings(w: World) {
    only_its_own(&w, async |ingest| {
        ingest
            .resolve_findings(vec![finding("vol-1").draft.key])
            .await
            .unwrap();
    })
    .await;
}

/// P1: `set_progress`.
pub async fn isolation_set_progress(w: World) {
    only_its_own(&w, async |ingest| {
        let progress = ScanProgress {
            tasks: 4,
            tasks_done: 4,
            resources: 99,
        };
        ingest.set_progress(progress).await.unwrap();
    })
    .await;
}

/// P1: `finish` ends its own organization's job and scan alone.
pub async fn isolation_finish(w: World) {
    let (one, two) = twins(&w).await;
    let before = everything(&w, &one).await;
    w.forget_staged().await;
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed {
        coverage_complete: true,
    });
    let event = EventDraft::new("scan.finished", "scan", two.run.scan);
    w.store
        .finish(&two.run.lease, outcome, event)
        .await
        .unwrap();
    assert_eq!(everything(&w, &one).await, before, "P1: the twin runs on");
    assert_eq!(
        w.read_scan(&two.tenant, two.run.scan).await.status,
        ScanStatus::Succeeded
    );
    assert_eq!(
        w.staged_of(&one.tenant).await,
        [],
        "P1: nor is its history another's"
    );
    assert_eq!(w.actions_of(&two.tenant).await, ["scan.finished"]);
}
