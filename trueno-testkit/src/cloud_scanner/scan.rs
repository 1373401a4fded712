//! Reading an account.

use std::collections::{BTreeMap, BTreeSet};

use trueno_core::model::{CoverageStatus, TaskKey};

use super::World;
use super::world::{Read, read, resources, task_named, to_read};
use trueno_core::error::ErrorKind;
use trueno_core::port::ScanPlan;

async fn read_everything(w: &World, plan: &ScanPlan) -> Vec<(TaskKey, Read)> {
    let session = w.open(plan).await;
    let session = &*session;
    let reads = to_read(plan)
        .into_iter()
        .map(|task| async move { (task.key.clone(), read(session, task, None).await) });
    futures::future::join_all(reads).await
}

/// P8: a scan finds every resource of what can be read, each once, also when it reads all of its
/// tasks at the same time.
pub async fn every_resource_is_found_once(w: World) {
    let plan = w.plan().await;
    let mut found = Vec::new();
    for (_, read) in read_everything(&w, &plan).await {
        if read.error.is_none() {
            found.extend(resources(&read.pages));
        }
    }
    let wanted: BTreeSet<_> = w.expected.resources.iter().cloned().collect();
    let distinct: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "a resource came twice");
    assert_eq!(
        distinct, wanted,
        "P8: nothing is left out in silence, and nothing made up"
    );
}

/// P8: every task ends in a last page or in one error, of the kind that it has to be reported as.
pub async fn every_task_ends_in_a_last_page_or_an_error(w: World) {
    let plan = w.plan().await;
    let failing: BTreeMap<_, _> = w.expected.failing.iter().cloned().collect();
    for (key, read) in read_everything(&w, &plan).await {
        match (&read.error, failing.get(&key)) {
            (None, None) => {
                let last = read
                    .pages
                    .last()
                    .unwrap_or_else(|| panic!("P8: {key:?} has no page"));
                assert_eq!(last.checkpoint, None, "P8: {key:?} ends in the middle");
                let requests: u64 = read.pages.iter().map(|page| page.requests).sum();
                assert!(requests > 0, "{key:?}: a page takes a request");
            }
            (Some(ended), Some(kind)) => {
                assert_eq!(ended.error.kind(), *kind, "P8: {key:?}: {:?}", ended.error);
                let status = CoverageStatus::from_error(*kind);
                assert!(!status.is_complete(), "P8: {key:?} is reported as {status}");
            }
            (ended, expected) => panic!("P8: {key:?} ended with {ended:?}, not {expected:?}"),
        }
        let before_the_end = read.pages.iter().rev().skip(1);
        for page in before_the_end {
            assert!(
                page.checkpoint.is_some(),
                "{key:?}: a page before the last says where to go on"
            );
        }
    }
}

/// Resources belong to their task's kind and region.
pub async fn resources_belong_to_their_task(w: World) {
    let plan = w.plan().await;
    for (key, read) in read_everything(&w, &plan).await {
        for at in resources(&read.pages) {
            assert_eq!(
                (&at.kind, &at.region),
                (&key.kind, &key.region),
                "{}",
                at.native_id
            );
            assert!(
                !at.native_id.is_empty(),
                "{key:?}: a resource has a name of the provider's"
            );
        }
    }
}

/// A scan goes on from any page's checkpoint, also in a new session, and reads the rest: nothing
/// twice, nothing left out.
pub async fn a_scan_goes_on_from_a_checkpoint(w: World) {
    let plan = w.plan().await;
    let task = task_named(&plan, &w.expected.paged);
    let whole = read(&*w.open(&plan).await, task, None).await;
    assert!(
        whole.error.is_none() && whole.pages.len() >= 2,
        "the harness has a task of two pages"
    );
    for (nth, page) in whole.pages.iter().enumerate() {
        let Some(checkpoint) = page.checkpoint.clone() else {
            continue;
        };
        let session = w.open(&plan).await;
        let rest = read(&*session, task, Some(checkpoint)).await;
        assert!(rest.error.is_none(), "from page {nth}: {:?}", rest.error);
        let (seen, to_come) = whole.pages.split_at(nth + 1);
        assert_eq!(
            resources(&rest.pages),
            resources(to_come),
            "the rest after page {nth}"
        );
        let seen: BTreeSet<_> = resources(seen).into_iter().collect();
        let again = resources(&rest.pages)
            .into_iter()
            .find(|at| seen.contains(at));
        assert_eq!(again, None, "read twice after page {nth}");
    }
}

/// A checkpoint that the provider does not know is refused, so that the task is begun anew.
pub async fn an_unknown_checkpoint_is_refused(w: World) {
    let plan = w.plan().await;
    let task = task_named(&plan, &w.expected.paged);
    let session = w.open(&plan).await;
    let kind = match session
        .scan(task, Some("no such checkpoint".to_owned()))
        .await
    {
        Err(error) => error.kind(),
        Ok(mut stream) => match futures::StreamExt::next(&mut stream).await {
            Some(Err(ended)) => ended.error.kind(),
            page => panic!("P8: a made-up checkpoint was taken for a real one: {page:?}"),
        },
    };
    assert_eq!(kind, ErrorKind::InvalidInput, "begin anew");
}

/// A stream may be dropped at any point; the session goes on.
pub async fn a_stream_may_be_dropped(w: World) {
    let plan = w.plan().await;
    let task = task_named(&plan, &w.expected.paged);
    let session = w.open(&plan).await;
    for polls in 0..4 {
        drop(crate::suite::dropped_after(polls, session.scan(task, None)).await);
        let mut stream = session.scan(task, None).await.unwrap();
        let first = futures::StreamExt::next(&mut stream);
        drop(crate::suite::dropped_after(polls, first).await);
        drop(stream);
    }
    let whole = read(&*session, task, None).await;
    assert!(
        whole.error.is_none() && whole.pages.len() >= 2,
        "{:?}",
        whole.error
    );
}
