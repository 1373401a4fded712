//! Jobs without a scan, and the cancelling of jobs.

use std::time::Duration;

use serde_json::json;
use trueno_core::access::{Action, OrgScope};
use trueno_core::id::{JobId, WorkerSessionId};
use trueno_core::model::{Concurrency, JobPayload, JobStatus, NewJob};
use trueno_core::port::{ClaimRequest, JobFilter, PageRequest, Settlement, claim_leases};

use super::work::{LEASE, shown_claims};
use super::{Life, Stage};
use crate::noninterference::names::Thing;

/// Not before any moment of the run.
const LATER: Duration = Duration::from_secs(24 * 3_600);

impl Life {
    /// Enqueues jobs through the queue or a unit of work; claims what is due, and settles it.
    pub(super) async fn run_jobs(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::Scan).await else {
            return;
        };
        let later = stage.now().await + LATER;
        let mut jobs = vec![self.shared_job()];
        for _ in 0..self.pick(&[0, 1, 2]) {
            jobs.push(self.own_job());
        }
        if self.chance(0.3) {
            jobs.push(self.own_job().with_run_at(later));
        }
        self.jobs.extend(jobs.iter().map(|job| job.id));
        if self.chance(0.6) {
            let enqueued = stage.queue.enqueue(&scope, jobs).await;
            self.notes.answer("enqueue", &enqueued);
        } else {
            self.change(stage, "job.enqueued", &scope, async |unit| {
                unit.enqueue(jobs).await
            })
            .await;
        }
        stage.pause().await;

        self.work_on_jobs(stage).await;
        self.deal_with_the_dead(stage, &scope).await;
    }

    /// Claims jobs without a scan, and settles them.
    pub(super) async fn work_on_jobs(&mut self, stage: &Stage<'_>) {
        let session: WorkerSessionId = self.own(Thing::Session);
        let kinds = vec![self.names.work_kind()];
        let request = ClaimRequest::new(session, "worker", kinds, 3).with_lease_for(LEASE);
        match claim_leases(&*stage.queue, &request).await {
            Ok(leases) => {
                self.notes.given("claim", &shown_claims(&leases));
                stage.pause().await;
                let settlements = leases.iter().map(|lease| Settlement {
                    lease: lease.reference(),
                    outcome: self.outcome(),
                });
                let settlements = settlements.collect();
                self.settle(stage, settlements).await;
                self.past.extend(leases);
            }
            Err(error) => self.notes.refusal("claim", &error),
        }
    }

    /// A job that this side's workers take.
    fn own_job(&mut self) -> NewJob {
        let id: JobId = self.fresh(Thing::Job);
        let payload = JobPayload {
            version: 1,
            body: json!({ "of": self.names.side.label() }),
        };
        let job = NewJob::new(id, self.names.work_kind(), payload).unwrap();
        let job = job
            .with_priority(self.pick(&[-1, 0, 1]))
            .unwrap()
            .with_max_attempts(self.pick(&[1, 2, 3]))
            .unwrap();
        // Both sides have jobs under the same key.
        match self.pick(&[0, 0, 1, 2]) {
            0 => job,
            limit => job.with_concurrency(Concurrency::new("account", limit).unwrap()),
        }
    }

    /// The first dead job, if there is one.
    async fn one_dead(&self, stage: &Stage<'_>, scope: &OrgScope) -> Option<JobId> {
        let dead = JobFilter::default().with_status(JobStatus::Dead);
        let mut view = stage.store.read(scope).await.ok()?;
        let found = view.jobs(&dead, &PageRequest::first(1).ok()?).await.ok()?;
        found.items.first().map(|job| job.id)
    }

    /// Lets a dead job begin anew, or discards it, and then does the other with another one. Where there
    /// is none, it asks for any job, and is refused.
    async fn deal_with_the_dead(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        let discards_first = self.chance(0.5);
        for discards in [discards_first, !discards_first] {
            let dead = match self.one_dead(stage, scope).await {
                Some(dead) => dead,
                None => self.one_of(&self.jobs.clone(), Thing::Job),
            };
            if discards {
                self.change(stage, "job.discarded", scope, async |unit| {
                    unit.discard_job(dead).await
                })
                .await;
            } else {
                self.change(stage, "job.redriven", scope, async |unit| {
                    unit.redrive_job(dead).await
                })
                .await;
            }
        }
    }

    /// Cancels a job, through the queue or in a unit of work.
    pub(super) async fn cancel(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::Scan).await else {
            return;
        };
        let job = self.one_of(&self.jobs.clone(), Thing::Job);
        if self.chance(0.5) {
            stage.tick().await;
            let cancelled = stage.queue.cancel(&scope, job).await;
            let shown = cancelled.map(|outcome| format!("{outcome:?}"));
            self.notes.answer("cancel", &shown);
        } else {
            self.change(stage, "job.cancelled", &scope, async |unit| {
                Ok(format!("{:?}", unit.cancel_job(job).await?))
            })
            .await;
        }
        let waiting = stage.queue.why_waiting(&scope, job).await;
        self.notes.answer("why_waiting", &waiting);
    }
}
