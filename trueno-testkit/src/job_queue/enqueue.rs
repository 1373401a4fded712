//! Enqueueing: batches, ids, dedupe keys.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trueno_core::error::ErrorKind;
use trueno_core::id::CorrelationId;
use trueno_core::model::{
    Concurrency, Dedupe, DedupeScope, EventDraft, JobPayload, JobStatus, NewJob,
};
use trueno_core::port::{Enqueued, FinishOutcome, JobOutcome, SettleOutcome, Settlement};
use trueno_core::retry::Backoff;

use super::World;
use crate::fixtures::WORK_KIND;
use crate::suite::{near, refused};

/// `enqueue` answers in the order of its jobs, and an empty batch with nothing.
pub async fn enqueue_answers_in_order(w: World) {
    let tenant = w.organization().await;
    let with_priority = |priority| w.job().with_priority(priority).unwrap();
    let jobs = vec![with_priority(-1), with_priority(7), w.job()];
    let wanted: Vec<Enqueued> = jobs.iter().map(|job| Enqueued::Created(job.id)).collect();
    assert_eq!(w.queue.enqueue(&tenant.scan, jobs).await.unwrap(), wanted);
    assert_eq!(w.queue.enqueue(&tenant.scan, Vec::new()).await.unwrap(), []);
}

/// What a worker is handed is what was enqueued, with the store's times (P10).
pub async fn a_claimed_job_is_what_was_enqueued(w: World) {
    let tenant = w.organization().await;
    let body = json!({
        "text": "volume \u{1f30d} \"quoted\"", "list": [1, -2, 3.5, null, true], "nested": { "": {} },
        "large": u64::MAX,
    });
    let payload = JobPayload { version: 7, body };
    let job = NewJob::new(w.id(), WORK_KIND.parse().unwrap(), payload.clone()).unwrap();
    let job = job.with_max_attempts(9).unwrap();
    let concurrency = Concurrency::new("account \u{1f30d}", 10_000).unwrap();
    let job = job.with_priority(-100).unwrap();
    let job = job.with_concurrency(concurrency.clone());
    let before = w.now().await;
    let id = w.enqueue(&tenant, job).await;

    let seen = w.read_job(&tenant, id).await;
    assert_eq!(
        (seen.id, seen.organization, seen.status),
        (id, tenant.id, JobStatus::Queued)
    );
    assert_eq!(
        (seen.failed_attempts, seen.max_attempts, seen.lost_leases),
        (0, 9, 0)
    );
    assert_eq!(
        (seen.kind.as_str(), seen.cancel_requested),
        (WORK_KIND, false)
    );
    assert_eq!((seen.finished_at, seen.last_error()), (None, None));
    assert_eq!((seen.priority, seen.concurrency), (-100, Some(concurrency)));

    let lease = w.claim_one().await;
    let after = w.now().await;
    let claim = lease.claim();
    assert_eq!((claim.lease.job, claim.lease.organization), (id, tenant.id));
    assert_eq!((claim.kind.as_str(), &claim.payload), (WORK_KIND, &payload));
    assert_eq!(
        (claim.failed_attempts, claim.max_attempts, claim.lost_leases),
        (0, 9, 0)
    );
    near(seen.created_at, before, after, "when the job was enqueued");
    near(
        seen.run_at,
        before,
        after,
        "a job without a run-at is due at once",
    );
    near(
        claim.enqueued_at,
        before,
        after,
        "when the claim says that it was enqueued",
    );
    let lease_for = Duration::from_secs(30);
    near(
        claim.expires_at,
        before + lease_for,
        after + lease_for,
        "when the lease runs out",
    );
    assert_eq!(w.job_status(&tenant, id).await, JobStatus::Running);
}

/// How long an attempt may take, and the wait between attempts, come with each claim as they were
/// enqueued, whichever way that was; none where the job says none.
pub async fn timeout_and_backoff_arrive_with_each_claim(w: World) {
    let tenant = w.organization().await;
    let seconds = Duration::from_secs;
    let month = seconds(30 * 24 * 3_600);
    let of = [
        (None, None),
        (Some(Duration::from_millis(1)), None),
        (None, Some(Backoff::new(Duration::ZERO, Duration::ZERO))),
        (
            Some(seconds(7 * 24 * 3_600)),
            Some(Backoff::new(month, month)),
        ),
        (
            Some(Duration::from_millis(90_001)),
            Some(Backoff::new(Duration::from_millis(250), seconds(60))),
        ),
    ];
    let job = |(timeout, backoff): (Option<Duration>, Option<Backoff>)| {
        let mut job = w.job().with_max_attempts(3).unwrap();
        if let Some(timeout) = timeout {
            job = job.with_timeout(timeout).unwrap();
        }
        if let Some(backoff) = backoff {
            job = job.with_backoff(backoff).unwrap();
        }
        job
    };
    for wanted in of {
        w.enqueue(&tenant, job(wanted)).await;
        for retryable in [true, false] {
            let lease = w.claim_one().await;
            let claim = lease.claim();
            assert_eq!((claim.timeout, claim.backoff), wanted, "as enqueued");
            let outcome = failed(retryable, Duration::ZERO);
            w.settle(lease.reference(), outcome).await;
        }
        let next = job(wanted);
        w.change(&tenant.scan, async |unit| unit.enqueue(vec![next]).await)
            .await
            .unwrap();
        let lease = w.claim_one().await;
        let claim = lease.claim();
        assert_eq!((claim.timeout, claim.backoff), wanted, "in a unit of work");
        let done = FinishOutcome::new(JobOutcome::Succeeded).with_next(vec![job(wanted)]);
        let event = EventDraft::new("work.done", "job", claim.lease.job);
        w.store.finish(&lease, done, event).await.unwrap();
        let lease = w.claim_one().await;
        let claim = lease.claim();
        assert_eq!((claim.timeout, claim.backoff), wanted, "at a finish");
        w.settle(claim.lease, JobOutcome::Succeeded).await;
    }
}

/// P2: a batch is in the queue as a whole or not at all.
pub async fn a_batch_is_enqueued_as_a_whole_or_not_at_all(w: World) {
    let tenant = w.organization().await;
    let first = w.job();
    w.enqueue(&tenant, first.clone()).await;
    let batch = vec![w.job(), first.clone(), w.job()];
    let answer = w.queue.enqueue(&tenant.scan, batch).await;
    refused(answer, ErrorKind::AlreadyExists, "an id in use");
    assert_eq!(
        w.claimable().await,
        [first.id],
        "P2: none of the refused batch was enqueued"
    );
}

/// A job id in use is refused: a waiting job's, a running one's, a finished one's, and one that is
/// twice in the same batch.
pub async fn a_job_id_in_use_is_refused(w: World) {
    let tenant = w.organization().await;
    let job = w.job();
    w.enqueue(&tenant, job.clone()).await;
    let again = async || w.queue.enqueue(&tenant.scan, vec![job.clone()]).await;
    refused(
        again().await,
        ErrorKind::AlreadyExists,
        "the id of a waiting job",
    );
    let lease = w.claim_one().await.reference();
    refused(
        again().await,
        ErrorKind::AlreadyExists,
        "the id of a running job",
    );
    let settled = w
        .queue
        .settle(vec![Settlement {
            lease,
            outcome: JobOutcome::Succeeded,
        }])
        .await
        .unwrap();
    assert_eq!(settled, [SettleOutcome::Settled(JobStatus::Succeeded)]);
    refused(
        again().await,
        ErrorKind::AlreadyExists,
        "the id of a finished job",
    );

    let twin = w.job();
    let answer = w
        .queue
        .enqueue(&tenant.scan, vec![twin.clone(), twin])
        .await;
    refused(answer, ErrorKind::AlreadyExists, "an id twice in one batch");
    assert_eq!(
        w.claimable().await,
        [],
        "P2: nothing was enqueued by a refused batch"
    );
}

/// While a job with a dedupe key is live (waiting, running, in backoff), it stands for every other
/// one of its key, also within one batch.
pub async fn a_dedupe_key_stands_for_the_live_job(w: World) {
    let tenant = w.organization().await;
    let keyed = || w.job().with_dedupe_key("nightly").unwrap();
    let (first, twin) = (keyed(), keyed());
    let id = first.id;
    let answer = w
        .queue
        .enqueue(&tenant.scan, vec![first, twin])
        .await
        .unwrap();
    assert_eq!(
        answer,
        [Enqueued::Created(id), Enqueued::Duplicate(id)],
        "within one batch"
    );

    let again = async || w.queue.enqueue(&tenant.scan, vec![keyed()]).await.unwrap();
    assert_eq!(again().await, [Enqueued::Duplicate(id)], "while it waits");
    let lease = w.claim_one().await.reference();
    assert_eq!(again().await, [Enqueued::Duplicate(id)], "while it runs");
    let outcome = failed(true, Duration::from_secs(60));
    w.queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap();
    assert_eq!(
        again().await,
        [Enqueued::Duplicate(id)],
        "while it waits for a retry"
    );
    assert_eq!(w.claimable().await, [], "no duplicate was enqueued");
}

/// Once the job of a dedupe key ended, in whichever way, the key is free.
pub async fn a_dedupe_key_is_free_again_after_the_end(w: World) {
    let tenant = w.organization().await;
    let keyed = || w.job().with_dedupe_key("nightly").unwrap();
    for outcome in [
        JobOutcome::Succeeded,
        failed(false, Duration::ZERO),
        JobOutcome::Cancelled,
    ] {
        w.enqueue(&tenant, keyed()).await;
        let lease = w.claim_one().await.reference();
        w.queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
    }
    let cancelled = w.enqueue(&tenant, keyed()).await;
    w.queue.cancel(&tenant.scan, cancelled).await.unwrap();
    let last = w.enqueue(&tenant, keyed()).await;
    assert_eq!(w.claimable().await, [last]);
}

/// P1: a dedupe key counts within its organization and kind only.
pub async fn a_dedupe_key_counts_per_organization_and_kind(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let keyed = |kind: &str| w.job_of_kind(kind).with_dedupe_key("nightly").unwrap();
    let first = w.enqueue(&one, keyed(WORK_KIND)).await;
    let other_kind = w.enqueue(&one, keyed("scan.inventory")).await;
    let other_organization = w.enqueue(&two, keyed(WORK_KIND)).await;
    let mut claimed = w.claimable().await;
    claimed.sort_unstable();
    assert_eq!(
        claimed,
        [first, other_kind, other_organization],
        "P1: a key tells nothing"
    );
}

/// Keys of all of an organization's jobs are told apart whatever their kind, and from those of a kind.
pub async fn a_dedupe_key_may_count_whatever_the_kind(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let wide = Dedupe::new("nightly")
        .unwrap()
        .with_scope(DedupeScope::Organization);
    let keyed = |kind: &str| w.job_of_kind(kind).with_dedupe(wide.clone());
    let first = w.enqueue(&one, keyed(WORK_KIND)).await;
    let twin = w.queue.enqueue(&one.scan, vec![keyed("scan.inventory")]);
    assert_eq!(twin.await.unwrap(), [Enqueued::Duplicate(first)]);
    let of_kind = w.job().with_dedupe_key("nightly").unwrap();
    let of_kind = w.enqueue(&one, of_kind).await;
    let other_organization = w.enqueue(&two, keyed(WORK_KIND)).await;
    let mut claimed = w.claimable().await;
    claimed.sort_unstable();
    assert_eq!(
        claimed,
        [first, of_kind, other_organization],
        "P1: a key tells nothing"
    );
}

/// Within its window a job stands for others of its key though it ended, unless it was cancelled;
/// the window is that of the job that asks, and begins when the other one was enqueued.
pub async fn a_dedupe_window_outlasts_the_end(w: World) {
    const WINDOW: Duration = Duration::from_secs(600);
    let tenant = w.organization().await;
    let lasting = Dedupe::new("hourly").unwrap().within(WINDOW).unwrap();
    let ask = async || {
        let job = w.job().with_dedupe(lasting.clone());
        let mut answer = w.queue.enqueue(&tenant.scan, vec![job]).await.unwrap();
        answer.pop().unwrap()
    };
    let end = async |outcome| {
        let lease = w.claim_one().await.reference();
        w.queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
    };
    for outcome in [JobOutcome::Succeeded, failed(false, Duration::ZERO)] {
        let first = ask().await.job();
        end(outcome).await;
        assert_eq!(ask().await, Enqueued::Duplicate(first), "it ended");
        w.advance(WINDOW / 2).await;
        assert_eq!(ask().await, Enqueued::Duplicate(first), "half-way");
        assert_eq!(w.claimable().await, [], "nothing was enqueued");
        w.advance(WINDOW / 2).await;
    }

    let cancelled = ask().await;
    let Enqueued::Created(cancelled) = cancelled else {
        panic!("the window is over, and {cancelled:?} was answered");
    };
    w.queue.cancel(&tenant.scan, cancelled).await.unwrap();
    let last = ask().await;
    assert!(matches!(last, Enqueued::Created(_)), "it was cancelled");
    end(JobOutcome::Succeeded).await;
    let without = w.job().with_dedupe_key("hourly").unwrap();
    let without = w.enqueue(&tenant, without).await;
    assert_eq!(
        ask().await,
        Enqueued::Duplicate(without),
        "a live job comes before one that ended"
    );
}

/// Requests of one key at once, window or not, come to one job.
pub async fn a_dedupe_window_has_one_winner(w: World) {
    let tenant = Arc::new(w.organization().await);
    let lasting = Dedupe::new("hourly").unwrap();
    let lasting = lasting.within(Duration::from_secs(600)).unwrap();
    let w = Arc::new(w);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (w, tenant) = (w.clone(), tenant.clone());
            let job = w.job().with_dedupe(lasting.clone());
            tokio::spawn(async move { w.queue.enqueue(&tenant.scan, vec![job]).await.unwrap() })
        })
        .collect();
    let mut created = Vec::new();
    let mut stand_ins = Vec::new();
    for answer in asking {
        match answer.await.unwrap().as_slice() {
            [Enqueued::Created(job)] => created.push(*job),
            [Enqueued::Duplicate(job)] => stand_ins.push(*job),
            other => panic!("one answer, and not {other:?}"),
        }
    }
    let [winner] = created.as_slice() else {
        panic!("one of them is created, and not {created:?}");
    };
    assert_eq!(stand_ins, [*winner; 7]);
}

/// A scope that only reads enqueues nothing, and a lease does so through `finish` alone (P3).
pub async fn enqueueing_needs_a_scope_that_writes(w: World) {
    let tenant = w.organization().await;
    let answer = w.queue.enqueue(&tenant.read, vec![w.job()]).await;
    refused(answer, ErrorKind::Denied, "a scope to read");
    w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await;
    let answer = w.queue.enqueue(lease.scope(), vec![w.job()]).await;
    refused(answer, ErrorKind::Denied, "P3: a lease's scope");
    assert_eq!(w.claimable().await, [], "nothing was enqueued");
}

/// A job whose public fields break the rules of its constructors is refused with its whole batch.
pub async fn a_job_that_breaks_the_rules_is_refused(w: World) {
    let tenant = w.organization().await;
    let broken = |breaking: fn(&mut NewJob)| {
        let mut job = w.job();
        breaking(&mut job);
        job
    };
    for (job, what) in [
        (broken(|job| job.priority = 101), "too urgent"),
        (broken(|job| job.priority = -101), "too patient"),
        (
            broken(|job| job.timeout = Some(Duration::ZERO)),
            "no time for an attempt",
        ),
        (
            broken(|job| job.timeout = Some(Duration::MAX)),
            "an attempt without an end",
        ),
        (
            broken(|job| job.backoff = Some(Backoff::new(Duration::ZERO, Duration::MAX))),
            "a wait without an end",
        ),
        (broken(|job| job.max_attempts = 0), "no attempt"),
        (broken(|job| job.max_attempts = 101), "too many attempts"),
        (
            broken(|job| job.payload.body = json!("p".repeat(JobPayload::MAX_BYTES))),
            "a large payload",
        ),
    ] {
        let batch = vec![w.job(), job.clone()];
        let answer = w.queue.enqueue(&tenant.scan, batch).await;
        refused(answer, ErrorKind::InvalidInput, what);
        let mut unit = w.begin_scan(&tenant).await;
        refused(unit.enqueue(vec![job]).await, ErrorKind::InvalidInput, what);
    }
    assert_eq!(w.claimable().await, [], "P2: nothing was enqueued");
}

fn failed(retryable: bool, retry_after: Duration) -> JobOutcome {
    JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after,
    }
}

/// What a job was enqueued on account of comes with each claim, and stays with it in history and once it
/// begins anew. Each attempt is due when the store says.
pub async fn a_correlation_stays_with_its_job(w: World) {
    let tenant = w.organization().await;
    let (id, other): (CorrelationId, CorrelationId) = (w.id(), w.id());
    let named = w
        .job()
        .with_correlation_id(id)
        .with_max_attempts(1)
        .unwrap();
    let job = w.enqueue(&tenant, named).await;
    let lease = w.claim_one().await;
    assert_eq!(lease.claim().correlation_id, Some(id));
    assert_eq!(lease.scope().correlation_id(), Some(id));
    let claim = lease.claim();
    assert_eq!(claim.run_at, claim.enqueued_at, "due at once");
    let read = async |job| w.read_job(&tenant, job).await.correlation_id;
    assert_eq!(read(job).await, Some(id), "while it is live");
    w.settle(lease.reference(), failed(false, Duration::ZERO))
        .await;
    assert_eq!(read(job).await, Some(id), "in history");
    let redriven = trueno_core::runtime::jobs::redrive(&*w.store, &tenant.scan, job).await;
    assert_eq!(redriven.unwrap().correlation_id, Some(id), "begun anew");
    let lease = w.claim_one().await;
    w.settle(lease.reference(), JobOutcome::Succeeded).await;
    assert_eq!(read(job).await, Some(id), "settled");

    // Also one with a dedupe key, in a unit of work, that is lost, and that is followed by another.
    let keyed = w
        .job()
        .with_correlation_id(other)
        .with_dedupe_key("one")
        .unwrap();
    let keyed_id = keyed.id;
    w.change(&tenant.scan, async |unit| unit.enqueue(vec![keyed]).await)
        .await
        .unwrap();
    w.claim_one().await;
    w.advance(Duration::from_secs(31)).await;
    w.queue.recover_expired(10).await.unwrap();
    let lease = w.claim_one().await;
    assert_eq!(
        lease.claim().correlation_id,
        Some(other),
        "after a lost lease"
    );
    let (next, plain) = (w.job().with_correlation_id(id), w.job());
    let (next_id, plain_id) = (next.id, plain.id);
    let done = FinishOutcome::new(JobOutcome::Succeeded).with_next(vec![next, plain]);
    let event = EventDraft::new("work.done", "job", keyed_id);
    w.store.finish(&lease, done, event).await.unwrap();
    assert_eq!(read(keyed_id).await, Some(other), "finished");
    assert_eq!(
        read(next_id).await,
        Some(id),
        "what follows says for itself"
    );
    assert_eq!(read(plain_id).await, None, "or nothing");
    let own = w.claim(10).await;
    let own = own.iter().find(|lease| lease.claim().lease.job == plain_id);
    let own = own.expect("it is due").claim().correlation();
    assert_eq!(own.as_uuid(), plain_id.as_uuid(), "a job begins a chain");
}
