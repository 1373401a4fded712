//! What is there and what is gone: nothing is gone but by a complete look (P8).

use trueno_core::error::Result;
use trueno_core::model::{CloudAccount, Coverage, CoverageStatus, Resource, ResourceRecord};
use trueno_core::port::{Ingest, PageRequest, ResourceFilter};

use super::World;
use crate::fixtures::{RunningScan, Tenant, coverage, resource, task};
use crate::suite::near;

const KIND: &str = "ec2.volume";
const AT: &str = "eu-west-1";

fn volume(native_id: &str) -> Resource {
    resource(KIND, AT, native_id)
}

/// Puts volumes, and says how far the look at volumes got.
async fn look(ingest: &mut dyn Ingest, seen: &[&str], status: CoverageStatus) -> Result<()> {
    let seen: Vec<_> = seen.iter().map(|id| volume(id)).collect();
    ingest.put_resources(seen).await?;
    let read = coverage(task(KIND, AT), status);
    ingest.put_coverage(vec![read]).await
}

/// A whole scan that looks at the volumes and sees these.
async fn scan(
    w: &World,
    tenant: &Tenant,
    account: &CloudAccount,
    seen: &[&str],
    status: CoverageStatus,
) -> RunningScan {
    let run = w.running_scan_of(tenant, account.clone()).await;
    w.ingest(&run.lease, async |ingest| look(ingest, seen, status).await)
        .await
        .unwrap();
    w.complete(&run).await;
    run
}

async fn list(w: &World, tenant: &Tenant, filter: ResourceFilter) -> Vec<ResourceRecord> {
    let mut view = w.view(tenant).await;
    let page = view.resources(&filter, &PageRequest::largest()).await;
    page.unwrap().items
}

fn ids(records: &[ResourceRecord]) -> Vec<&str> {
    records
        .iter()
        .map(|record| &*record.resource.reference.native_id)
        .collect()
}

/// Checks which volumes are there, and which are gone.
async fn assert_there(w: &World, tenant: &Tenant, there: &[&str], gone: &[&str], what: &str) {
    let found = list(w, tenant, ResourceFilter::default()).await;
    assert_eq!(ids(&found), there, "there: {what}");
    assert!(found.iter().all(|record| record.gone_at.is_none()));
    let found = list(w, tenant, ResourceFilter::default().gone()).await;
    assert_eq!(ids(&found), gone, "gone: {what}");
    assert!(found.iter().all(|record| record.gone_at.is_some()));
}

/// A resource says which scan saw it last, and since when it is known.
pub async fn a_resource_says_who_saw_it_and_when(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let before = w.now().await;
    let first = scan(&w, &tenant, &account, &["vol-1"], CoverageStatus::Complete).await;
    let after = w.now().await;
    let record = list(&w, &tenant, ResourceFilter::default()).await.remove(0);
    assert_eq!((record.account, record.last_scan), (account.id, first.scan));
    assert_eq!((&record.resource, record.gone_at), (&volume("vol-1"), None));
    near(
        record.first_seen_at,
        before,
        after,
        "when it was seen first",
    );
    near(record.last_seen_at, before, after, "when it was seen last");

    let second = w.running_scan_of(&tenant, account.clone()).await;
    let mut changed = volume("vol-1");
    changed.tags.clear();
    changed.attributes = serde_json::json!(["something", "else"]);
    w.ingest(&second.lease, async |ingest| {
        ingest.put_resources(vec![changed.clone()]).await
    })
    .await
    .unwrap();
    let again = list(&w, &tenant, ResourceFilter::default()).await.remove(0);
    assert_eq!((&again.resource, again.last_scan), (&changed, second.scan));
    assert_eq!(again.first_seen_at, record.first_seen_at, "it is known");
    near(again.last_seen_at, before, w.now().await, "seen last");
    assert!(again.last_seen_at >= record.last_seen_at);
}

/// What a complete look no longer saw is gone from then on: known, but not there.
pub async fn what_a_complete_look_no_longer_saw_is_gone(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let complete = CoverageStatus::Complete;
    let first = scan(&w, &tenant, &account, &["vol-1", "vol-2"], complete).await;
    assert_there(&w, &tenant, &["vol-1", "vol-2"], &[], "both were seen").await;
    let before = w.now().await;
    scan(&w, &tenant, &account, &["vol-1", "vol-3"], complete).await;
    let after = w.now().await;
    assert_there(&w, &tenant, &["vol-1", "vol-3"], &["vol-2"], "one was not").await;
    let gone = list(&w, &tenant, ResourceFilter::default().gone()).await;
    assert_eq!(gone[0].last_scan, first.scan, "who saw it last");
    assert_eq!(gone[0].resource, volume("vol-2"), "what was seen of it");
    near(gone[0].gone_at.unwrap(), before, after, "since when");
    scan(&w, &tenant, &account, &[], complete).await;
    let later = list(&w, &tenant, ResourceFilter::default().gone()).await;
    assert_eq!(ids(&later), ["vol-1", "vol-2", "vol-3"]);
    assert_eq!(later[1], gone[0], "it was gone before");
}

/// P8: a look that is not complete makes nothing gone, whatever ended it.
pub async fn an_incomplete_look_makes_nothing_gone(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let all = ["vol-1", "vol-2"];
    scan(&w, &tenant, &account, &all, CoverageStatus::Complete).await;
    for status in CoverageStatus::ALL.iter().filter(|s| !s.is_complete()) {
        scan(&w, &tenant, &account, &["vol-1"], *status).await;
        assert_there(&w, &tenant, &all, &[], &format!("P8: {status}")).await;
        scan(&w, &tenant, &account, &[], *status).await;
        assert_there(&w, &tenant, &all, &[], &format!("P8: {status}")).await;
    }
}

/// Where a region is not enabled nothing can be there.
pub async fn in_a_region_that_is_not_enabled_nothing_is_there(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let complete = CoverageStatus::Complete;
    scan(&w, &tenant, &account, &["vol-1"], complete).await;
    scan(&w, &tenant, &account, &[], CoverageStatus::NotEnabled).await;
    assert_there(&w, &tenant, &[], &["vol-1"], "the region was disabled").await;
}

/// A complete look speaks of its own account, kind and region alone.
pub async fn a_complete_look_speaks_of_its_task_alone(w: World) {
    let tenant = w.organization().await;
    let (account, other) = (w.account(&tenant).await, w.account(&tenant).await);
    for account in [&account, &other] {
        let run = w.running_scan_of(&tenant, account.clone()).await;
        let seen = vec![
            volume("vol-1"),
            resource("ec2.image", AT, "ami-1"),
            resource(KIND, "us-east-1", "vol-1"),
            // Text that would match if one column ran into the next.
            resource("ec2.volumee", "u-west-1", "vol-1"),
        ];
        w.ingest(&run.lease, async |ingest| ingest.put_resources(seen).await)
            .await
            .unwrap();
        w.complete(&run).await;
    }
    scan(&w, &tenant, &account, &[], CoverageStatus::Complete).await;
    let there = list(&w, &tenant, ResourceFilter::default()).await;
    assert_eq!(there.len(), 7, "one of eight is gone");
    let gone = list(&w, &tenant, ResourceFilter::default().gone()).await;
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].account, &gone[0].resource),
        (account.id, &volume("vol-1"))
    );
}

/// What was gone and is seen again is there again: the same one, not a new one.
pub async fn what_comes_back_is_the_same(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let complete = CoverageStatus::Complete;
    scan(&w, &tenant, &account, &["vol-1"], complete).await;
    let first = list(&w, &tenant, ResourceFilter::default()).await.remove(0);
    scan(&w, &tenant, &account, &[], complete).await;
    assert_there(&w, &tenant, &[], &["vol-1"], "it is gone").await;
    let third = scan(&w, &tenant, &account, &["vol-1"], CoverageStatus::Denied).await;
    assert_there(&w, &tenant, &["vol-1"], &[], "it is back").await;
    let back = list(&w, &tenant, ResourceFilter::default()).await.remove(0);
    assert_eq!(
        (back.last_scan, back.first_seen_at, back.gone_at),
        (third.scan, first.first_seen_at, None)
    );
    scan(&w, &tenant, &account, &[], complete).await;
    assert_there(&w, &tenant, &[], &["vol-1"], "it is gone again").await;
}

/// A second attempt that goes on from a checkpoint reads the rest alone: what the first attempt saw
/// was seen by the same scan, and stays.
pub async fn a_second_attempt_keeps_what_the_first_saw(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let all = ["vol-1", "vol-2", "vol-3", "vol-4"];
    scan(&w, &tenant, &account, &all, CoverageStatus::Complete).await;
    let mut run = w.running_scan_of(&tenant, account.clone()).await;
    w.ingest(&run.lease, async |ingest| {
        let page = vec![volume("vol-1"), volume("vol-5")];
        ingest.put_resources(page).await?;
        let reading = Coverage {
            checkpoint: Some("page 2".to_owned()),
            ..coverage(task(KIND, AT), CoverageStatus::Reading)
        };
        ingest.put_coverage(vec![reading]).await
    })
    .await
    .unwrap();
    run.lease = w.take_over().await;
    w.start(&run.lease, 4).await;
    let complete = CoverageStatus::Complete;
    w.ingest(&run.lease, async |ingest| {
        look(ingest, &["vol-2"], complete).await
    })
    .await
    .unwrap();
    w.complete(&run).await;
    let there = ["vol-1", "vol-2", "vol-5"];
    let gone = ["vol-3", "vol-4"];
    assert_there(&w, &tenant, &there, &gone, "both attempts' pages").await;
    let seen = ResourceFilter::default().with_scan(run.scan);
    assert_eq!(ids(&list(&w, &tenant, seen).await), there);
}

/// A resource that is as it was belongs to the scan that saw it last all the same: by scan, what a
/// scan saw is listed as a whole, be it changed, unchanged or new.
pub async fn what_did_not_change_belongs_to_the_latest_scan(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let complete = CoverageStatus::Complete;
    let all = ["vol-1", "vol-2", "vol-3"];
    let first = scan(&w, &tenant, &account, &all, complete).await;
    let by = |run: &RunningScan| ResourceFilter::default().with_scan(run.scan);
    assert_eq!(ids(&list(&w, &tenant, by(&first)).await), all);
    let second = w.running_scan_of(&tenant, account.clone()).await;
    // Before the scan ends as well: its checks read what it saw so far.
    w.ingest(&second.lease, async |ingest| {
        let mut changed = volume("vol-2");
        changed.name = None;
        let seen = vec![volume("vol-1"), changed, volume("vol-4")];
        ingest.put_resources(seen).await
    })
    .await
    .unwrap();
    let seen = ["vol-1", "vol-2", "vol-4"];
    let found = list(&w, &tenant, by(&second)).await;
    assert_eq!(ids(&found), seen, "what it saw");
    assert!(found.iter().all(|record| record.last_scan == second.scan));
    assert_eq!(ids(&list(&w, &tenant, by(&first)).await), ["vol-3"]);
    let read = coverage(task(KIND, AT), complete);
    w.ingest(&second.lease, async |ingest| {
        ingest.put_coverage(vec![read]).await
    })
    .await
    .unwrap();
    w.complete(&second).await;
    assert_eq!(ids(&list(&w, &tenant, by(&second)).await), seen);
    assert_eq!(ids(&list(&w, &tenant, by(&first)).await), [] as [&str; 0]);
    let gone = list(&w, &tenant, by(&first).gone()).await;
    assert_eq!(ids(&gone), ["vol-3"], "it saw it last, and it is gone");
}

/// P2: a batch that is given up makes nothing gone, and nothing come back.
pub async fn a_dropped_batch_makes_nothing_gone(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let complete = CoverageStatus::Complete;
    scan(&w, &tenant, &account, &["vol-1", "vol-2"], complete).await;
    scan(&w, &tenant, &account, &["vol-1"], complete).await;
    let run = w.running_scan_of(&tenant, account.clone()).await;
    let mut ingest = w.store.ingest(&run.lease).await.unwrap();
    look(&mut *ingest, &["vol-2"], complete).await.unwrap();
    drop(ingest);
    assert_there(&w, &tenant, &["vol-1"], &["vol-2"], "P2: as it was").await;
    w.ingest(&run.lease, async |ingest| {
        look(ingest, &["vol-2"], complete).await
    })
    .await
    .unwrap();
    assert_there(&w, &tenant, &["vol-2"], &["vol-1"], "then it is applied").await;
}
