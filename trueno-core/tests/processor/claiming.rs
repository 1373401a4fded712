//! When the processor claims, how much, and of which kinds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use trueno_core::error::ErrorKind;
use trueno_core::model::{JobKind, JobStatus};
use trueno_testkit::fault::Fault;

use crate::logs;
use crate::world::{KIND, MS, Scripted, World, quick};

const OTHER: JobKind = JobKind::known("other");

#[tokio::test(start_paused = true)]
async fn claims_are_large() {
    // Ends spread over time, as they do.
    let handler = Scripted::silent(|_, run| async move {
        tokio::time::sleep(MS * (run % 50)).await;
        Ok(())
    });
    let config = quick().with_concurrency(200).with_claim_batch(80);
    let mut world = World::prepare(config, vec![handler]).await;
    let jobs = world.enqueue_many(&KIND, 4_000).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    world.shut_down().await;
    let claims: Vec<usize> = world.log.claims().iter().map(|claim| claim.jobs).collect();
    let brought: Vec<usize> = claims.into_iter().filter(|jobs| *jobs > 0).collect();
    assert_eq!(brought.iter().sum::<usize>(), 4_000);
    assert!(brought.iter().all(|jobs| *jobs <= 80), "{brought:?}");
    // 200 places whose jobs take 25 ms make 16 free in each linger of 2 ms.
    assert!(brought.len() <= 4_000 / 8, "{} claims", brought.len());
}

#[tokio::test(start_paused = true)]
async fn one_free_place_of_many_waits_2_ms_for_others() {
    let ended = Arc::new(std::sync::Mutex::new(None));
    let seen = ended.clone();
    let handler = Scripted::silent(move |_, run| {
        let ended = seen.clone();
        async move {
            let time = if run == 1 {
                100 * MS
            } else {
                Duration::from_secs(10)
            };
            tokio::time::sleep(time).await;
            ended.lock().unwrap().get_or_insert(Instant::now());
            Ok(())
        }
    });
    let mut world = World::prepare(quick().with_concurrency(100), vec![handler]).await;
    world.enqueue_many(&KIND, 101).await;
    world.run();
    while world.runs() < 101 {
        tokio::time::sleep(MS).await;
    }
    let claims = world.log.claims();
    assert_eq!((claims[0].limit, claims[0].jobs), (100, 100));
    assert_eq!((claims[1].limit, claims[1].jobs), (1, 1));
    let waited = claims[1].sent - ended.lock().unwrap().unwrap();
    assert!((2 * MS..=4 * MS).contains(&waited), "{waited:?}");
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_run_and_are_settled_while_a_claim_is_under_way() {
    let handler = Scripted::silent(|_, _| async {
        tokio::time::sleep(20 * MS).await;
        Ok(())
    });
    let mut world = World::prepare(
        quick().with_concurrency(8).with_claim_batch(4),
        vec![handler],
    )
    .await;
    let slow = Fault::Delay(Duration::from_secs(2));
    world.faults.fail("job_queue.claim", 2, slow);
    let begin = Instant::now();
    let mut jobs = world.enqueue_many(&KIND, 6).await;
    // The order in which the queue hands them out.
    jobs.sort_unstable();
    world.run();
    world.until_all(&jobs[..4], JobStatus::Succeeded).await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    world.until_all(&jobs[4..], JobStatus::Succeeded).await;
    assert!(begin.elapsed() > Duration::from_secs(2));
    world.shut_down().await;
}

/// The claim was answered after the shutdown began: nobody else knows of its jobs.
#[tokio::test(start_paused = true)]
async fn what_a_claim_brings_during_a_shutdown_is_returned() {
    let handler = Scripted::silent(|context, _| async move {
        context.stop.cancelled().await;
        context.proceed()
    });
    let mut world = World::prepare(quick(), vec![handler]).await;
    let slow = Fault::Delay(500 * MS);
    world.faults.fail("job_queue.claim", 1, slow);
    let id = world.enqueue().await;
    world.run();
    tokio::time::sleep(100 * MS).await;
    world.shut_down().await;
    assert_eq!(world.log.claims()[0].jobs, 1);
    let job = world.job(id).await;
    assert_eq!((job.status, job.failed_attempts), (JobStatus::Queued, 0));
}

/// Runs and remembers how many did at the same time.
fn counted(kind: JobKind, peak: &Arc<AtomicUsize>) -> Scripted {
    let (now, peak) = (Arc::new(AtomicUsize::new(0)), peak.clone());
    Scripted::silent(move |_, run| {
        let (now, peak) = (now.clone(), peak.clone());
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(MS * (5 + run % 7)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .of(kind)
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_of_a_kind_run_than_its_limit_and_other_kinds_have_the_rest() {
    let (few, many) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handlers = vec![counted(KIND, &few), counted(OTHER, &many)];
    let config = quick().with_concurrency(20).with_kind_concurrency(KIND, 3);
    let mut world = World::prepare(config, handlers).await;
    let mut jobs = world.enqueue_many(&KIND, 40).await;
    jobs.extend(world.enqueue_many(&OTHER, 100).await);
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    world.shut_down().await;
    assert_eq!(few.load(Ordering::SeqCst), 3, "the limit is used and kept");
    assert!(many.load(Ordering::SeqCst) >= 17, "{many:?}");
    for claim in world.log.claims() {
        let kinds: BTreeSet<_> = claim.kinds.into_iter().collect();
        let limited = kinds.contains(&KIND);
        assert!(
            !limited || claim.limit <= 3,
            "it could bring {}",
            claim.limit
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_at_its_limit_is_not_asked_for() {
    let wait = |time: Duration| {
        Scripted::silent(move |_, _| async move {
            tokio::time::sleep(time).await;
            Ok(())
        })
    };
    let handlers = vec![wait(Duration::from_secs(5)), wait(MS).of(OTHER)];
    let config = quick().with_kind_concurrency(KIND, 1);
    let mut world = World::prepare(config, handlers).await;
    let slow = world.enqueue_many(&KIND, 2).await;
    world.run();
    world.until(slow[0], JobStatus::Running).await;
    let before = world.log.claims().len();
    let others = world.enqueue_many(&OTHER, 10).await;
    world.until_all(&others, JobStatus::Succeeded).await;
    let claims = world.log.claims();
    assert!(claims.len() > before);
    assert!(claims[before..].iter().all(|claim| claim.kinds == [OTHER]));
    assert_eq!(world.job(slow[1]).await.status, JobStatus::Queued);
    world.until(slow[1], JobStatus::Succeeded).await;
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn polls_become_rarer_while_there_is_nothing_and_a_hint_ends_the_wait() {
    let config = quick().with_poll_interval(400 * MS);
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let mut world = World::start(config, handler).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent: Vec<Instant> = world.log.claims().iter().map(|claim| claim.sent).collect();
    let waits = sent
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis() / 10 * 10);
    let waits: Vec<u128> = waits.collect();
    assert_eq!(waits, [50, 100, 200, 400, 400, 400, 400]);
    let before = Instant::now();
    let id = world.enqueue().await;
    world.until(id, JobStatus::Succeeded).await;
    assert!(before.elapsed() < 20 * MS, "{:?}", before.elapsed());
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_new_try_mends_is_logged_once_until_it_changes() {
    let (lines, _logging) = logs::capture();
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let mut world = World::prepare(quick(), vec![handler]).await;
    let kinds = [ErrorKind::Denied, ErrorKind::Unsupported];
    for nth in 1..=10 {
        // The message is the same; only the kind differs.
        let kind = kinds[usize::from(nth > 5)];
        world
            .faults
            .fail("job_queue.claim", nth, Fault::Before(kind));
    }
    world.run();
    let id = world.enqueue().await;
    world.until(id, JobStatus::Succeeded).await;
    assert_eq!(lines.count("the queue refuses to hand out jobs"), 2);
    let next = world.faults.calls("job_queue.claim") + 1;
    let again = Fault::Before(ErrorKind::Unsupported);
    world.faults.fail("job_queue.claim", next, again);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        lines.count("the queue refuses to hand out jobs"),
        3,
        "it worked meanwhile"
    );
    world.shut_down().await;
}

/// What a success without effects costs in the log: nothing above debug.
#[tokio::test(start_paused = true)]
async fn jobs_without_effects_write_no_line_each() {
    let (lines, _logging) = logs::capture();
    let handler = Scripted::silent(|_, _| async { Ok(()) });
    let mut world = World::prepare(quick().with_concurrency(50), vec![handler]).await;
    let jobs = world.enqueue_many(&KIND, 100).await;
    world.run();
    world.until_all(&jobs, JobStatus::Succeeded).await;
    world.shut_down().await;
    assert_eq!(lines.above_debug(), 0);
}
