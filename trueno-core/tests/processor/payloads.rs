//! Payloads that a handler does not understand, and followers that the queue does not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::json;
use trueno_core::access::Action;
use trueno_core::model::{JobPayload, JobStatus, NewJob};
use trueno_core::runtime::{Completion, jobs};

use crate::world::{KIND, Scripted, World, quick};

#[derive(Debug, Serialize, Deserialize)]
struct Report {
    rows: u32,
}

/// A handler that reads the version that `reads` says.
fn reader(reads: Arc<AtomicU32>) -> Scripted {
    Scripted::silent(move |context, _| {
        let version = reads.load(Ordering::SeqCst);
        async move {
            let payload = &context.lease.claim().payload;
            payload.parse::<Report>(version).map(drop)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_does_not_parse_is_dead_at_once_and_begins_anew_once_it_does() {
    let reads = Arc::new(AtomicU32::new(1));
    let mut world = World::start(quick(), reader(reads.clone())).await;
    let job = |payload: JobPayload| {
        let mut job = world.new_job(KIND).with_max_attempts(9).unwrap();
        job.payload = payload;
        job
    };
    let newer = JobPayload::new(2, &Report { rows: 7 }).unwrap();
    let mut broken = JobPayload::new(1, &Report { rows: 7 }).unwrap();
    broken.body = json!({ "rows": "seven" });
    let cases = [
        (newer, "is of version 2, and this worker reads version 1"),
        (broken, "does not parse as version 1: invalid type: string"),
    ];
    let mut dead = Vec::new();
    for (payload, problem) in cases {
        let id = world.put(job(payload)).await;
        let job = world.until(id, JobStatus::Dead).await;
        assert_eq!(job.failed_attempts, 1, "no attempt can mend it");
        let why = job.last_error().unwrap();
        assert!(
            why.starts_with("job payload: ") && why.contains(problem),
            "{why}"
        );
        dead.push(id);
    }
    // A worker that reads it is there; the job was kept for it.
    reads.store(2, Ordering::SeqCst);
    let scope = world.scope(Action::Scan).await;
    jobs::redrive(world.store.as_ref(), &scope, dead[0])
        .await
        .unwrap();
    world.until(dead[0], JobStatus::Succeeded).await;
    assert_eq!(world.runs(), 3);
    world.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_refused_is_said_to_be_why_its_job_is_dead() {
    let handler = Scripted::ending(
        |_, _| async { Ok(()) },
        |context| {
            let payload = context.lease.claim().payload.clone();
            let next = NewJob::new(uuid::Uuid::from_u128(77).into(), KIND, payload);
            let mut next = next.unwrap();
            next.payload.body = json!("p".repeat(JobPayload::MAX_BYTES));
            let mut completion = Completion::without_effects();
            completion.next.push(next);
            completion
        },
    );
    let mut world = World::start(quick(), handler).await;
    let id = world.enqueue().await;
    let job = world.until(id, JobStatus::Dead).await;
    let why = job.last_error().unwrap();
    let wanted = "the result was refused: job payload: has 65538 bytes as JSON and may have 65536";
    assert!(why.starts_with(wanted), "{why}");
    world.shut_down().await;
    assert_eq!(world.runs(), 1);
}
