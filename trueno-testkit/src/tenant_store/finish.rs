//! Finishing: the end of a job, its scan, what follows and the event, together (P2).

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::{Actor, EventDraft, JobStatus, ScanStatus};
use trueno_core::port::{
    Enqueued, FinishOutcome, Finished, JobOutcome, Lease, SettleOutcome, Settlement,
};
use trueno_core::state::scan::ScanEvent;

use super::World;
use crate::fixtures::{SCAN_KIND, Tenant};
use crate::suite::{near, refused};

fn completed(coverage_complete: bool) -> FinishOutcome {
    FinishOutcome::new(JobOutcome::Succeeded).with_scan(ScanEvent::Completed { coverage_complete })
}

fn failed(retryable: bool, retry_after: u64) -> FinishOutcome {
    FinishOutcome::new(JobOutcome::Failed {
        error: "the provider throttled".to_owned(),
        retryable,
        retry_after: Duration::from_secs(retry_after),
    })
}

fn event() -> EventDraft {
    EventDraft::new("scan.finished", "scan", "the one")
}

fn applied(job: JobStatus) -> Finished {
    Finished::Applied {
        job,
        next: Vec::new(),
    }
}

async fn finish(w: &World, lease: &Lease, outcome: FinishOutcome) -> Finished {
    w.store.finish(lease, outcome, event()).await.unwrap()
}

async fn finish_events(w: &World, tenant: &Tenant) -> usize {
    w.actions_of(tenant)
        .await
        .iter()
        .filter(|action| *action == "scan.finished")
        .count()
}

/// P2: a success ends job and scan, enqueues what follows and stages the event, under the name of
/// the processor.
pub async fn a_success_ends_everything_together(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    w.forget_staged().await;
    let keyed = |key| w.job().with_dedupe_key(key).unwrap();
    let live = w
        .enqueue(&tenant, keyed("live").with_run_at(later(&w).await))
        .await;
    let next = vec![w.job(), keyed("live"), keyed("new")];
    let wanted = vec![
        Enqueued::Created(next[0].id),
        Enqueued::Duplicate(live),
        Enqueued::Created(next[2].id),
    ];
    let due = [next[0].id, next[2].id];
    let before = w.now().await;
    let draft = event()
        .with_detail("digest", "00ff")
        .with_target("account", run.account.id);
    let outcome = completed(true).with_next(next);
    let answer = w
        .store
        .finish(&run.lease, outcome, draft.clone())
        .await
        .unwrap();
    let after = w.now().await;
    assert_eq!(
        answer,
        Finished::Applied {
            job: JobStatus::Succeeded,
            next: wanted
        }
    );

    let job = w.read_job(&tenant, run.job).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Succeeded, 0));
    near(
        job.finished_at.unwrap(),
        before,
        after,
        "when the job ended",
    );
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        (scan.status, scan.error.as_deref()),
        (ScanStatus::Succeeded, None)
    );
    near(
        scan.finished_at.unwrap(),
        before,
        after,
        "when the scan ended",
    );
    assert_eq!(w.claimable().await, due, "P2: what follows can be claimed");

    let staged = w.staged_of(&tenant).await;
    assert_eq!(staged.len(), 1, "P2: one end, one event");
    assert_eq!(
        staged[0].actor,
        Actor::Processor { job: run.job },
        "the processor of the job"
    );
    assert_eq!(
        (staged[0].action.as_str(), &staged[0].targets),
        (draft.action, &draft.targets)
    );
    assert_eq!(staged[0].details, draft.details);
    near(staged[0].occurred_at, before, after, "when it happened");
}

/// P8: a scan that could not read everything ends partial.
pub async fn an_incomplete_look_ends_partial(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    assert_eq!(
        finish(&w, &run.lease, completed(false)).await,
        applied(JobStatus::Succeeded)
    );
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Partial,
        "P8: no success without a complete look"
    );
}

/// A failed attempt with another one left keeps the scan running, and comes again after its wait.
/// What was to follow a success does not follow.
pub async fn a_failed_attempt_keeps_the_scan_running(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let outcome = failed(true, 60)
        .with_scan(ScanEvent::Completed {
            coverage_complete: true,
        })
        .with_next(vec![w.job()]);
    assert_eq!(
        finish(&w, &run.lease, outcome).await,
        applied(JobStatus::Failed)
    );
    assert_eq!(
        finish_events(&w, &tenant).await,
        1,
        "P2: the event is staged with it"
    );
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(
        (scan.status, scan.finished_at),
        (ScanStatus::Running, None),
        "the scan goes on"
    );
    let job = w.read_job(&tenant, run.job).await;
    assert_eq!((job.failed_attempts, job.lost_leases), (1, 0));
    assert_eq!(job.last_error(), Some("the provider throttled"));

    w.advance(Duration::from_secs(30)).await;
    assert_eq!(
        w.claimable().await,
        [],
        "neither before its wait is over, nor what was to follow"
    );
    w.advance(Duration::from_secs(31)).await;
    let again = w.claim_one().await;
    assert_eq!(
        (again.reference().job, again.claim().failed_attempts),
        (run.job, 1)
    );
    w.start(&again, 4).await;
    assert_eq!(
        finish(&w, &again, completed(true)).await,
        applied(JobStatus::Succeeded)
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Succeeded
    );
}

/// The last failure leaves the job dead and the scan failed, with the reason.
pub async fn the_last_failure_fails_the_scan(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let job = w.job_of_kind(SCAN_KIND).with_max_attempts(2).unwrap();
    let requested = w.request_scan_by(&tenant, &account, job).await;
    let first = w.claim_one().await;
    w.start(&first, 4).await;
    assert_eq!(
        finish(&w, &first, failed(true, 0)).await,
        applied(JobStatus::Failed)
    );
    let second = w.claim_one().await;
    assert_eq!(
        finish(&w, &second, failed(true, 0)).await,
        applied(JobStatus::Dead)
    );
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!(
        scan.status,
        ScanStatus::Failed,
        "P2: the scan ends with its job"
    );
    assert_eq!(scan.error.as_deref(), Some("the provider throttled"));
    assert!(scan.finished_at.is_some());
    assert_eq!(w.claimable().await, []);
}

/// So does a failure that no retry can mend, also before the scan was said to run.
pub async fn a_hopeless_failure_fails_the_scan_at_once(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    let lease = w.claim_one().await;
    assert_eq!(
        finish(&w, &lease, failed(false, 0)).await,
        applied(JobStatus::Dead)
    );
    let scan = w.read_scan(&tenant, requested.scan).await;
    assert_eq!((scan.status, scan.started_at), (ScanStatus::Failed, None));
    assert_eq!(scan.error.as_deref(), Some("the provider throttled"));
}

/// A job that its worker stops on request is cancelled, and so is its scan; one that fails after
/// it was asked to stop is too.
pub async fn a_stopped_job_cancels_its_scan(w: World) {
    let tenant = w.organization().await;
    for outcome in [FinishOutcome::new(JobOutcome::Cancelled), failed(true, 60)] {
        let run = w.running_scan(&tenant).await;
        w.queue.cancel(&tenant.scan, run.job).await.unwrap();
        assert_eq!(
            finish(&w, &run.lease, outcome).await,
            applied(JobStatus::Cancelled)
        );
        let scan = w.read_scan(&tenant, run.scan).await;
        assert_eq!((scan.status, scan.error), (ScanStatus::Cancelled, None));
        assert!(scan.finished_at.is_some());
    }
}

/// A job that is given back is claimable at once, with nothing counted, and its scan goes on.
pub async fn a_returned_job_goes_on_elsewhere(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let outcome = FinishOutcome::new(JobOutcome::Returned).with_next(vec![w.job()]);
    assert_eq!(
        finish(&w, &run.lease, outcome).await,
        applied(JobStatus::Queued)
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running
    );
    let again = w.claim_one().await;
    assert_eq!(
        again.reference().job,
        run.job,
        "and what was to follow a success does not follow"
    );
    assert_eq!(
        (again.claim().failed_attempts, again.claim().lost_leases),
        (0, 0)
    );
}

/// Finishing twice is told, and changes nothing: neither with another outcome, nor after the
/// session ran out. It is the same whether `finish` or `settle` came first.
pub async fn finishing_twice_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    finish(&w, &run.lease, completed(true)).await;
    let scan = w.read_scan(&tenant, run.scan).await;
    let again = completed(false).with_next(vec![w.job()]);
    assert_eq!(
        finish(&w, &run.lease, again).await,
        Finished::AlreadySettled
    );
    let settlement = Settlement {
        lease: run.lease.reference(),
        outcome: JobOutcome::Returned,
    };
    let settled = w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(settled, [SettleOutcome::AlreadySettled]);
    w.lose_leases().await;
    assert_eq!(
        finish(&w, &run.lease, failed(true, 0)).await,
        Finished::AlreadySettled
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await,
        scan,
        "nothing changed"
    );
    assert_eq!(
        finish_events(&w, &tenant).await,
        1,
        "P2: one end, one event"
    );
    assert_eq!(w.claimable().await, [], "P2: nothing was enqueued");

    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let settlement = Settlement {
        lease: lease.reference(),
        outcome: JobOutcome::Succeeded,
    };
    w.queue.settle(vec![settlement]).await.unwrap();
    let outcome = FinishOutcome::new(JobOutcome::Succeeded);
    assert_eq!(finish(&w, &lease, outcome).await, Finished::AlreadySettled);
    assert_eq!(finish_events(&w, &tenant).await, 1);
}

/// A job that runs no scan finishes as well, with what follows and its event.
pub async fn a_job_without_a_scan_finishes(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let next = w.job();
    let wanted = next.id;
    let outcome = FinishOutcome::new(JobOutcome::Succeeded).with_next(vec![next]);
    let answer = finish(&w, &lease, outcome).await;
    let next = vec![Enqueued::Created(wanted)];
    assert_eq!(
        answer,
        Finished::Applied {
            job: JobStatus::Succeeded,
            next
        }
    );
    assert_eq!(w.job_status(&tenant, job).await, JobStatus::Succeeded);
    assert_eq!(finish_events(&w, &tenant).await, 1);
    assert_eq!(w.claimable().await, [wanted]);
}

/// P2: a finish that cannot be applied as a whole changes nothing, and the lease is still held.
pub async fn a_refused_finish_changes_nothing(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let taken = w.job().with_run_at(later(&w).await);
    w.enqueue(&tenant, taken.clone()).await;
    let outcome = completed(true).with_next(vec![w.job(), taken]);
    let answer = w.store.finish(&run.lease, outcome, event()).await;
    refused(
        answer,
        ErrorKind::AlreadyExists,
        "what follows has an id in use",
    );
    assert_eq!(
        w.job_status(&tenant, run.job).await,
        JobStatus::Running,
        "P2: the job"
    );
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running,
        "P2: the scan"
    );
    assert_eq!(finish_events(&w, &tenant).await, 0, "P2: the event");
    assert_eq!(w.claimable().await, [], "P2: what was to follow");
    assert_eq!(
        finish(&w, &run.lease, completed(true)).await,
        applied(JobStatus::Succeeded)
    );
}

/// P8: a scan that never began is not completed.
pub async fn a_scan_that_never_began_is_not_completed(w: World) {
    let tenant = w.organization().await;
    let account = w.account(&tenant).await;
    let requested = w.request_scan(&tenant, &account).await;
    let lease = w.claim_one().await;
    let answer = w.store.finish(&lease, completed(true), event()).await;
    refused(
        answer,
        ErrorKind::InvalidTransition,
        "P8: completed without a look",
    );
    assert_eq!(
        w.read_scan(&tenant, requested.scan).await.status,
        ScanStatus::Queued
    );
    assert_eq!(
        w.job_status(&tenant, requested.job).await,
        JobStatus::Running,
        "P2: it runs on"
    );
    assert_eq!(finish_events(&w, &tenant).await, 0);
}

/// P2: a success ends the scan that its job runs, and says how; nothing else would. One that ends a
/// scan where there is none is refused too. The lease is still held.
pub async fn a_success_says_how_its_scan_ends(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let silent = FinishOutcome::new(JobOutcome::Succeeded).with_next(vec![w.job()]);
    let answer = w.store.finish(&run.lease, silent, event()).await;
    refused(answer, ErrorKind::InvalidInput, "P2: a scan without an end");
    let scan = w.read_scan(&tenant, run.scan).await;
    assert_eq!(scan.status, ScanStatus::Running, "P2: the scan");
    assert_eq!(w.claimable().await, [], "P2: what was to follow");

    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let answer = w.store.finish(&lease, completed(true), event()).await;
    refused(answer, ErrorKind::InvalidInput, "P2: an end without a scan");
    for job in [run.job, job] {
        assert_eq!(w.job_status(&tenant, job).await, JobStatus::Running);
    }
    assert_eq!(finish_events(&w, &tenant).await, 0, "P2: the event");

    let plain = FinishOutcome::new(JobOutcome::Succeeded);
    assert_eq!(
        finish(&w, &lease, plain).await,
        applied(JobStatus::Succeeded)
    );
    assert_eq!(
        finish(&w, &run.lease, completed(true)).await,
        applied(JobStatus::Succeeded)
    );
}

async fn later(w: &World) -> jiff::Timestamp {
    w.now().await + Duration::from_secs(3_600)
}
