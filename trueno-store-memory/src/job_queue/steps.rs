//! What can happen to a job, as changes of a draft: shared by the queue and the four doors.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, ScanId};
use trueno_core::model::{Dedupe, Job, JobError, JobStatus, NewJob, Scan};
use trueno_core::port::tenant_store::scan_end;
use trueno_core::port::{CancelOutcome, Claim, Enqueued, FinishOutcome, JobOutcome, LeaseRef};
use trueno_core::state::job::{self, JobEvent, JobState};
use trueno_core::state::scan::{self, ScanEvent};
use trueno_core::state::{InvalidTransition, Refusal};

use crate::state::{DedupeKey, Draft, JobRow, JobSpec};

pub(crate) fn not_found() -> Error {
    Error::not_found("job")
}

pub(crate) fn created_any(answers: &[Enqueued]) -> bool {
    answers
        .iter()
        .any(|answer| matches!(answer, Enqueued::Created(_)))
}

impl Draft {
    /// Adds jobs. Answers in their order.
    pub(crate) fn enqueue(&mut self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Enqueued>> {
        jobs.into_iter()
            .map(|job| self.enqueue_one(job, now))
            .collect()
    }

    fn enqueue_one(&mut self, new: NewJob, now: Timestamp) -> Result<Enqueued> {
        new.check()?;
        if self.jobs.contains(&new.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the job's id is in use",
            ));
        }
        let spec = JobSpec {
            kind: new.kind,
            payload: new.payload,
            dedupe: new.dedupe,
            priority: new.priority,
            concurrency: new.concurrency,
            timeout: new.timeout,
            backoff: new.backoff,
            correlation_id: new.correlation_id,
            enqueued_at: now,
        };
        if let Some(key) = spec.dedupe_key() {
            if let Some(live) = self.jobs_by_key.get(&key).map(|live| **live) {
                // The answer is worth something only if that job is still live at the commit.
                self.jobs_by_key.rely_on(key);
                return Ok(Enqueued::Duplicate(live));
            }
            let window = spec.dedupe.as_ref().and_then(Dedupe::window);
            if let Some(latest) = window.and_then(|window| self.latest_within(&key, window, now)) {
                return Ok(Enqueued::Duplicate(latest));
            }
            self.jobs_by_key.put(key.clone(), new.id);
            self.latest_by_key.put(key, new.id);
        }
        let row = JobRow {
            spec: Arc::new(spec),
            state: JobState::enqueued(new.run_at.unwrap_or(now), new.max_attempts),
            holder: None,
            finished_at: None,
            errors: Vec::new(),
            result: None,
        };
        self.jobs.put(new.id, row);
        Ok(Enqueued::Created(new.id))
    }

    /// The job that was enqueued last with the key, within the window, unless it was cancelled.
    fn latest_within(&self, key: &DedupeKey, window: Duration, now: Timestamp) -> Option<JobId> {
        let latest = **self.latest_by_key.get(key)?;
        let row = self.jobs.get(&latest)?;
        let age = now.duration_since(row.spec.enqueued_at);
        let stands = row.state.status != JobStatus::Cancelled && age.unsigned_abs() < window;
        stands.then_some(latest)
    }

    /// Gives a job that is due to a session.
    pub(crate) fn claim(
        &mut self,
        lease: LeaseRef,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Claim> {
        self.step(lease.job, JobEvent::Claimed(lease.token), now)?;
        let mut row = self.job_row(lease.job)?;
        row.holder = Some(lease.session);
        let claim = Claim {
            lease,
            kind: row.spec.kind.clone(),
            payload: row.spec.payload.clone(),
            failed_attempts: row.state.failed_attempts,
            max_attempts: row.state.max_attempts,
            lost_leases: row.state.lost_leases,
            timeout: row.spec.timeout,
            backoff: row.spec.backoff,
            correlation_id: row.spec.correlation_id,
            enqueued_at: row.spec.enqueued_at,
            run_at: row.state.run_at,
            expires_at,
        };
        self.jobs.put(lease.job, row);
        Ok(claim)
    }

    /// One step of the job machine.
    pub(crate) fn step(&mut self, id: JobId, event: JobEvent, now: Timestamp) -> Result<JobStatus> {
        let row = self.job_row(id)?;
        Ok(self.apply_step(id, row, event, now)?)
    }

    fn apply_step(
        &mut self,
        id: JobId,
        mut row: JobRow,
        event: JobEvent,
        now: Timestamp,
    ) -> Result<JobStatus, InvalidTransition> {
        row.state = job::apply(&row.state, event, now)?.to;
        let status = row.state.status;
        if status != JobStatus::Running {
            row.holder = None;
        }
        if status.is_terminal() {
            row.finished_at = Some(now);
            if let Some(key) = row.spec.dedupe_key() {
                self.jobs_by_key.remove(key);
            }
        }
        self.jobs.put(id, row);
        Ok(status)
    }

    /// Ends an attempt; `held` says whether the lease holds. Refuses what is stale, or settled.
    pub(crate) fn settle(
        &mut self,
        lease: &LeaseRef,
        outcome: &JobOutcome,
        held: bool,
        now: Timestamp,
    ) -> Result<JobStatus, Refusal> {
        let Ok(row) = self.job_row(lease.job) else {
            return Err(Refusal::Stale);
        };
        // A session whose time ran out has lost its jobs, though nobody took them back yet.
        if row.state.status == JobStatus::Running && !held {
            return Err(Refusal::Stale);
        }
        let status = self
            .apply_step(lease.job, row, outcome.event(lease), now)
            .map_err(|invalid| invalid.refusal)?;
        if let JobOutcome::Failed { error, .. } = outcome {
            self.note_error(lease.job, error, now);
        }
        Ok(status)
    }

    /// Notes why an attempt failed, or the last lease was lost.
    pub(crate) fn note_error(&mut self, id: JobId, error: &str, now: Timestamp) {
        if let Ok(mut row) = self.job_row(id) {
            row.errors.push(JobError {
                at: now,
                error: error.to_owned(),
            });
            let beyond = row.errors.len().saturating_sub(Job::MAX_ERRORS);
            row.errors.drain(..beyond);
            self.jobs.put(id, row);
        }
    }

    /// Keeps what the job's handler left.
    pub(crate) fn keep_result(&mut self, id: JobId, result: Value) {
        if let Ok(mut row) = self.job_row(id) {
            row.result = Some(result);
            self.jobs.put(id, row);
        }
    }

    /// Lets a dead job begin anew.
    pub(crate) fn redrive(&mut self, id: JobId, now: Timestamp) -> Result<Job> {
        let mut row = self.job_row(id)?;
        row.state = job::apply(&row.state, JobEvent::Redriven, now)?.to;
        if self.scans_by_job.get(&id).is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the job's scan ended with it: request another scan",
            ));
        }
        row.finished_at = None;
        if let Some(key) = row.spec.dedupe_key() {
            if self.jobs_by_key.get(&key).is_some() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "another live job has the job's dedupe key",
                ));
            }
            self.jobs_by_key.put(key, id);
        }
        self.jobs.put(id, row);
        self.job(id)
    }

    /// Asks to stop a job. Answers also the scan that ended with it.
    pub(crate) fn cancel(
        &mut self,
        id: JobId,
        now: Timestamp,
    ) -> Result<(CancelOutcome, Option<ScanId>)> {
        let row = self.job_row(id)?;
        let status = row.state.status;
        if status.is_terminal() {
            return Ok((CancelOutcome::AlreadyFinished(status), None));
        }
        match self.apply_step(id, row, JobEvent::CancelRequested, now)? {
            JobStatus::Cancelled => {
                let ended = FinishOutcome::new(JobOutcome::Cancelled);
                let scan = self.end_scan_with(id, JobStatus::Cancelled, &ended, now)?;
                Ok((CancelOutcome::Cancelled, scan))
            }
            _ => Ok((CancelOutcome::Requested, None)),
        }
    }

    /// Ends the scan of a job that is now `status`, where it runs one and [`scan_end`] says so.
    pub(crate) fn end_scan_with(
        &mut self,
        job: JobId,
        status: JobStatus,
        outcome: &FinishOutcome,
        now: Timestamp,
    ) -> Result<Option<ScanId>> {
        let Some(id) = self.scans_by_job.get(&job).map(|id| **id) else {
            return Ok(None);
        };
        let Some(event) = scan_end(status, outcome) else {
            return Ok(None);
        };
        let mut row = self.scan_row(id)?;
        row.status = scan::apply(row.status, &event)?.to;
        row.finished_at = Some(now);
        row.version += 1;
        if let ScanEvent::Failed { reason } = event {
            row.error = Some(reason);
        }
        self.scans.put(Reverse(id), row);
        Ok(Some(id))
    }

    pub(crate) fn job_row(&self, id: JobId) -> Result<JobRow> {
        self.jobs
            .get(&id)
            .map(|row| JobRow::clone(row))
            .ok_or_else(not_found)
    }

    pub(crate) fn scan_row(&self, id: ScanId) -> Result<Scan> {
        self.scans
            .get(&Reverse(id))
            .map(|row| Scan::clone(row))
            .ok_or_else(|| Error::not_found("scan"))
    }

    /// A job as its organization sees it.
    pub(crate) fn job(&self, id: JobId) -> Result<Job> {
        let row = self.job_row(id)?;
        Ok(self.job_of(id, row))
    }

    pub(crate) fn job_of(&self, id: JobId, row: JobRow) -> Job {
        Job {
            id,
            organization: self.organization,
            kind: row.spec.kind.clone(),
            status: row.state.status,
            failed_attempts: row.state.failed_attempts,
            max_attempts: row.state.max_attempts,
            priority: row.spec.priority,
            concurrency: row.spec.concurrency.clone(),
            correlation_id: row.spec.correlation_id,
            lost_leases: row.state.lost_leases,
            cancel_requested: row.state.cancel_requested && !row.state.status.is_terminal(),
            run_at: row.state.run_at,
            created_at: row.spec.enqueued_at,
            finished_at: row.finished_at,
            errors: row.errors,
            result: row.result,
        }
    }
}
