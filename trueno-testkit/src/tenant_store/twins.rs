//! What the isolation cases start from.

use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{CloudAccountId, JobId, ScanId};
use trueno_core::model::{CoverageStatus, EventDraft, NewCloudAccount};
use trueno_core::port::{
    Enqueued, FindingFilter, PageRequest, ReadView, ResourceFilter, ScanFilter,
};

use super::World;
use crate::fixtures::{
    Requested, RunningScan, SCAN_KIND, Tenant, coverage, finding, resource, task,
};
use crate::suite::refused;

/// Where the twins' resources are.
pub(super) const REGION: &str = "eu-west-1";

/// One of two organizations that share every id.
pub(super) struct Twin {
    pub(super) tenant: Tenant,
    pub(super) run: RunningScan,
}

/// Two organizations with an account, a running scan, coverage, a resource and a finding each,
/// under the same ids and keys.
pub(super) async fn twins(w: &World) -> (Twin, Twin) {
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

pub(super) async fn insert(
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
pub(super) async fn everything(w: &World, twin: &Twin) -> String {
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
pub(super) struct Foreign {
    pub(super) account: CloudAccountId,
    pub(super) scan: ScanId,
    pub(super) job: JobId,
    pub(super) view: Box<dyn ReadView>,
    pub(super) missing: Box<dyn ReadView>,
}

pub(super) async fn foreign(w: &World) -> Foreign {
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
pub(super) fn alike<T, U>(foreign: Result<T>, missing: Result<U>) {
    let foreign = refused(foreign, ErrorKind::NotFound, "P1: another organization's");
    let missing = refused(missing, ErrorKind::NotFound, "what is not there");
    assert_eq!(
        foreign.to_string(),
        missing.to_string(),
        "P1: existence is not told"
    );
    assert_eq!(foreign.code(), missing.code(), "P1: existence is not told");
}
