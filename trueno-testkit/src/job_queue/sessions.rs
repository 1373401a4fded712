//! Worker sessions: what extends a lease, and how it ends.

use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::JobStatus;
use trueno_core::port::{JobOutcome, LeaseRef, SettleOutcome, Settlement};

use super::World;
use crate::suite::{near, refused};

const LEASE: Duration = Duration::from_secs(30);
const MOST_OF_IT: Duration = Duration::from_secs(20);

async fn succeed(w: &World, lease: LeaseRef) -> SettleOutcome {
    let outcome = JobOutcome::Succeeded;
    w.queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap()[0]
}

/// A heartbeat extends every lease of its session, and of no other.
pub async fn a_heartbeat_extends_every_lease_of_its_session(w: World) {
    let tenant = w.organization().await;
    for _ in 0..3 {
        w.enqueue(&tenant, w.job()).await;
    }
    let session = w.id();
    let mine = w
        .queue
        .claim(&w.claim_request_of(session, 2))
        .await
        .unwrap();
    let other = w.claim_one().await.reference();
    w.advance(MOST_OF_IT).await;
    let before = w.now().await;
    let beat = w.queue.heartbeat(session, LEASE).await.unwrap();
    near(
        beat.expires_at,
        before + LEASE,
        w.now().await + LEASE,
        "when the leases run out",
    );
    assert_eq!(beat.held.len(), 2);
    w.advance(MOST_OF_IT).await;
    for claim in mine {
        let settled = succeed(&w, claim.lease).await;
        assert_eq!(settled, SettleOutcome::Settled(JobStatus::Succeeded));
    }
    assert_eq!(
        succeed(&w, other).await,
        SettleOutcome::Stale,
        "P3: the other session's ran out"
    );
}

/// A claim extends the leases that its session holds, also one that finds nothing.
pub async fn a_claim_extends_the_leases_of_its_session(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let request = w.claim_request(1);
    let lease = w.queue.claim(&request).await.unwrap()[0].lease;
    w.advance(MOST_OF_IT).await;
    assert_eq!(w.queue.claim(&request).await.unwrap(), []);
    w.advance(MOST_OF_IT).await;
    assert_eq!(
        succeed(&w, lease).await,
        SettleOutcome::Settled(JobStatus::Succeeded)
    );
}

/// The first claim of a session opens it, whether it finds a job or not.
pub async fn the_first_claim_opens_the_session(w: World) {
    let session = w.id();
    assert_eq!(
        w.queue
            .claim(&w.claim_request_of(session, 1))
            .await
            .unwrap(),
        []
    );
    let beat = w.queue.heartbeat(session, LEASE).await.unwrap();
    assert_eq!(beat.held, []);
}

/// A session that no claim has opened has nothing to extend.
pub async fn a_session_that_no_claim_opened_is_stale(w: World) {
    let answer = w.queue.heartbeat(w.id(), LEASE).await;
    refused(
        answer,
        ErrorKind::StaleLease,
        "a session that nobody opened",
    );
}

/// P3, P10: once its time ran out a session is over, whether or not orphans were recovered.
pub async fn an_expired_session_is_over_before_recovery(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let session = w.id();
    let lease = w
        .queue
        .claim(&w.claim_request_of(session, 1))
        .await
        .unwrap()[0]
        .lease;
    w.enqueue(&tenant, w.job()).await;
    w.lose_leases().await;
    let beat = w.queue.heartbeat(session, LEASE).await;
    refused(
        beat,
        ErrorKind::StaleLease,
        "P3: a heartbeat brings no session back",
    );
    let claim = w.queue.claim(&w.claim_request_of(session, 1)).await;
    refused(
        claim,
        ErrorKind::StaleLease,
        "P3: an expired session claims nothing",
    );
    assert_eq!(
        succeed(&w, lease).await,
        SettleOutcome::Stale,
        "P3: and settles nothing"
    );
    assert_ne!(
        w.job_status(&tenant, job).await,
        JobStatus::Succeeded,
        "P3: nothing changed"
    );
}

/// P3: a session that expired stays over after its orphans were recovered, and for good.
pub async fn an_expired_session_stays_over_after_recovery(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let session = w.id();
    let lease = w
        .queue
        .claim(&w.claim_request_of(session, 1))
        .await
        .unwrap()[0]
        .lease;
    w.lose_leases().await;
    w.queue.recover_expired(10).await.unwrap();
    let beat = w.queue.heartbeat(session, LEASE).await;
    refused(beat, ErrorKind::StaleLease, "P3: after the recovery too");
    let claim = w.queue.claim(&w.claim_request_of(session, 1)).await;
    refused(claim, ErrorKind::StaleLease, "P3: after the recovery too");
    assert_eq!(succeed(&w, lease).await, SettleOutcome::Stale);
    assert_eq!(w.claimable().await, [job], "another session has the job");
}

/// A heartbeat tells of the leases that are still held, and of them alone.
pub async fn a_heartbeat_tells_of_what_is_held(w: World) {
    let tenant = w.organization().await;
    for _ in 0..3 {
        w.enqueue(&tenant, w.job()).await;
    }
    let session = w.id();
    let claims = w
        .queue
        .claim(&w.claim_request_of(session, 3))
        .await
        .unwrap();
    let leases: Vec<LeaseRef> = claims.iter().map(|claim| claim.lease).collect();
    succeed(&w, leases[0]).await;
    let outcome = JobOutcome::Returned;
    w.queue
        .settle(vec![Settlement {
            lease: leases[1],
            outcome,
        }])
        .await
        .unwrap();
    let held = w.queue.heartbeat(session, LEASE).await.unwrap().held;
    assert_eq!(
        held.iter().map(|held| held.lease).collect::<Vec<_>>(),
        [leases[2]]
    );
    assert!(!held[0].cancel_requested, "nobody asked it to stop");
}

/// A heartbeat's lease has the bounds of a claim's.
pub async fn bad_heartbeats_are_refused(w: World) {
    let session = w.id();
    w.queue
        .claim(&w.claim_request_of(session, 1))
        .await
        .unwrap();
    for (lease_for, what) in [
        (Duration::from_millis(999), "a lease under 1 s"),
        (Duration::from_millis(3_600_001), "a lease over 1 h"),
    ] {
        let answer = w.queue.heartbeat(session, lease_for).await;
        refused(answer, ErrorKind::InvalidInput, what);
    }
}

/// What a session holds was promised until a moment: a claim or heartbeat that asks for less than is
/// left does not bring it forward.
pub async fn a_shorter_claim_or_heartbeat_does_not_shorten_leases(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let request = w.claim_request(1);
    let before = w.now().await;
    let claim = w.queue.claim(&request).await.unwrap().remove(0);
    let after = w.now().await;
    let short = Duration::from_secs(1);
    let beat = w.queue.heartbeat(request.session, short).await.unwrap();
    near(
        beat.expires_at,
        before + LEASE,
        after + LEASE,
        "when the leases run out after a short heartbeat",
    );
    w.enqueue(&tenant, w.job()).await;
    let request = request.with_lease_for(short);
    let second = w.queue.claim(&request).await.unwrap().remove(0);
    near(
        second.expires_at,
        before + LEASE,
        after + LEASE,
        "when the leases run out after a short claim",
    );
    w.advance(MOST_OF_IT).await;
    for claim in [claim, second] {
        assert_eq!(
            succeed(&w, claim.lease).await,
            SettleOutcome::Settled(JobStatus::Succeeded)
        );
    }
}

/// A job that a session gave back and was handed again is one job that it holds: told of once, and
/// recovered once.
pub async fn a_job_claimed_again_by_its_session_is_held_once(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let request = w.claim_request(1);
    let mut last = None;
    for _ in 0..3 {
        let claim = w.queue.claim(&request).await.unwrap().remove(0);
        if let Some(lease) = last.replace(claim.lease) {
            assert_ne!(lease.token, claim.lease.token);
        }
        let held = w
            .queue
            .heartbeat(request.session, LEASE)
            .await
            .unwrap()
            .held;
        assert_eq!(
            held.iter().map(|held| held.lease).collect::<Vec<_>>(),
            [claim.lease]
        );
        let outcome = JobOutcome::Returned;
        let lease = claim.lease;
        w.queue
            .settle(vec![Settlement { lease, outcome }])
            .await
            .unwrap();
    }
    w.queue.claim(&request).await.unwrap();
    w.lose_leases().await;
    let recovered = w.queue.recover_expired(10).await.unwrap();
    assert_eq!((recovered.requeued, recovered.dead), (1, 0));
    assert_eq!(w.read_job(&tenant, job).await.lost_leases, 1);
}

/// Two workers of one name (two machines that were given the same) are two sessions: what extends or
/// ends the one's leases is nothing to the other.
pub async fn workers_of_one_name_are_told_apart(w: World) {
    let tenant = w.organization().await;
    for _ in 0..2 {
        w.enqueue(&tenant, w.job()).await;
    }
    let requests = [w.claim_request(1), w.claim_request(1)];
    assert_eq!(requests[0].worker, requests[1].worker);
    let mut leases = Vec::new();
    for request in &requests {
        leases.push(w.queue.claim(request).await.unwrap()[0].lease);
    }
    w.advance(MOST_OF_IT).await;
    let beat = w.queue.heartbeat(requests[0].session, LEASE).await.unwrap();
    let held: Vec<LeaseRef> = beat.held.iter().map(|held| held.lease).collect();
    assert_eq!(held, [leases[0]], "it is told of its own job alone");
    w.advance(MOST_OF_IT).await;
    assert_eq!(w.queue.recover_expired(10).await.unwrap().requeued, 1);
    assert_eq!(succeed(&w, leases[1]).await, SettleOutcome::Stale);
    assert_eq!(
        succeed(&w, leases[0]).await,
        SettleOutcome::Settled(JobStatus::Succeeded)
    );
    assert_eq!(w.claimable().await, [leases[1].job]);
}

/// A session's id is made new at every start. Two workers that have the same one all the same (a
/// machine that was copied while it ran) are each told of the other's jobs and give them back: that
/// costs runs, and no job. What was given back under a token is not ended under it again.
pub async fn two_workers_under_one_session_lose_no_job(w: World) {
    let tenant = w.organization().await;
    for _ in 0..2 {
        w.enqueue(&tenant, w.job()).await;
    }
    let request = w.claim_request(1);
    let one = w.queue.claim(&request).await.unwrap()[0].lease;
    let two = w.queue.claim(&request).await.unwrap()[0].lease;
    assert_ne!((one.job, one.token), (two.job, two.token));
    let held = w.queue.heartbeat(request.session, LEASE).await.unwrap();
    assert_eq!(held.held.len(), 2);
    assert_eq!(
        w.settle(two, JobOutcome::Returned).await,
        JobStatus::Queued,
        "the first worker knows nothing of it"
    );
    let again = w.claim_one().await.reference();
    assert_eq!(again.job, two.job, "it runs again");
    assert_eq!(
        succeed(&w, two).await,
        SettleOutcome::Stale,
        "P3: it is held under another token"
    );
    for lease in [one, again] {
        let settled = succeed(&w, lease).await;
        assert_eq!(settled, SettleOutcome::Settled(JobStatus::Succeeded));
    }
}
