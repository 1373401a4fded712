//! What really happens to the queue, beneath the faults: written down, and held to the caps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use trueno_core::access::OrgScope;
use trueno_core::error::Result;
use trueno_core::id::{JobId, LeaseToken, OrganizationId, WorkerSessionId};
use trueno_core::model::{Concurrency, JobStatus, NewJob, OrganizationLimits, QueueTarget};
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, Heartbeat, Horizon, JobQueue, LeaseRef,
    QueueStats, ReadView, Recovered, SettleOutcome, Settlement, TenantStore, WaitReason, WakeUps,
};

use crate::fixtures::Tenant;

/// What is known of a job from outside.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) tenant: usize,
    pub(super) concurrency: Option<Concurrency>,
    /// The job whose success enqueues it.
    pub(super) follows: Option<JobId>,
    /// The token of its last claim.
    pub(super) token: Option<LeaseToken>,
    /// How often the queue was told of its success, and took it.
    pub(super) settled: u32,
    /// It was seen to have ended: not looked at again before the end of the run.
    pub(super) has_ended: bool,
}

/// What is written down of a run.
#[derive(Debug)]
pub(super) struct Log {
    begun: Instant,
    /// The store behind the queue, asked for what runs.
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) tenants: Vec<(Tenant, OrganizationLimits)>,
    pub(super) jobs: Mutex<BTreeMap<JobId, Known>>,
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) broken: Mutex<Vec<String>>,
}

impl Log {
    pub(super) fn new(
        store: Arc<dyn TenantStore>,
        tenants: Vec<(Tenant, OrganizationLimits)>,
    ) -> Self {
        Self {
            begun: Instant::now(),
            store,
            tenants,
            jobs: Mutex::default(),
            lines: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// One line of the transcript.
    pub(super) fn line(&self, what: impl std::fmt::Display) {
        let at = self.begun.elapsed().as_millis();
        self.lines.lock().push(format!("{at:>7} ms  {what}"));
    }

    /// Writes a job down, by a name that says nothing of its id.
    pub(super) fn know(
        &self,
        id: JobId,
        tenant: usize,
        concurrency: Option<Concurrency>,
        follows: Option<JobId>,
    ) {
        let mut jobs = self.jobs.lock();
        let name = format!("job {} of organization {tenant}", jobs.len());
        jobs.insert(
            id,
            Known {
                name,
                tenant,
                concurrency,
                follows,
                token: None,
                settled: 0,
                has_ended: false,
            },
        );
    }

    /// Writes a scan's job down that was made behind the log's back.
    pub(super) async fn meet(&self, id: JobId, tenant: usize, view: &mut dyn ReadView) {
        if self.jobs.lock().contains_key(&id) {
            return;
        }
        let job = view.job(id).await.unwrap();
        self.know(id, tenant, job.concurrency, None);
    }

    /// The same for what a worker was given.
    async fn meet_claimed(&self, lease: LeaseRef) {
        let of = |(tenant, _): &(Tenant, _)| tenant.id == lease.organization;
        let nth = self.tenants.iter().position(of).unwrap();
        let mut view = self.store.read(&self.tenants[nth].0.read).await.unwrap();
        self.meet(lease.job, nth, &mut *view).await;
    }

    pub(super) fn breaks(&self, what: impl std::fmt::Display) {
        self.line(format_args!("BROKEN: {what}"));
        self.broken.lock().push(what.to_string());
    }

    pub(super) fn name(&self, job: JobId) -> String {
        let jobs = self.jobs.lock();
        jobs.get(&job)
            .map_or_else(|| job.to_string(), |known| known.name.clone())
    }

    /// The status of every known job that is there and was not seen to have ended.
    async fn statuses(&self) -> Vec<(JobId, Known, JobStatus)> {
        let mut jobs = self.jobs.lock().clone();
        jobs.retain(|_, known| !known.has_ended);
        let mut views = Vec::new();
        for (tenant, _) in &self.tenants {
            views.push(self.store.read(&tenant.read).await.unwrap());
        }
        let mut statuses = Vec::new();
        for (id, known) in jobs {
            // A follower is not there before its time.
            if let Ok(job) = views[known.tenant].job(id).await {
                statuses.push((id, known, job.status));
            }
        }
        statuses
    }

    /// The status of every known job that is there, whatever was seen of it.
    pub(super) async fn ends(&self) -> Vec<(JobId, Known, JobStatus)> {
        for known in self.jobs.lock().values_mut() {
            known.has_ended = false;
        }
        self.statuses().await
    }

    /// Counts what runs, by the jobs themselves.
    async fn check_caps(&self) {
        let mut statuses = self.statuses().await;
        let mut jobs = self.jobs.lock();
        for (id, _, _) in statuses
            .iter()
            .filter(|(_, _, status)| status.is_terminal())
        {
            if let Some(known) = jobs.get_mut(id) {
                known.has_ended = true;
            }
        }
        drop(jobs);
        statuses.retain(|(_, _, status)| *status == JobStatus::Running);
        for (nth, (_, limits)) in self.tenants.iter().enumerate() {
            let running = statuses.iter().filter(|(_, known, _)| known.tenant == nth);
            let running: Vec<&Known> = running.map(|(_, known, _)| known).collect();
            if limits
                .max_running()
                .is_some_and(|most| running.len() > most as usize)
            {
                self.breaks(format_args!(
                    "cap of organization {nth}: {} run",
                    running.len()
                ));
            }
            for concurrency in running
                .iter()
                .filter_map(|known| known.concurrency.as_ref())
            {
                let under = |known: &&&Known| {
                    known
                        .concurrency
                        .as_ref()
                        .is_some_and(|of| of.key() == concurrency.key())
                };
                let count = running.iter().filter(under).count();
                if count > concurrency.limit() as usize {
                    self.breaks(format_args!(
                        "cap of key {}: {count} run",
                        concurrency.key()
                    ));
                }
            }
        }
    }
}

/// The queue as it is, watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) real: Arc<dyn JobQueue>,
    pub(super) log: Arc<Log>,
    /// Whose requests these are.
    pub(super) worker: String,
    /// Its number.
    pub(super) nth: u64,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl JobQueue for Watched {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.real.enqueue(scope, jobs).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let claims = self.real.claim(request).await?;
        for claim in &claims {
            let job = claim.lease.job;
            self.log.meet_claimed(claim.lease).await;
            let name = self.log.name(job);
            self.log
                .line(format_args!("{} is given {name}", self.worker));
            if let Some(known) = self.log.jobs.lock().get_mut(&job) {
                known.token = Some(claim.lease.token);
            }
        }
        if !claims.is_empty() {
            self.log.check_caps().await;
        }
        Ok(claims)
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        self.real.heartbeat(session, lease_for).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        let outcomes = self.real.settle(settlements.clone()).await?;
        for (Settlement { lease, .. }, answer) in settlements.iter().zip(&outcomes) {
            let name = self.log.name(lease.job);
            self.log
                .line(format_args!("{} settles {name}: {answer:?}", self.worker));
            let succeeded = *answer == SettleOutcome::Settled(JobStatus::Succeeded);
            if let Some(known) = self
                .log
                .jobs
                .lock()
                .get_mut(&lease.job)
                .filter(|_| succeeded)
            {
                known.settled += 1;
            }
        }
        Ok(outcomes)
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        self.real.cancel(scope, job).await
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        let recovered = self.real.recover_expired(limit).await?;
        if recovered != Recovered::default() {
            self.log
                .line(format_args!("{} recovers: {recovered:?}", self.worker));
        }
        Ok(recovered)
    }

    /// Each worker's hints come at a moment of its own: in which order a channel wakes those who
    /// listen is nobody's promise, and a run that replays cannot rest on it.
    async fn wake_ups(&self) -> Result<WakeUps> {
        let late = Duration::from_millis(1 + self.nth);
        let hints = self.real.wake_ups().await?;
        Ok(hints.then(move |()| tokio::time::sleep(late)).boxed())
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        self.real.set_limits(organization, limits).await
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        self.real.limits(organization).await
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        self.real.pause(target).await
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        self.real.resume(target).await
    }

    async fn stats(&self) -> Result<QueueStats> {
        self.real.stats().await
    }

    async fn horizon(&self) -> Result<Option<Horizon>> {
        self.real.horizon().await
    }

    async fn forget_finished(&self, age: Duration, limit: usize) -> Result<u64> {
        self.real.forget_finished(age, limit).await
    }

    async fn why_waiting(&self, scope: &OrgScope, job: JobId) -> Result<WaitReason> {
        self.real.why_waiting(scope, job).await
    }
}
