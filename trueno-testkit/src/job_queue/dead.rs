//! What is left of jobs: dead letters, errors, results, and how long they stay.

use std::time::Duration;

use serde_json::json;
use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::id::JobId;
use trueno_core::model::{EventDraft, Job, JobKind, JobStatus, NewJob, Role};
use trueno_core::port::{
    FinishOutcome, Finished, JobFilter, JobOutcome, LeaseRef, PageRequest, SettleOutcome,
    Settlement,
};
use trueno_core::runtime::jobs;

use super::World;
use crate::fixtures::Tenant;
use crate::suite::refused;

fn failed(error: &str) -> JobOutcome {
    JobOutcome::Failed {
        error: error.to_owned(),
        retryable: true,
        retry_after: Duration::ZERO,
    }
}

async fn settle(w: &World, lease: LeaseRef, outcome: JobOutcome) -> SettleOutcome {
    let settlements = vec![Settlement { lease, outcome }];
    w.queue.settle(settlements).await.unwrap()[0]
}

/// A dead job, and the lease that it died under.
async fn dead(w: &World, tenant: &Tenant, job: NewJob) -> (JobId, LeaseRef) {
    let mut request = w.claim_request(1);
    request.kinds = vec![job.kind.clone()];
    let job = w.enqueue(tenant, job.with_max_attempts(1).unwrap()).await;
    let lease = w.queue.claim(&request).await.unwrap()[0].lease;
    let settled = settle(w, lease, failed("it broke")).await;
    assert_eq!(settled, SettleOutcome::Settled(JobStatus::Dead));
    (job, lease)
}

async fn list(w: &World, tenant: &Tenant, filter: &JobFilter, limit: usize) -> Vec<JobId> {
    let mut view = w.view(tenant).await;
    let mut page = PageRequest::first(limit).unwrap();
    let mut found = Vec::new();
    loop {
        let jobs = view.jobs(filter, &page).await.unwrap();
        assert!(jobs.items.len() <= limit);
        found.extend(jobs.items.iter().map(|job| job.id));
        let Some(next) = jobs.next else {
            return found;
        };
        page = PageRequest::first(limit).unwrap().after(Some(next));
    }
}

fn errors(job: &Job) -> Vec<&str> {
    job.errors
        .iter()
        .map(|error| error.error.as_str())
        .collect()
}

/// A dead job begins anew with all its attempts, and is held under a new token; history says who let
/// it. What it failed of stays.
pub async fn a_dead_job_begins_anew(w: World) {
    let tenant = w.organization().await;
    let (job, old) = dead(&w, &tenant, w.job()).await;
    w.forget_staged().await;
    let redriven = jobs::redrive(&*w.store, &tenant.scan, job).await.unwrap();
    assert_eq!((redriven.id, redriven.status), (job, JobStatus::Queued));
    assert_eq!((redriven.failed_attempts, redriven.finished_at), (0, None));
    assert_eq!(errors(&redriven), ["it broke"]);
    assert_eq!(w.actions_of(&tenant).await, ["job.redriven"]);
    assert_eq!(w.read_job(&tenant, job).await, redriven);

    let late = settle(&w, old, JobOutcome::Succeeded).await;
    assert_eq!(late, SettleOutcome::Stale, "P3: what it died under is over");
    let lease = w.claim_one().await;
    let claimed = (lease.reference().job, lease.claim().failed_attempts);
    assert_eq!(claimed, (job, 0));
    assert_eq!(w.queue.stats().await.unwrap().running, 1);
    let settled = settle(&w, lease.reference(), failed("again")).await;
    assert_eq!(settled, SettleOutcome::Settled(JobStatus::Dead));
    let seen = w.read_job(&tenant, job).await;
    assert_eq!(errors(&seen), ["it broke", "again"], "the oldest first");
    assert_eq!(seen.last_error(), Some("again"));
}

/// A dead job that is discarded is cancelled for good, and keeps its errors.
pub async fn a_discarded_job_is_cancelled(w: World) {
    let tenant = w.organization().await;
    let (job, old) = dead(&w, &tenant, w.job()).await;
    w.forget_staged().await;
    let discarded = jobs::discard(&*w.store, &tenant.scan, job).await.unwrap();
    assert_eq!(discarded.status, JobStatus::Cancelled);
    assert_eq!(errors(&discarded), ["it broke"]);
    assert_eq!(w.actions_of(&tenant).await, ["job.discarded"]);
    assert_eq!(w.claimable().await, []);
    let again = settle(&w, old, JobOutcome::Succeeded).await;
    assert_eq!(again, SettleOutcome::AlreadySettled);
    let dead = JobFilter::default().with_status(JobStatus::Dead);
    assert_eq!(list(&w, &tenant, &dead, 10).await, []);
}

/// Only what is dead is let begin anew or discarded; a refusal changes nothing.
pub async fn only_the_dead_are_redriven_or_discarded(w: World) {
    let tenant = w.organization().await;
    let done = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    settle(&w, lease, JobOutcome::Succeeded).await;
    let running = w.enqueue(&tenant, w.job()).await;
    w.claim_one().await;
    let waiting = w.enqueue(&tenant, w.job()).await;
    w.forget_staged().await;
    for job in [done, running, waiting] {
        let before = w.read_job(&tenant, job).await;
        let redriven = jobs::redrive(&*w.store, &tenant.scan, job).await;
        refused(redriven, ErrorKind::InvalidTransition, "it is not dead");
        let discarded = jobs::discard(&*w.store, &tenant.scan, job).await;
        refused(discarded, ErrorKind::InvalidTransition, "it is not dead");
        assert_eq!(w.read_job(&tenant, job).await, before);
    }
    let redriven = jobs::redrive(&*w.store, &tenant.scan, w.id()).await;
    refused(redriven, ErrorKind::NotFound, "there is no such job");
    assert_eq!(w.staged_of(&tenant).await, []);
}

/// While a live job has its dedupe key, a dead one does not begin anew; afterwards it does.
pub async fn a_dead_job_waits_for_its_dedupe_key(w: World) {
    let tenant = w.organization().await;
    let with_key = || w.job().with_dedupe_key("one at a time").unwrap();
    let (job, _) = dead(&w, &tenant, with_key()).await;
    w.enqueue(&tenant, with_key()).await;
    let redriven = jobs::redrive(&*w.store, &tenant.scan, job).await;
    refused(redriven, ErrorKind::Conflict, "something is in its way");
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Dead);
    let other = w.claim_one().await.reference();
    settle(&w, other, JobOutcome::Succeeded).await;
    jobs::redrive(&*w.store, &tenant.scan, job).await.unwrap();
    assert_eq!(w.claim_one().await.reference().job, job);
}

/// A job whose scan ended with it does not begin anew: the scan has an end already.
pub async fn a_dead_job_of_a_scan_is_not_redriven(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let outcome = JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable: false,
        retry_after: Duration::ZERO,
    };
    let lease = run.lease.reference();
    assert_eq!(
        settle(&w, lease, outcome).await,
        SettleOutcome::Settled(JobStatus::Dead)
    );
    let redriven = jobs::redrive(&*w.store, &tenant.scan, lease.job).await;
    refused(redriven, ErrorKind::Conflict, "something is in its way");
    let discarded = jobs::discard(&*w.store, &tenant.scan, lease.job).await;
    assert_eq!(discarded.unwrap().status, JobStatus::Cancelled);
}

/// Dead letters are for members who may scan.
pub async fn dead_letters_need_a_role(w: World) {
    let tenant = w.organization().await;
    let (job, _) = dead(&w, &tenant, w.job()).await;
    let viewer = w.member(&tenant, Role::Viewer).await;
    let scope = w.scope(&tenant, viewer, Action::Read).await;
    let redriven = jobs::redrive(&*w.store, &scope, job).await;
    refused(redriven, ErrorKind::Denied, "a viewer looks on");
    let discarded = jobs::discard(&*w.store, &scope, job).await;
    refused(discarded, ErrorKind::Denied, "a viewer looks on");
    let read = w.store.read(&scope).await.unwrap().job(job).await.unwrap();
    assert_eq!(read.status, JobStatus::Dead, "everybody reads them");
}

/// Jobs are listed oldest first, live and finished ones, by status and by kind, page by page.
pub async fn jobs_are_listed(w: World) {
    let (tenant, other) = (w.organization().await, w.organization().await);
    let (first, _) = dead(&w, &tenant, w.job()).await;
    let (second, _) = dead(&w, &tenant, w.job_of_kind("other")).await;
    dead(&w, &other, w.job()).await;
    let third = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    settle(&w, lease, JobOutcome::Succeeded).await;
    let fourth = w.enqueue(&tenant, w.job()).await;
    let all = [first, second, third, fourth];
    let every = JobFilter::default();
    for limit in [1, 2, 3, 10] {
        assert_eq!(
            list(&w, &tenant, &every, limit).await,
            all,
            "{limit} a page"
        );
    }
    let dead = every.clone().with_status(JobStatus::Dead);
    assert_eq!(list(&w, &tenant, &dead, 1).await, [first, second]);
    let kind: JobKind = "other".parse().unwrap();
    assert_eq!(
        list(&w, &tenant, &dead.with_kind(kind.clone()), 1).await,
        [second]
    );
    assert_eq!(
        list(&w, &tenant, &every.clone().with_kind(kind), 9).await,
        [second]
    );
    let queued = every.clone().with_status(JobStatus::Queued);
    assert_eq!(list(&w, &tenant, &queued, 9).await, [fourth]);
    let succeeded = every.with_status(JobStatus::Succeeded);
    assert_eq!(list(&w, &tenant, &succeeded, 9).await, [third]);
}

/// The latest errors are kept, as many as [`Job::MAX_ERRORS`].
pub async fn the_latest_errors_are_kept(w: World) {
    let tenant = w.organization().await;
    let attempts = Job::MAX_ERRORS + 2;
    let job = w.job().with_max_attempts(100).unwrap();
    let job = w.enqueue(&tenant, job).await;
    for nth in 0..attempts {
        let lease = w.claim_one().await.reference();
        settle(&w, lease, failed(&format!("error {nth}"))).await;
    }
    let seen = w.read_job(&tenant, job).await;
    let latest: Vec<String> = (2..attempts).map(|nth| format!("error {nth}")).collect();
    assert_eq!(errors(&seen), latest);
    let times: Vec<_> = seen.errors.iter().map(|error| error.at).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(*times.last().unwrap() <= w.now().await);
}

/// What a handler leaves with its success is there to be read; one that failed leaves nothing.
pub async fn a_result_is_kept(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let left = json!({"rows": 3, "why": ["ü", null]});
    let event = || EventDraft::new("work.done", "job", job);
    let large = "x".repeat(64 * 1024);
    for bad in [json!(large), json!("a\0b")] {
        let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_result(bad);
        let finished = w.store.finish(&lease, outcome, event()).await;
        refused(finished, ErrorKind::InvalidInput, "it breaks a rule");
    }
    let failure = FinishOutcome::new(failed("it broke")).with_result(left.clone());
    let finished = w.store.finish(&lease, failure, event()).await;
    refused(finished, ErrorKind::InvalidInput, "it breaks a rule");
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_result(left.clone());
    let finished = w.store.finish(&lease, outcome, event()).await.unwrap();
    assert!(matches!(finished, Finished::Applied { .. }));
    assert_eq!(w.read_job(&tenant, job).await.result, Some(left));
}

/// What ended long ago is forgotten, a limited number at a time; dead letters and what is live stay.
pub async fn what_ended_long_ago_is_forgotten(w: World) {
    const AGE: Duration = Duration::from_secs(7_200);
    let (tenant, other) = (w.organization().await, w.organization().await);
    let (letter, _) = dead(&w, &tenant, w.job()).await;
    let mut old = Vec::new();
    for tenant in [&tenant, &tenant, &other] {
        old.push(w.enqueue(tenant, w.job()).await);
        let lease = w.claim_one().await.reference();
        settle(&w, lease, JobOutcome::Succeeded).await;
    }
    w.advance(Duration::from_secs(3_600)).await;
    let young = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    settle(&w, lease, JobOutcome::Succeeded).await;
    let later = w.now().await + Duration::from_secs(24 * 3_600);
    let live = w.enqueue(&tenant, w.job().with_run_at(later)).await;
    assert_eq!(w.queue.forget_finished(AGE, 10).await.unwrap(), 0);
    w.advance(Duration::from_secs(3_700)).await;

    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(w.queue.forget_finished(AGE, 2).await.unwrap());
    }
    assert_eq!(counts, [2, 1, 0]);
    let left = list(&w, &tenant, &JobFilter::default(), 10).await;
    assert_eq!(left, [letter, young, live]);
    assert_eq!(list(&w, &other, &JobFilter::default(), 10).await, []);
    let gone = w.view(&tenant).await.job(old[0]).await;
    refused(gone, ErrorKind::NotFound, "there is no such job");

    let soon = w.queue.forget_finished(Duration::from_secs(3_599), 1).await;
    refused(soon, ErrorKind::InvalidInput, "it breaks a rule");
    let none = w.queue.forget_finished(AGE, 0).await;
    refused(none, ErrorKind::InvalidInput, "it breaks a rule");
}
