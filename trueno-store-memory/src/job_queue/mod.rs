//! The queue over the store's jobs.

mod claim;
mod steps;

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use trueno_core::access::OrgScope;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId, WorkerSessionId};
use trueno_core::model::{
    Actor, AuditEvent, EventDraft, JobStatus, NewJob, OrganizationLimits, QueueTarget,
};
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, FinishOutcome, Heartbeat, HeldLease, Horizon,
    JobOutcome, JobQueue, LeaseRef, QueueStats, Recovered, SettleOutcome, Settlement, WaitReason,
    WakeUps, check_forget,
};
use trueno_core::state::Refusal;
use trueno_core::state::job::JobEvent;

use crate::MemoryStore;
use crate::state::{Database, Draft};

pub(crate) use steps::{created_any, not_found};

#[async_trait]
impl JobQueue for MemoryStore {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let enqueue = || {
            scope.require_write()?;
            self.with(|database, now| {
                let organization = scope.organization();
                let mut draft = database.draft(organization)?;
                database
                    .queue
                    .require_room(organization, || 0, jobs.len())?;
                let answers = draft.enqueue(jobs, now)?;
                database.commit(draft, Vec::new())?;
                Ok(answers)
            })
        };
        let answers = named("job_queue.enqueue", enqueue())?;
        if created_any(&answers) {
            self.wake();
        }
        Ok(answers)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let claim = || {
            valid_limit(request.limit)?;
            valid_lease(request.lease_for)?;
            request.check()?;
            self.with(|database, now| self.claim_due(database, request, now))
        };
        named("job_queue.claim", claim())
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        let extend = || {
            valid_lease(lease_for)?;
            self.with(|database, now| {
                let expires_at = database.sessions.extend(session, now, lease_for)?;
                let mut held = Vec::new();
                for (organization, id) in database.sessions.held(session) {
                    let job = database
                        .tables(organization)?
                        .job(id)
                        .ok_or_else(not_found)?;
                    if let Some(token) = job.state.token {
                        held.push(HeldLease {
                            lease: LeaseRef {
                                organization,
                                job: id,
                                token,
                                session,
                            },
                            cancel_requested: job.state.cancel_requested,
                        });
                    }
                }
                Ok(Heartbeat { expires_at, held })
            })
        };
        named("job_queue.heartbeat", extend())
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        let settle = || {
            settlements
                .iter()
                .try_for_each(|settlement| settlement.outcome.check())?;
            self.with(|database, now| {
                // Refused before anything is settled, so that the answer is for the whole batch.
                for settlement in &settlements {
                    refuse_to_strand_a_scan(database, settlement, now)?;
                }
                let each = settlements
                    .iter()
                    .map(|settlement| self.settle_one(database, settlement, now));
                each.collect()
            })
        };
        let outcomes: Vec<SettleOutcome> = named("job_queue.settle", settle())?;
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, SettleOutcome::Settled(to) if !to.is_terminal()))
        {
            self.wake();
        }
        Ok(outcomes)
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        let cancel = || {
            scope.require_write()?;
            self.with(|database, now| {
                let mut draft = database.draft(scope.organization())?;
                let (outcome, scan) = draft.cancel(job, now)?;
                let event = EventDraft::new("job.cancelled", "job", job);
                let events = self.end_event(&draft, scope.actor(), event, scan, now)?;
                database.commit(draft, events)?;
                Ok(outcome)
            })
        };
        named("job_queue.cancel", cancel())
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        let recover = || {
            valid_limit(limit)?;
            self.with(|database, now| {
                let mut recovered = Recovered::default();
                for (organization, job) in database.sessions.orphans(now, limit) {
                    match self.take_back(database, organization, job, now)? {
                        JobStatus::Dead => recovered.dead += 1,
                        JobStatus::Cancelled => recovered.cancelled += 1,
                        _ => recovered.requeued += 1,
                    }
                }
                Ok(recovered)
            })
        };
        let recovered = named("job_queue.recover_expired", recover())?;
        if recovered.requeued > 0 {
            self.wake();
        }
        Ok(recovered)
    }

    /// The stream ends with the store's last clone, and keeps none alive.
    async fn wake_ups(&self) -> Result<WakeUps> {
        let hints = stream::unfold(self.hints(), |mut hints| async move {
            hints.changed().await.ok()?;
            Some(((), hints))
        });
        Ok(hints.boxed())
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        let set = self.with(|database, _| {
            database.require_organization(organization)?;
            database.queue.set_limits(organization, *limits);
            Ok(())
        });
        named("job_queue.set_limits", set)
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        Ok(self.with(|database, _| database.queue.limits(organization)))
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        named("job_queue.pause", self.set_paused(target, true))
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        named("job_queue.resume", self.set_paused(target, false))
    }

    async fn stats(&self) -> Result<QueueStats> {
        Ok(self.with(|database, _| database.queue.stats()))
    }

    /// Nothing is cleaned up later here.
    async fn horizon(&self) -> Result<Option<Horizon>> {
        Ok(None)
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        named("job_queue.forget_finished", check_forget(age, limit))?;
        Ok(self.with(|database, now| database.forget_finished(now, age, limit)))
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        let look = self.with(|database, now| {
            crate::tenant_store::require_view(database, scope, now)?;
            let row = database
                .tables(scope.organization())?
                .job(job)
                .ok_or_else(not_found)?;
            let run_at = row.state.run_at;
            Ok(match row.state.status {
                JobStatus::Queued | JobStatus::Failed if run_at <= now => {
                    let has_worker = database.sessions.take_kind(&row.spec.kind, now);
                    let organization = scope.organization();
                    database
                        .queue
                        .holds_back(organization, &row.spec, has_worker)
                }
                JobStatus::Queued => WaitReason::Scheduled { run_at },
                JobStatus::Failed => WaitReason::Backoff {
                    run_at,
                    last_error: row.errors.last().map(|error| error.error.clone()),
                },
                status => WaitReason::NotWaiting { status },
            })
        });
        named("job_queue.why_waiting", look)
    }
}

impl MemoryStore {
    fn set_paused(&self, target: &QueueTarget, paused: bool) -> Result<()> {
        self.with(|database, _| {
            match target {
                QueueTarget::Organization(organization) => {
                    database.require_organization(*organization)?;
                    database.queue.pause_organization(*organization, paused);
                }
                QueueTarget::Kind(kind) => database.queue.pause_kind(kind, paused),
                _ => {
                    let problem = "this store holds back organizations and kinds only";
                    return Err(Error::new(ErrorKind::Unsupported, problem));
                }
            }
            Ok(())
        })
    }

    fn settle_one(
        &self,
        database: &mut Database,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<SettleOutcome> {
        let lease = &settlement.lease;
        let Ok(mut draft) = database.draft(lease.organization) else {
            return Ok(SettleOutcome::Stale);
        };
        match draft.settle(lease, &settlement.outcome, database.holds(lease, now), now) {
            Ok(status) => {
                let ended = FinishOutcome::new(settlement.outcome.clone());
                let scan = draft.end_scan_with(lease.job, status, &ended, now)?;
                let actor = Actor::Processor { job: lease.job };
                let event = ended_event(status, lease.job);
                let events = self.end_event(&draft, actor, event, scan, now)?;
                database.commit(draft, events)?;
                Ok(SettleOutcome::Settled(status))
            }
            Err(Refusal::AlreadySettled) => Ok(SettleOutcome::AlreadySettled),
            Err(_) => Ok(SettleOutcome::Stale),
        }
    }

    /// Takes one job back from a session whose time ran out.
    fn take_back(
        &self,
        database: &mut Database,
        organization: OrganizationId,
        job: JobId,
        now: Timestamp,
    ) -> Result<JobStatus> {
        let mut draft = database.draft(organization)?;
        let token = draft
            .jobs
            .get(&job)
            .and_then(|row| row.state.token)
            .ok_or_else(not_found)?;
        let status = draft.step(job, JobEvent::LeaseExpired(token), now)?;
        if status == JobStatus::Dead {
            draft.note_error(job, CRASH_LOOPED, now);
        }
        // The outcome that nobody reported: `scan_end` knows that a death without one is a crash loop.
        let ended = FinishOutcome::new(JobOutcome::Returned);
        let scan = draft.end_scan_with(job, status, &ended, now)?;
        let event = ended_event(status, job);
        let events = self.end_event(&draft, Actor::System, event, scan, now)?;
        database.commit(draft, events)?;
        Ok(status)
    }

    /// The event of a scan that ended with its job; a job that ran none ends in its history only.
    fn end_event(
        &self,
        draft: &Draft,
        actor: Actor,
        event: EventDraft,
        scan: Option<trueno_core::id::ScanId>,
        now: Timestamp,
    ) -> Result<Vec<AuditEvent>> {
        let event = scan.map(|scan| {
            self.event(
                draft.organization,
                actor,
                event.with_target("scan", scan),
                now,
            )
        });
        Ok(event.transpose()?.into_iter().collect())
    }
}

fn ended_event(status: JobStatus, job: JobId) -> EventDraft {
    let action = if status == JobStatus::Dead {
        "job.dead"
    } else {
        "job.cancelled"
    };
    EventDraft::new(action, "job", job)
}

/// A job that runs a scan has effects in the store: its success is told to `finish`, which ends
/// the scan with it. Told here, it would leave a scan behind that never ends.
fn refuse_to_strand_a_scan(
    database: &Database,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<()> {
    let lease = &settlement.lease;
    if settlement.outcome == JobOutcome::Succeeded
        && database.holds(lease, now)
        && database
            .tables(lease.organization)?
            .scan_of(lease.job)
            .is_some()
    {
        let problem = "its success is reported through TenantStore::finish, with the scan's end";
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("job {} runs a scan: {problem}", lease.job),
        ));
    }
    Ok(())
}

fn valid_limit(limit: usize) -> Result<()> {
    if limit == 0 {
        Err(Error::invalid("limit", "needs at least 1"))
    } else {
        Ok(())
    }
}

fn valid_lease(lease_for: Duration) -> Result<()> {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(3_600);
    if (SHORTEST..=LONGEST).contains(&lease_for) {
        Ok(())
    } else {
        Err(Error::invalid("lease length", "needs 1 s to 1 h"))
    }
}

fn named<T>(operation: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.with_operation(operation))
}
