//! What jobs do: well, badly or not at all, as the seed has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::JobId;
use trueno_core::model::{EventDraft, JobKind, JobPayload, NewJob};
use trueno_core::runtime::{Completion, JobContext, JobHandler};
use trueno_core::state::scan::ScanEvent;

use super::watch::Log;

/// The kind of jobs that have effects in the store.
pub(super) const EFFECTS: JobKind = JobKind::known("simulation.effects");
/// The kind of jobs that have none.
pub(super) const PLAIN: JobKind = JobKind::known("simulation.plain");
/// The kind of jobs that run scans.
pub(super) const SCANS: JobKind = JobKind::known("simulation.scan");
/// The event of an effect.
pub(super) const DONE: &str = "simulation.done";

/// Behaves by the seed, the job and how often it ran.
#[derive(Clone, Debug)]
pub(super) struct Handler {
    pub(super) kind: JobKind,
    pub(super) seed: u64,
    pub(super) runs: Arc<Mutex<HashMap<JobId, u64>>>,
    pub(super) log: Arc<Log>,
}

impl Handler {
    fn completion(&self, context: &JobContext) -> Completion {
        let lease = context.lease.reference();
        if self.kind == PLAIN {
            return Completion::without_effects();
        }
        let event =
            EventDraft::new(DONE, "job", lease.job).with_detail("token", lease.token.to_string());
        let mut completion = Completion::new(event);
        if self.kind == SCANS {
            completion.scan = Some(ScanEvent::Completed {
                coverage_complete: true,
            });
        }
        let jobs = self.log.jobs.lock();
        let follower = jobs
            .iter()
            .find(|(_, known)| known.follows == Some(lease.job));
        completion
            .next
            .extend(follower.map(|(id, _)| job(*id, PLAIN)));
        completion
    }
}

/// A job of this kind.
pub(super) fn job(id: JobId, kind: JobKind) -> NewJob {
    let payload = JobPayload {
        version: 1,
        body: json!({}),
    };
    NewJob::new(id, kind, payload).unwrap()
}

#[async_trait]
impl JobHandler for Handler {
    fn kind(&self) -> JobKind {
        self.kind.clone()
    }

    async fn run(&self, context: &JobContext) -> Result<Completion> {
        let job = context.lease.reference().job;
        let run = {
            let mut runs = self.runs.lock();
            let run = runs.entry(job).or_default();
            *run += 1;
            *run
        };
        let (high, low) = job.as_uuid().as_u64_pair();
        let mut random = StdRng::seed_from_u64(self.seed ^ high ^ low.rotate_left(17) ^ (run << 7));
        if self.kind == SCANS {
            let mut batch = context.store.ingest(&context.lease).await?;
            batch.start_scan(1).await?;
            batch.commit().await?;
        }
        let work = tokio::time::sleep(Duration::from_millis(random.random_range(0..2_500)));
        match random.random_range(0..20) {
            // Deaf to whoever asks it to stop.
            0..5 => work.await,
            5..16 => {
                context
                    .unless_stopped(async {
                        work.await;
                        Ok(())
                    })
                    .await?
            }
            16..18 => return Err(Error::new(ErrorKind::Unavailable, "planted: try again")),
            18 => return Err(Error::new(ErrorKind::InvalidInput, "planted: for good")),
            // A panic that prints nothing.
            _ => std::panic::resume_unwind(Box::new("planted")),
        }
        Ok(self.completion(context))
    }
}
