//! P1 over the queue: one case per method that takes a scope or names an organization.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::{Concurrency, JobStatus, OrganizationLimits, QueueTarget};
use trueno_core::port::{Enqueued, JobOutcome, LeaseRef, SettleOutcome, Settlement, WaitReason};

use super::World;
use crate::fixtures::Tenant;
use crate::suite::refused;

/// P1: job ids that another organization uses are free, and stay apart to their end.
pub async fn isolation_enqueue(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let job = w.job();
    let id = w.enqueue(&one, job.clone()).await;
    let answer = w.queue.enqueue(&two.scan, vec![job]).await;
    assert_eq!(
        answer.unwrap(),
        [Enqueued::Created(id)],
        "P1: an id tells nothing"
    );
    let leases = w.claim(10).await;
    assert_eq!(leases.len(), 2, "both are handed out");
    let ones = leases
        .iter()
        .find(|lease| lease.reference().organization == one.id)
        .unwrap();
    let settlement = Settlement {
        lease: ones.reference(),
        outcome: JobOutcome::Succeeded,
    };
    w.queue.settle(vec![settlement]).await.unwrap();
    assert_eq!(w.job_status(&one, id).await, JobStatus::Succeeded);
    assert_eq!(
        w.job_status(&two, id).await,
        JobStatus::Running,
        "P1: theirs goes on"
    );
}

/// P1: another organization's job is not there to be cancelled.
pub async fn isolation_cancel(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let waiting = w.enqueue(&one, w.job()).await;
    let answer = w.queue.cancel(&two.scan, waiting).await;
    let foreign = refused(answer, ErrorKind::NotFound, "P1: a foreign job");
    let unknown = refused(
        w.queue.cancel(&two.scan, w.id()).await,
        ErrorKind::NotFound,
        "no job",
    );
    assert_eq!(
        foreign.to_string(),
        unknown.to_string(),
        "P1: foreign and missing read the same"
    );
    assert_eq!(
        w.job_status(&one, waiting).await,
        JobStatus::Queued,
        "P1: it still waits"
    );
    w.claim_one().await;
    refused(
        w.queue.cancel(&two.scan, waiting).await,
        ErrorKind::NotFound,
        "P1: while it runs",
    );
    assert!(
        !w.read_job(&one, waiting).await.cancel_requested,
        "P1: nobody asked it to stop"
    );
}

/// P1: another organization's job is not there to be asked about.
pub async fn isolation_why_waiting(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let job = w.enqueue(&one, w.job()).await;
    let answer = w.queue.why_waiting(&two.read, job).await;
    let foreign = refused(answer, ErrorKind::NotFound, "P1: a foreign job");
    let unknown = w.queue.why_waiting(&two.read, w.id()).await;
    let unknown = refused(unknown, ErrorKind::NotFound, "no job");
    assert_eq!(
        foreign.to_string(),
        unknown.to_string(),
        "P1: foreign and missing read the same"
    );
}

/// P1, P3: a lease's name moved to another organization settles nothing, also where that
/// organization has a job of the same id.
pub async fn isolation_settle(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let job = w.job();
    w.enqueue(&one, job.clone()).await;
    let lease = w.claim_one().await.reference();
    let id = w.enqueue(&two, job).await;
    w.claim_one().await;
    let moved = LeaseRef {
        organization: two.id,
        ..lease
    };
    let settlement = Settlement {
        lease: moved,
        outcome: JobOutcome::Succeeded,
    };
    assert_eq!(
        w.queue.settle(vec![settlement]).await.unwrap(),
        [SettleOutcome::Stale]
    );
    assert_eq!(
        w.job_status(&one, id).await,
        JobStatus::Running,
        "P1: nothing changed"
    );
    assert_eq!(
        w.job_status(&two, id).await,
        JobStatus::Running,
        "P1: nor theirs"
    );
}

/// P1: a claim names each job's own organization, and its lease opens that one alone.
pub async fn isolation_claim(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let (ones, twos) = (
        w.enqueue(&one, w.job()).await,
        w.enqueue(&two, w.job()).await,
    );
    for lease in w.claim(10).await {
        let (mine, theirs) = if lease.reference().organization == one.id {
            (ones, twos)
        } else {
            (twos, ones)
        };
        assert_eq!(
            lease.reference().job,
            mine,
            "P1: each job under its own organization"
        );
        assert_eq!(lease.scope().organization(), lease.reference().organization);
        let mut view = w.store.read(lease.scope()).await.unwrap();
        assert_eq!(view.job(mine).await.unwrap().id, mine);
        let answer = view.job(theirs).await;
        refused(
            answer,
            ErrorKind::NotFound,
            "P1: a lease opens its own organization alone",
        );
    }
}

/// P1: a heartbeat tells of its own session's leases only.
pub async fn isolation_heartbeat(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    w.enqueue(&one, w.job()).await;
    let session = w.id();
    let mine = w
        .queue
        .claim(&w.claim_request_of(session, 1))
        .await
        .unwrap()[0]
        .lease;
    w.enqueue(&two, w.job()).await;
    w.claim_one().await;
    let held = w
        .queue
        .heartbeat(session, Duration::from_secs(30))
        .await
        .unwrap()
        .held;
    assert_eq!(
        held.iter().map(|held| held.lease).collect::<Vec<_>>(),
        [mine]
    );
}

/// P1: what an organization gets says nothing to another, and takes nothing from it: neither its
/// limits nor how full it is.
pub async fn isolation_set_limits(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let none = OrganizationLimits::default();
    let limits = none.with_weight(1_000).unwrap();
    let limits = limits.with_max_running(1).unwrap().with_max_live(2);
    let limits = limits.unwrap();
    w.queue.set_limits(one.id, &limits).await.unwrap();
    assert_eq!(w.queue.limits(two.id).await.unwrap(), none, "P1: its own");
    let key = Concurrency::new("account", 1).unwrap();
    for tenant in [&one, &two] {
        for _ in 0..2 {
            let job = w.job().with_concurrency(key.clone());
            w.enqueue(tenant, job).await;
        }
    }
    let full = w.queue.enqueue(&one.scan, vec![w.job()]).await;
    refused(full, ErrorKind::Exhausted, "its own quota");
    let more = (0..3).map(|_| w.job()).collect();
    w.queue.enqueue(&two.scan, more).await.unwrap();
    let leases = w.drain(10).await;
    let of = |id| {
        leases
            .iter()
            .filter(|lease| lease.organization == id)
            .count()
    };
    assert_eq!((of(one.id), of(two.id)), (1, 4), "P1: its own caps");
    let free = w.enqueue(&two, w.job()).await;
    let waits = w.queue.why_waiting(&two.read, free).await.unwrap();
    assert_eq!(waits, WaitReason::Due, "P1: nothing of the other's");

    w.queue.set_limits(two.id, &none).await.unwrap();
    assert_eq!(
        w.queue.limits(one.id).await.unwrap(),
        limits,
        "P1: it keeps them"
    );
}

/// P1: an organization that is held back holds no other back, and another one that is let go lets it
/// not go.
pub async fn isolation_pause(w: World) {
    let (one, two) = (w.organization().await, w.organization().await);
    let target = |tenant: &Tenant| QueueTarget::Organization(tenant.id);
    w.queue.pause(&target(&one)).await.unwrap();
    let held_back = w.enqueue(&one, w.job()).await;
    let first = w.enqueue(&two, w.job()).await;
    assert_eq!(w.drained().await, [first], "P1: theirs goes on");
    let second = w.enqueue(&two, w.job()).await;
    let waits = w.queue.why_waiting(&two.read, second).await.unwrap();
    assert_eq!(waits, WaitReason::Due, "P1: nothing of the other's");
    w.queue.pause(&target(&two)).await.unwrap();
    w.queue.resume(&target(&two)).await.unwrap();
    assert_eq!(w.drained().await, [second], "P1: the other's waits still");
    let waits = w.queue.why_waiting(&one.read, held_back).await.unwrap();
    assert_eq!(waits, WaitReason::Paused);
}
