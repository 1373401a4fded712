//! Settling: one by one, once, and by the holder alone.

use std::sync::Arc;
use std::time::Duration;

use trueno_core::error::ErrorKind;
use trueno_core::model::{JobStatus, ScanStatus};
use trueno_core::port::{
    CancelOutcome, JobOutcome, Lease, LeaseRef, SettleOutcome, Settlement, WaitReason,
};

use super::World;
use crate::fixtures::Tenant;
use crate::suite::{near, refused};

fn failed(retryable: bool, retry_after: u64) -> JobOutcome {
    let retry_after = Duration::from_secs(retry_after);
    JobOutcome::Failed {
        error: "it broke".to_owned(),
        retryable,
        retry_after,
    }
}

async fn settle(w: &World, lease: LeaseRef, outcome: JobOutcome) -> SettleOutcome {
    let answers = w
        .queue
        .settle(vec![Settlement { lease, outcome }])
        .await
        .unwrap();
    assert_eq!(answers.len(), 1, "one settlement has one answer");
    answers[0]
}

/// Leases of as many jobs of the organization, which nothing else waits beside.
async fn leases(w: &World, tenant: &Tenant, jobs: usize) -> Vec<LeaseRef> {
    for _ in 0..jobs {
        w.enqueue(tenant, w.job()).await;
    }
    let leases = w.claim(jobs).await;
    assert_eq!(leases.len(), jobs, "each was claimed");
    leases.iter().map(Lease::reference).collect()
}

/// A batch is settled job by job, and answered in its order: a stale lease stops no other.
pub async fn a_batch_is_settled_one_by_one(w: World) {
    let tenant = w.organization().await;
    let other = w.organization().await;
    for tenant in [&tenant, &tenant, &tenant, &other, &other, &other] {
        w.enqueue(tenant, w.job()).await;
    }
    let leases: Vec<LeaseRef> = w
        .claim(6)
        .await
        .iter()
        .map(|lease| lease.reference())
        .collect();
    let outcomes = [
        JobOutcome::Succeeded,
        failed(true, 60),
        failed(false, 0),
        JobOutcome::Returned,
        JobOutcome::Cancelled,
    ];
    let mut batch = vec![Settlement {
        lease: w.forged(leases[5]),
        outcome: JobOutcome::Succeeded,
    }];
    for (lease, outcome) in leases.iter().zip(outcomes) {
        batch.push(Settlement {
            lease: *lease,
            outcome,
        });
    }
    batch.push(Settlement {
        lease: leases[0],
        outcome: failed(true, 0),
    });
    let answers = w.queue.settle(batch).await.unwrap();
    use SettleOutcome::{AlreadySettled, Settled, Stale};
    assert_eq!(
        answers,
        [
            Stale,
            Settled(JobStatus::Succeeded),
            Settled(JobStatus::Failed),
            Settled(JobStatus::Dead),
            Settled(JobStatus::Queued),
            Settled(JobStatus::Cancelled),
            AlreadySettled,
        ]
    );
    assert_eq!(w.queue.settle(Vec::new()).await.unwrap(), []);
    let untouched = leases[5];
    let owner = if untouched.organization == tenant.id {
        &tenant
    } else {
        &other
    };
    assert_eq!(
        w.job_status(owner, untouched.job).await,
        JobStatus::Running,
        "P3: forged"
    );
}

/// A batch of hundreds, with every outcome there is and every way not to be settled, of two
/// organizations, is answered in its order, and each job is where its answer says.
pub async fn a_batch_of_hundreds_is_answered_in_order(w: World) {
    use SettleOutcome::{AlreadySettled, Settled, Stale};
    const JOBS: usize = 500;
    let (one, two) = (w.organization().await, w.organization().await);
    for tenant in [&one, &two] {
        let jobs = (0..JOBS / 2).map(|_| w.job()).collect();
        w.queue.enqueue(&tenant.scan, jobs).await.unwrap();
    }
    let leases = w.drain(JOBS).await;
    assert_eq!(leases.len(), JOBS, "each was claimed");
    let mut before = Vec::new();
    let mut batch = Vec::new();
    let mut wanted = Vec::new();
    for (nth, lease) in leases.iter().copied().enumerate() {
        let (outcome, status) = match nth % 5 {
            0 => (JobOutcome::Succeeded, JobStatus::Succeeded),
            1 => (failed(true, 60), JobStatus::Failed),
            2 => (failed(false, 0), JobStatus::Dead),
            3 => (JobOutcome::Returned, JobStatus::Queued),
            _ => (JobOutcome::Cancelled, JobStatus::Cancelled),
        };
        let organization = match lease.organization == one.id {
            true => two.id,
            false => one.id,
        };
        let (lease, answer, left) = match nth % 9 {
            4 => (w.forged(lease), Stale, JobStatus::Running),
            5 => {
                let outcome = JobOutcome::Succeeded;
                before.push(Settlement { lease, outcome });
                (lease, AlreadySettled, JobStatus::Succeeded)
            }
            6 => (
                LeaseRef {
                    job: w.id(),
                    ..lease
                },
                Stale,
                JobStatus::Running,
            ),
            7 => (
                LeaseRef {
                    organization,
                    ..lease
                },
                Stale,
                JobStatus::Running,
            ),
            _ => (lease, Settled(status), status),
        };
        batch.push(Settlement { lease, outcome });
        wanted.push((answer, left));
    }
    w.queue.settle(before).await.unwrap();
    let answers = w.queue.settle(batch).await.unwrap();
    assert_eq!(answers.len(), JOBS);
    let (mut ones, mut twos) = (w.view(&one).await, w.view(&two).await);
    for (nth, (answer, left)) in wanted.into_iter().enumerate() {
        let lease = leases[nth];
        assert_eq!(answers[nth], answer, "the answer to settlement {nth}");
        let view = match lease.organization == one.id {
            true => &mut ones,
            false => &mut twos,
        };
        let job = view.job(lease.job).await.unwrap();
        assert_eq!(job.status, left, "the job of settlement {nth}");
    }
}

/// Settling again with the lease that settled is told apart from settling with one that is lost,
/// and changes nothing either way.
pub async fn settling_twice_is_told_apart_from_stale(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    let done = settle(&w, lease, JobOutcome::Succeeded).await;
    assert_eq!(done, SettleOutcome::Settled(JobStatus::Succeeded));
    let again = settle(&w, lease, failed(false, 0)).await;
    assert_eq!(again, SettleOutcome::AlreadySettled);
    w.lose_leases().await;
    let late = settle(&w, lease, JobOutcome::Succeeded).await;
    assert_eq!(
        late,
        SettleOutcome::AlreadySettled,
        "it did settle it, though its time ran out"
    );
    let forged = settle(&w, w.forged(lease), JobOutcome::Succeeded).await;
    assert_eq!(forged, SettleOutcome::Stale);
    let seen = w.read_job(&tenant, job).await;
    assert_eq!(
        (seen.status, seen.failed_attempts),
        (JobStatus::Succeeded, 0),
        "nothing changed"
    );
}

/// A member who asks a job to stop while its worker says that it succeeded changes nothing of its end.
pub async fn a_cancellation_that_races_the_end_leaves_nothing_behind(w: World) {
    let tenant = Arc::new(w.organization().await);
    let leases = leases(&w, &tenant, 20).await;
    let w = Arc::new(w);
    for lease in leases {
        let asking = {
            let (w, tenant) = (w.clone(), tenant.clone());
            tokio::spawn(async move { w.queue.cancel(&tenant.scan, lease.job).await.unwrap() })
        };
        let settling = {
            let w = w.clone();
            tokio::spawn(async move { settle(&w, lease, JobOutcome::Succeeded).await })
        };
        let asked = asking.await.unwrap();
        assert!(
            matches!(
                asked,
                CancelOutcome::Requested | CancelOutcome::AlreadyFinished(JobStatus::Succeeded)
            ),
            "{asked:?}"
        );
        assert_eq!(
            settling.await.unwrap(),
            SettleOutcome::Settled(JobStatus::Succeeded)
        );
        let job = w.view(&tenant).await.job(lease.job).await.unwrap();
        assert_eq!(job.status, JobStatus::Succeeded, "it is over, and not held");
    }
}

/// Of a lease that a batch names again, the first settles, and the others answer that it did.
pub async fn a_lease_that_a_batch_names_again_was_settled_before(w: World) {
    const JOBS: usize = 50;
    let tenant = w.organization().await;
    let leases = leases(&w, &tenant, JOBS).await;
    let settlements = leases.iter().chain(&leases).map(|lease| Settlement {
        lease: *lease,
        outcome: JobOutcome::Succeeded,
    });
    let answers = w.queue.settle(settlements.collect()).await.unwrap();
    let (first, again) = answers.split_at(JOBS);
    assert_eq!(first, [SettleOutcome::Settled(JobStatus::Succeeded); JOBS]);
    assert_eq!(again, [SettleOutcome::AlreadySettled; JOBS]);
}

/// The same settlement sent many times at once settles once, and every other time answers that it did.
pub async fn a_settlement_that_races_itself_is_told_apart_from_stale(w: World) {
    let tenant = w.organization().await;
    let leases = leases(&w, &tenant, 20).await;
    let w = Arc::new(w);
    for lease in leases {
        let racing: Vec<_> = (0..4)
            .map(|_| {
                let w = w.clone();
                tokio::spawn(async move { settle(&w, lease, JobOutcome::Succeeded).await })
            })
            .collect();
        let mut settled = 0;
        for racer in racing {
            match racer.await.unwrap() {
                SettleOutcome::Settled(JobStatus::Succeeded) => settled += 1,
                SettleOutcome::AlreadySettled => {}
                other => panic!("the lease was held, and {other:?} was answered"),
            }
        }
        assert_eq!(settled, 1, "P3: one of them settles");
    }
}

/// A job that was given back or waits for a retry remembers the lease that settled it, until the
/// next claim.
pub async fn a_settled_job_that_waits_again_remembers_its_lease(w: World) {
    let tenant = w.organization().await;
    w.enqueue(&tenant, w.job()).await;
    let first = w.claim_one().await.reference();
    settle(&w, first, JobOutcome::Returned).await;
    let again = settle(&w, first, JobOutcome::Succeeded).await;
    assert_eq!(again, SettleOutcome::AlreadySettled, "while it waits again");
    let second = w.claim_one().await.reference();
    let zombie = settle(&w, first, JobOutcome::Succeeded).await;
    assert_eq!(
        zombie,
        SettleOutcome::Stale,
        "P3: once another lease holds it"
    );
    settle(&w, second, failed(true, 60)).await;
    let again = settle(&w, second, failed(true, 60)).await;
    assert_eq!(
        again,
        SettleOutcome::AlreadySettled,
        "while it waits for a retry"
    );
}

/// A failed attempt is counted and comes again after its wait, not before.
pub async fn a_failed_attempt_comes_again_after_its_wait(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    let before = w.now().await;
    let settled = settle(&w, lease, failed(true, 60)).await;
    assert_eq!(settled, SettleOutcome::Settled(JobStatus::Failed));
    let seen = w.read_job(&tenant, job).await;
    assert_eq!((seen.failed_attempts, seen.lost_leases), (1, 0));
    assert_eq!(seen.last_error(), Some("it broke"));
    let wait = Duration::from_secs(60);
    near(
        seen.run_at,
        before + wait,
        w.now().await + wait,
        "when the next attempt is due",
    );
    w.advance(Duration::from_secs(30)).await;
    assert_eq!(w.claimable().await, [], "half way through its wait");
    w.advance(Duration::from_secs(31)).await;
    let lease = w.claim_one().await;
    assert_eq!(
        (lease.reference().job, lease.claim().failed_attempts),
        (job, 1)
    );
}

/// The last attempt that may fail leaves the job dead; so does a failure that no retry can mend.
pub async fn the_last_failed_attempt_is_the_end(w: World) {
    let tenant = w.organization().await;
    let job = w
        .enqueue(&tenant, w.job().with_max_attempts(2).unwrap())
        .await;
    let first = w.claim_one().await.reference();
    assert_eq!(
        settle(&w, first, failed(true, 0)).await,
        SettleOutcome::Settled(JobStatus::Failed)
    );
    let second = w.claim_one().await.reference();
    assert_eq!(
        settle(&w, second, failed(true, 0)).await,
        SettleOutcome::Settled(JobStatus::Dead)
    );
    let seen = w.read_job(&tenant, job).await;
    assert_eq!((seen.status, seen.failed_attempts), (JobStatus::Dead, 2));
    assert!(seen.finished_at.is_some() && seen.last_error().is_some());

    w.enqueue(&tenant, w.job().with_max_attempts(9).unwrap())
        .await;
    let hopeless = w.claim_one().await.reference();
    let settled = settle(&w, hopeless, failed(false, 0)).await;
    assert_eq!(
        settled,
        SettleOutcome::Settled(JobStatus::Dead),
        "no retry can help"
    );
    assert_eq!(w.claimable().await, []);
}

/// A job given back is claimable at once, and no attempt and no lost lease is counted.
pub async fn a_returned_job_is_claimable_at_once(w: World) {
    let tenant = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    let settled = settle(&w, lease, JobOutcome::Returned).await;
    assert_eq!(settled, SettleOutcome::Settled(JobStatus::Queued));
    assert_eq!(
        w.queue.why_waiting(&tenant.read, job).await.unwrap(),
        WaitReason::Due
    );
    let lease = w.claim_one().await;
    assert_eq!(lease.reference().job, job);
    assert_eq!(
        (lease.claim().failed_attempts, lease.claim().lost_leases),
        (0, 0)
    );
}

/// P3: a lease's name with any one part changed settles nothing.
pub async fn a_lease_with_another_part_settles_nothing(w: World) {
    let tenant = w.organization().await;
    let other = w.organization().await;
    let job = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    w.enqueue(&other, w.job()).await;
    let theirs = w.claim_one().await.reference();
    for (forged, what) in [
        (
            LeaseRef {
                organization: other.id,
                ..lease
            },
            "organization",
        ),
        (
            LeaseRef {
                job: theirs.job,
                ..lease
            },
            "job",
        ),
        (
            LeaseRef {
                token: theirs.token,
                ..lease
            },
            "token",
        ),
        (
            LeaseRef {
                session: theirs.session,
                ..lease
            },
            "session",
        ),
    ] {
        let answer = settle(&w, forged, JobOutcome::Succeeded).await;
        assert_eq!(answer, SettleOutcome::Stale, "P3: another {what}");
    }
    assert_eq!(
        w.job_status(&tenant, job).await,
        JobStatus::Running,
        "P3: nothing changed"
    );
    assert_eq!(
        w.job_status(&other, theirs.job).await,
        JobStatus::Running,
        "P1: nor theirs"
    );
}

/// P2: a job that runs a scan succeeds through `finish`, which ends the scan with it. Settled here, it
/// would leave a scan that never ends: the whole batch is refused, and nothing of it is settled.
pub async fn a_success_that_would_strand_a_scan_refuses_the_batch(w: World) {
    let tenant = w.organization().await;
    let run = w.running_scan(&tenant).await;
    let plain = w.enqueue(&tenant, w.job()).await;
    let lease = w.claim_one().await.reference();
    let succeeded = |lease| Settlement {
        lease,
        outcome: JobOutcome::Succeeded,
    };
    let scans = run.lease.reference();
    for batch in [
        vec![succeeded(scans)],
        vec![succeeded(lease), succeeded(scans)],
    ] {
        let answer = w.queue.settle(batch).await;
        refused(answer, ErrorKind::InvalidInput, "P2: a scan without an end");
        for job in [run.job, plain] {
            assert_eq!(
                w.job_status(&tenant, job).await,
                JobStatus::Running,
                "P2: nothing of the batch was settled"
            );
        }
    }
    assert_eq!(
        w.read_scan(&tenant, run.scan).await.status,
        ScanStatus::Running
    );
    let batch = vec![succeeded(w.forged(scans)), succeeded(lease)];
    assert_eq!(
        w.queue.settle(batch).await.unwrap(),
        [
            SettleOutcome::Stale,
            SettleOutcome::Settled(JobStatus::Succeeded)
        ],
        "P3: a lease that is not held refuses nothing"
    );
}
