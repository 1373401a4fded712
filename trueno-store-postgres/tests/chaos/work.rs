//! What jobs are asked to do: their payloads, from which the check knows how each has to end.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use trueno_core::id::{JobId, OrganizationId, ScanId};
use trueno_core::model::{Concurrency, JobKind, JobPayload, NewJob};
use trueno_core::retry::Backoff;

/// Jobs whose success stages an event and, where it says so, enqueues a follower.
pub(crate) const EFFECTS: JobKind = JobKind::known("chaos.effects");
/// Jobs without effects, which are settled many at a time.
pub(crate) const PLAIN: JobKind = JobKind::known("chaos.plain");
/// Jobs that run a scan and ingest under their lease.
pub(crate) const SCAN: JobKind = JobKind::known("chaos.scan");

/// The event of a success with effects. Its detail `token` names the lease.
pub(crate) const DONE: &str = "chaos.done";

/// Attempts that may fail.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// What one job is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) millis: u64,
    /// How many attempts fail.
    pub(crate) fails: u32,
    /// They fail by a panic.
    pub(crate) panics: bool,
    /// Its success enqueues another job.
    pub(crate) has_follower: bool,
    /// The job whose success enqueued it.
    pub(crate) follows: Option<JobId>,
}

impl Work {
    /// Usually short and well; one in a hundred takes longer than a lease.
    pub(crate) fn draw(random: &mut StdRng, kind: &JobKind) -> Self {
        let millis = if random.random_bool(0.01) {
            random.random_range(2_200..2_800)
        } else {
            random.random_range(5..400)
        };
        let fails = match random.random_range(0..100) {
            0..8 => 1,
            8..10 => 2,
            10..12 => MAX_ATTEMPTS,
            _ => 0,
        };
        Self {
            millis,
            fails,
            panics: random.random_bool(0.2),
            has_follower: *kind == EFFECTS && random.random_bool(0.3),
            follows: None,
        }
    }

    /// What a job does that follows `job`.
    pub(crate) fn after(job: JobId) -> Self {
        Self {
            millis: 5,
            fails: 0,
            panics: false,
            has_follower: false,
            follows: Some(job),
        }
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// A job that is asked to do it.
    pub(crate) fn job(&self, id: JobId, kind: JobKind) -> NewJob {
        let payload = JobPayload {
            version: 1,
            body: serde_json::to_value(self).unwrap(),
        };
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(200));
        NewJob::new(id, kind, payload)
            .and_then(|job| job.with_max_attempts(MAX_ATTEMPTS))
            .and_then(|job| job.with_backoff(backoff))
            .unwrap()
    }
}

/// A concurrency key; each has one limit.
pub(crate) fn key(random: &mut StdRng) -> Concurrency {
    let limit = random.random_range(1..=3);
    Concurrency::new(&format!("at most {limit}"), limit).unwrap()
}

/// A job that the queue said it took.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) organization: OrganizationId,
    pub(crate) kind: JobKind,
    pub(crate) work: Work,
    /// The scan that it runs.
    pub(crate) scan: Option<ScanId>,
}
