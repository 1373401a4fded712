//! The suite of `JobQueue` over the queue in memory, wrapped: as it is it passes, and each way of
//! breaking what is promised of shares, caps, pauses and quotas is noticed by the case that promises
//! it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use trueno_core::access::OrgScope;
use trueno_core::clock::Clock as _;
use trueno_core::error::{ErrorKind, Result};
use trueno_core::id::{IdSource, JobId, OrganizationId, WorkerSessionId};
use trueno_core::model::{Concurrency, NewJob, OrganizationLimits, QueueTarget};
use trueno_core::port::{
    CancelOutcome, Claim, ClaimRequest, Enqueued, Heartbeat, Horizon, JobOutcome, JobQueue,
    QueueStats, Recovered, SettleOutcome, Settlement, TenantStore, WaitReason, WakeUps,
};
use trueno_store_memory::MemoryStore;
use trueno_testkit::clock::ManualClock;
use trueno_testkit::harness::StoreHarness;
use trueno_testkit::job_queue::{
    World, caps, enqueue, fair, isolation, keys, limits, order, pause, quota, settle, waits,
};
use trueno_testkit::suite::run;

/// A way of breaking the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    AnswersInAnyOrder,
    ClampsPriorities,
    DoublesPriorities,
    FavoursOne,
    ForgetsKeys,
    ForgetsPriorities,
    ForgetsQuotas,
    ForgetsTimes,
    ForgetsWeights,
    KeepsFormerLimits,
    KeysByKind,
    KnowsNoReason,
    LetsOneMoreRun,
    OneLimitForAllKeys,
    PausesNothing,
    PausesOnlyOrganizations,
    ResumesEverything,
    SharesLimits,
    TakesAnyOrganization,
}

/// What the defects remember.
#[derive(Debug, Default)]
struct Memo {
    organizations: Vec<OrganizationId>,
    limits: Option<OrganizationLimits>,
    paused: Vec<QueueTarget>,
}

/// A [`JobQueue`] with a defect: otherwise it is the queue that it wraps.
#[derive(Clone, Debug)]
struct Planted {
    real: MemoryStore,
    defect: Defect,
    memo: Arc<Mutex<Memo>>,
}

impl Planted {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn planted_job(&self, mut job: NewJob) -> NewJob {
        match self.defect {
            Defect::ClampsPriorities => job.priority = job.priority.clamp(-100, 100),
            Defect::DoublesPriorities => job.priority = (job.priority * 2).clamp(-100, 100),
            Defect::ForgetsPriorities => job.priority = 0,
            Defect::ForgetsKeys => job.concurrency = None,
            Defect::ForgetsTimes => job.timeout = None,
            _ => {}
        }
        if let Some(concurrency) = &job.concurrency {
            let (key, limit) = match self.defect {
                Defect::KeysByKind => (
                    format!("{} {}", job.kind, concurrency.key()),
                    concurrency.limit(),
                ),
                Defect::OneLimitForAllKeys => (concurrency.key().to_owned(), 2),
                _ => return job,
            };
            job.concurrency = Some(Concurrency::new(&key, limit).unwrap());
        }
        job
    }

    /// `limits` without one of them.
    fn planted_limits(&self, limits: OrganizationLimits) -> OrganizationLimits {
        let former = self.memo.lock().limits.replace(limits);
        let more = u32::from(self.is(Defect::LetsOneMoreRun));
        let mut planted = OrganizationLimits::default();
        if !self.is(Defect::ForgetsWeights) {
            planted = planted.with_weight(limits.weight()).unwrap();
        }
        let keep = |now: Option<u32>, then: Option<u32>| match self.is(Defect::KeepsFormerLimits) {
            true => now.or(then),
            false => now,
        };
        let former = former.unwrap_or_default();
        if let Some(jobs) = keep(limits.max_running(), former.max_running()) {
            planted = planted.with_max_running(jobs + more).unwrap();
        }
        match keep(limits.max_live(), former.max_live()) {
            Some(jobs) if !self.is(Defect::ForgetsQuotas) => planted.with_max_live(jobs).unwrap(),
            _ => planted,
        }
    }
}

#[async_trait]
impl JobQueue for Planted {
    async fn enqueue(&self, scope: &OrgScope, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let jobs = jobs.into_iter().map(|job| self.planted_job(job)).collect();
        let organization = scope.organization();
        self.memo.lock().organizations.push(organization);
        self.real.enqueue(scope, jobs).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let mut claims = self.real.claim(request).await?;
        if self.is(Defect::FavoursOne) {
            let favourite = self.memo.lock().organizations[0];
            let is_kept = |claim: &Claim| claim.lease.organization == favourite;
            let others = claims.iter().filter(|claim| !is_kept(claim));
            let back = others.map(|claim| Settlement {
                lease: claim.lease,
                outcome: JobOutcome::Returned,
            });
            self.real.settle(back.collect()).await?;
            claims.retain(is_kept);
        }
        Ok(claims)
    }

    async fn heartbeat(&self, session: WorkerSessionId, lease_for: Duration) -> Result<Heartbeat> {
        self.real.heartbeat(session, lease_for).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<SettleOutcome>> {
        let mut answers = self.real.settle(settlements).await?;
        if self.is(Defect::AnswersInAnyOrder) && answers.len() > 100 {
            answers.swap(0, 1);
        }
        Ok(answers)
    }

    async fn cancel(&self, scope: &OrgScope, job: JobId) -> Result<CancelOutcome> {
        self.real.cancel(scope, job).await
    }

    async fn recover_expired(&self, limit: usize) -> Result<Recovered> {
        self.real.recover_expired(limit).await
    }

    async fn wake_ups(&self) -> Result<WakeUps> {
        self.real.wake_ups().await
    }

    async fn set_limits(
        &self,
        organization: OrganizationId,
        limits: &OrganizationLimits,
    ) -> Result<()> {
        let limits = self.planted_limits(*limits);
        let others = self.memo.lock().organizations.clone();
        if self.is(Defect::SharesLimits) {
            for other in others {
                self.real.set_limits(other, &limits).await?;
            }
        }
        match self.real.set_limits(organization, &limits).await {
            Err(error)
                if self.is(Defect::TakesAnyOrganization) && error.kind() == ErrorKind::NotFound =>
            {
                Ok(())
            }
            answer => answer,
        }
    }

    async fn limits(&self, organization: OrganizationId) -> Result<OrganizationLimits> {
        self.real.limits(organization).await
    }

    async fn pause(&self, target: &QueueTarget) -> Result<()> {
        self.memo.lock().paused.push(target.clone());
        let is_kind = matches!(target, QueueTarget::Kind(_));
        match self.defect {
            Defect::PausesNothing => Ok(()),
            Defect::PausesOnlyOrganizations if is_kind => Ok(()),
            _ => self.real.pause(target).await,
        }
    }

    async fn resume(&self, target: &QueueTarget) -> Result<()> {
        if self.is(Defect::ResumesEverything) {
            let paused = std::mem::take(&mut self.memo.lock().paused);
            for target in paused {
                self.real.resume(&target).await?;
            }
        }
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
        let reason = self.real.why_waiting(scope, job).await?;
        Ok(match reason {
            WaitReason::Paused
            | WaitReason::NoWorker
            | WaitReason::OrganizationLimit { .. }
            | WaitReason::ConcurrencyLimit { .. }
                if self.is(Defect::KnowsNoReason) =>
            {
                WaitReason::Due
            }
            reason => reason,
        })
    }
}

struct Harness {
    clock: ManualClock,
    ids: IdSource,
    store: MemoryStore,
    queue: Planted,
}

async fn broken(defect: Defect) -> Harness {
    let (clock, ids) = (ManualClock::default(), IdSource::seeded(1));
    let store = MemoryStore::new(clock.shared(), ids.clone());
    let queue = Planted {
        real: store.clone(),
        defect,
        memo: Arc::default(),
    };
    Harness {
        clock,
        ids,
        store,
        queue,
    }
}

#[async_trait]
impl StoreHarness for Harness {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::new(self.store.clone())
    }

    fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.queue.clone())
    }

    fn ids(&self) -> IdSource {
        self.ids.clone()
    }

    async fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

mod a_sound_queue_passes {
    use super::{Defect, broken};

    trueno_testkit::job_queue_conformance!("a wrapped queue", || broken(Defect::None));
}

/// Checks that a case fails over a queue with `defect`.
#[track_caller]
fn noticed(defect: Defect, case: impl AsyncFnOnce(World) + std::panic::UnwindSafe) {
    let ran = std::panic::catch_unwind(|| {
        run(
            "job_queue",
            "defect",
            async { World::new(broken(defect).await).await },
            case,
        );
    });
    assert!(ran.is_err(), "{defect:?} went unnoticed");
}

#[test]
fn every_defect_of_the_order_is_noticed() {
    noticed(Defect::ForgetsPriorities, order::jobs_come_by_rank_then_id);
    noticed(Defect::DoublesPriorities, order::priority_ages);
    noticed(
        Defect::DoublesPriorities,
        order::priority_ages_from_claim_to_claim,
    );
    noticed(
        Defect::ClampsPriorities,
        order::priorities_out_of_range_are_refused,
    );
}

#[test]
fn every_defect_of_fairness_is_noticed() {
    for defect in [Defect::FavoursOne, Defect::ForgetsWeights] {
        noticed(defect, fair::organizations_share_by_weight);
    }
    noticed(
        Defect::FavoursOne,
        fair::organizations_share_equally_whatever_they_have_waiting,
    );
    noticed(Defect::FavoursOne, fair::who_comes_late_gets_an_equal_share);
    noticed(
        Defect::LetsOneMoreRun,
        fair::what_one_cannot_take_is_the_others,
    );
    noticed(
        Defect::PausesNothing,
        fair::what_one_cannot_take_is_the_others,
    );
}

#[test]
fn every_defect_of_the_caps_is_noticed() {
    let defect = Defect::LetsOneMoreRun;
    noticed(defect, caps::no_more_run_than_max_running);
    noticed(defect, caps::a_cap_can_be_changed_while_jobs_run);
    noticed(defect, caps::a_place_is_free_however_the_attempt_ended);
    noticed(
        defect,
        caps::a_lost_lease_keeps_its_place_until_it_is_recovered,
    );
    noticed(defect, caps::a_full_organization_holds_no_other_back);
    noticed(defect, caps::max_running_holds_when_many_claim_at_once);
    noticed(
        Defect::KeepsFormerLimits,
        caps::a_cap_can_be_changed_while_jobs_run,
    );
}

#[test]
fn every_defect_of_concurrency_keys_is_noticed() {
    let defect = Defect::ForgetsKeys;
    noticed(defect, keys::a_concurrency_key_limits_what_runs_under_it);
    noticed(defect, keys::each_job_brings_its_own_limit);
    noticed(
        defect,
        keys::a_place_under_a_key_is_free_however_the_attempt_ended,
    );
    noticed(defect, keys::a_cancelled_job_leaves_its_key_to_the_others);
    noticed(defect, keys::blocked_jobs_hold_no_others_back);
    noticed(defect, keys::a_claim_for_one_job_finds_it_behind_a_full_key);
    noticed(defect, keys::a_key_counts_within_its_organization);
    noticed(defect, keys::key_limits_hold_when_many_claim_at_once);
    noticed(
        Defect::OneLimitForAllKeys,
        keys::each_job_brings_its_own_limit,
    );
    noticed(Defect::KeysByKind, keys::a_key_is_shared_by_kinds);
}

#[test]
fn every_defect_of_pauses_is_noticed() {
    let defect = Defect::PausesNothing;
    noticed(defect, pause::a_paused_organization_begins_nothing);
    noticed(defect, pause::a_kind_that_nobody_enqueued_can_be_paused);
    noticed(
        Defect::PausesOnlyOrganizations,
        pause::a_paused_kind_begins_nothing_of_anybody,
    );
    let defect = Defect::ResumesEverything;
    noticed(defect, pause::both_pauses_have_to_be_lifted);
}

#[test]
fn every_defect_of_quotas_and_limits_is_noticed() {
    let defect = Defect::ForgetsQuotas;
    noticed(defect, quota::a_full_organization_enqueues_no_more);
    noticed(defect, quota::every_end_makes_room);
    noticed(defect, quota::the_quota_counts_what_a_unit_of_work_enqueued);
    noticed(defect, quota::what_finish_enqueues_is_always_taken);
    noticed(defect, quota::a_lowered_quota_takes_nothing_away);
    for defect in [Defect::ForgetsQuotas, Defect::KeepsFormerLimits] {
        noticed(defect, limits::limits_are_what_was_set_last);
    }
    let defect = Defect::TakesAnyOrganization;
    noticed(defect, limits::an_unknown_organization_is_not_found);
    noticed(defect, limits::an_erased_organization_keeps_no_limits);
}

#[test]
fn every_defect_of_reasons_is_noticed() {
    let defect = Defect::KnowsNoReason;
    noticed(defect, waits::a_job_waits_for_a_worker_of_its_kind);
    noticed(defect, waits::a_job_waits_while_it_is_paused);
    noticed(defect, waits::a_job_waits_for_room_in_its_organization);
    noticed(defect, waits::a_job_waits_for_room_under_its_key);
    noticed(defect, waits::the_first_reason_is_told);
}

#[test]
fn every_other_defect_is_noticed() {
    noticed(
        Defect::ForgetsTimes,
        enqueue::timeout_and_backoff_arrive_with_each_claim,
    );
    noticed(
        Defect::AnswersInAnyOrder,
        settle::a_batch_of_hundreds_is_answered_in_order,
    );
    noticed(Defect::SharesLimits, isolation::isolation_set_limits);
    noticed(Defect::ResumesEverything, isolation::isolation_pause);
}
