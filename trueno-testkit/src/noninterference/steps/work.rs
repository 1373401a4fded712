//! What a processor does for the organization: claims, batches, ends, and lost leases.

use std::time::Duration;

use serde_json::{Value, json};
use trueno_core::access::Action;
use trueno_core::error::ErrorKind;
use trueno_core::id::{FindingId, JobId, WorkerSessionId};
use trueno_core::model::{EventDraft, JobPayload, NewJob};
use trueno_core::port::{
    ClaimRequest, FindingFilter, FinishOutcome, JobOutcome, Lease, PageRequest, ScanFilter,
    Settlement, claim_leases,
};
use trueno_core::state::scan::ScanEvent;

use super::{Life, Stage};
use crate::noninterference::names::{SHARED_KIND, Thing};

/// How long leases last, which no run comes near to by the machine's clock.
pub(super) const LEASE: Duration = Duration::from_secs(20 * 60);

/// What time a lost lease takes: whole hours, as schedules fire.
const LOST_AFTER: Duration = Duration::from_secs(3_600);

/// How long a failed attempt waits for the next: over by the time that a lease was lost.
const BACKOFF: Duration = Duration::from_secs(10 * 60);

impl Life {
    pub(super) async fn work(&mut self, stage: &Stage<'_>) {
        let Some(lease) = self.lease.take() else {
            return self.claim(stage).await;
        };
        let holds = match self.pick(&[0, 0, 0, 0, 0, 1, 1, 1, 2, 3]) {
            0 => self.ingest(stage, &lease).await,
            1 => self.finish(stage, &lease).await,
            2 => self.settle_attempt(stage, &lease).await,
            _ => {
                self.read_under(stage, &lease).await;
                self.heartbeat(stage, &lease).await
            }
        };
        self.keep(lease, holds);
    }

    /// Keeps a lease: at hand while it holds, among the past ones from then on.
    fn keep(&mut self, lease: Lease, holds: bool) {
        if holds {
            self.lease = Some(lease);
        } else {
            self.past.push(lease);
        }
    }

    /// Claims the scan that is next, and ingests the first of it.
    async fn claim(&mut self, stage: &Stage<'_>) {
        let session: WorkerSessionId = self.own(Thing::Session);
        let kinds = vec![self.names.scan_kind()];
        let request = ClaimRequest::new(session, "worker", kinds, 1).with_lease_for(LEASE);
        let claimed = claim_leases(&*stage.queue, &request).await;
        let shown = claimed.as_ref().map(|leases| shown_claims(leases));
        match shown {
            Ok(shown) => self.notes.given("claim", &shown),
            Err(error) => self.notes.refusal("claim", error),
        }
        let Some(lease) = claimed.ok().and_then(|mut leases| leases.pop()) else {
            return;
        };
        let holds = self.ingest(stage, &lease).await;
        self.keep(lease, holds);
    }

    /// One batch. Answers whether the lease still holds.
    async fn ingest(&mut self, stage: &Stage<'_>, lease: &Lease) -> bool {
        let harvest = self.harvest();
        let keys: Vec<String> = harvest.findings.iter().map(|f| f.key.clone()).collect();
        let ingested = async {
            let mut batch = stage.store.ingest(lease).await?;
            stage.pause().await;
            let scan = batch.start_scan(harvest.tasks).await?;
            batch.put_resources(harvest.resources).await?;
            batch.put_findings(harvest.findings).await?;
            stage.pause().await;
            batch.resolve_findings(harvest.resolved).await?;
            batch.put_coverage(harvest.coverage).await?;
            if let Some(progress) = harvest.progress {
                batch.set_progress(progress).await?;
            }
            batch.commit().await?;
            Ok(scan)
        };
        let ingested = ingested.await;
        self.notes.answer("ingest", &ingested);
        match ingested {
            Ok(scan) => {
                let found = keys.iter().map(|key| FindingId::of(scan.account, key));
                self.findings.extend(found);
                true
            }
            Err(error) => error.kind() != ErrorKind::StaleLease,
        }
    }

    /// Finishes the job. Answers whether the lease still holds, since it was refused.
    async fn finish(&mut self, stage: &Stage<'_>, lease: &Lease) -> bool {
        let outcome = self.outcome();
        let mut finish = FinishOutcome::new(outcome.clone());
        if outcome == JobOutcome::Succeeded {
            let coverage_complete = self.chance(0.5);
            finish = finish.with_scan(ScanEvent::Completed { coverage_complete });
            if self.chance(0.5) {
                let next = self.shared_job();
                self.jobs.push(next.id);
                finish = finish.with_next(vec![next]);
            }
        }
        let mut holds = self.end_lease(stage, lease, finish.clone()).await;
        if self.chance(0.3) {
            holds = self.end_lease(stage, lease, finish).await;
        }
        holds
    }

    async fn end_lease(
        &mut self,
        stage: &Stage<'_>,
        lease: &Lease,
        outcome: FinishOutcome,
    ) -> bool {
        stage.tick().await;
        let event = EventDraft::new("scan.finished", "job", lease.reference().job);
        let finished = stage.store.finish(lease, outcome, event).await;
        let shown = finished.map(|finished| format!("{finished:?}"));
        self.notes.answer("finish", &shown);
        shown.is_err_and(|error| error.kind() != ErrorKind::StaleLease)
    }

    /// Settles a job that runs a scan. Answers whether the lease still holds, since it was refused:
    /// it is where the job is said to have succeeded.
    async fn settle_attempt(&mut self, stage: &Stage<'_>, lease: &Lease) -> bool {
        let settlement = Settlement {
            lease: lease.reference(),
            outcome: self.outcome(),
        };
        !self.settle(stage, vec![settlement]).await
    }

    /// Answers whether it was not refused.
    pub(super) async fn settle(&mut self, stage: &Stage<'_>, settlements: Vec<Settlement>) -> bool {
        stage.tick().await;
        let settled = stage.queue.settle(settlements).await;
        let shown = settled.map(|outcomes| format!("{outcomes:?}"));
        self.notes.answer("settle", &shown);
        shown.is_ok()
    }

    /// Answers whether the lease still holds.
    async fn heartbeat(&mut self, stage: &Stage<'_>, lease: &Lease) -> bool {
        let session = lease.reference().session;
        let beat = stage.queue.heartbeat(session, LEASE).await;
        let shown = beat.as_ref().map(|beat| {
            let held = beat.held.iter().map(|held| {
                let (lease, cancel) = (held.lease, held.cancel_requested);
                json!([
                    lease.organization,
                    lease.job,
                    lease.token,
                    lease.session,
                    cancel
                ])
            });
            let held: Vec<Value> = held.collect();
            json!({ "id": session, "expires_at": beat.expires_at, "held": held })
        });
        match shown {
            Ok(shown) => self.notes.given("heartbeat", &shown),
            Err(error) => self.notes.refusal("heartbeat", error),
        }
        beat.is_ok()
    }

    /// How an attempt ends: mostly well.
    pub(super) fn outcome(&mut self) -> JobOutcome {
        match self.pick(&[0, 0, 0, 0, 0, 0, 1, 2, 3, 4]) {
            0 => JobOutcome::Succeeded,
            kind @ (1 | 2) => JobOutcome::Failed {
                error: self.text("Failure"),
                retryable: kind == 1,
                retry_after: BACKOFF,
            },
            3 => JobOutcome::Returned,
            _ => JobOutcome::Cancelled,
        }
    }

    /// A job that both organizations enqueue, under the same id or dedupe key, and nobody claims.
    pub(super) fn shared_job(&mut self) -> NewJob {
        let id: JobId = self.fresh(Thing::Job);
        let payload = JobPayload {
            version: 1,
            body: json!({ "of": self.names.side.label() }),
        };
        let job = NewJob::new(id, SHARED_KIND, payload).unwrap();
        match self.pick(&[None, Some("nightly"), Some("weekly")]) {
            Some(key) => job.with_dedupe_key(key).unwrap(),
            None => job,
        }
    }

    /// Time runs out for every lease there is; jobs are taken back; B's late worker is told.
    pub(super) async fn lose_lease(&mut self, stage: &Stage<'_>) {
        stage.pass(LOST_AFTER).await;
        stage.pause().await;
        let lost = self.lease.take().or_else(|| self.past.pop());
        if let Some(lease) = lost {
            self.try_late(stage, &lease).await;
            stage.recover(&mut self.notes).await;
            stage.pause().await;
            self.try_late(stage, &lease).await;
            let owner = self.users[0];
            if let Some(scope) = self.scope_of(stage, owner, Action::Read).await {
                let job = lease.reference().job;
                self.look(stage, "job", &scope, async |view| view.job(job).await)
                    .await;
            }
            self.past.push(lease);
        } else {
            stage.recover(&mut self.notes).await;
        }
    }

    /// What somebody does who does not know yet that the lease is lost.
    async fn try_late(&mut self, stage: &Stage<'_>, lease: &Lease) {
        match self.pick(&[0, 1, 2]) {
            0 => {
                self.ingest(stage, lease).await;
            }
            1 => {
                self.finish(stage, lease).await;
            }
            _ => self.read_under(stage, lease).await,
        }
    }

    /// What a job reads, for as long as its lease holds.
    async fn read_under(&mut self, stage: &Stage<'_>, lease: &Lease) {
        self.look(stage, "read_under_lease", lease.scope(), async |view| {
            let page = PageRequest::largest();
            let scans = view.scans(&ScanFilter::default(), &page).await?;
            let findings = view.findings(&FindingFilter::default(), &page).await?;
            Ok((scans.items, findings.items))
        })
        .await;
    }
}

/// Claims as a worker gets them.
pub(super) fn shown_claims(leases: &[Lease]) -> Value {
    let shown = leases.iter().map(Lease::claim).map(|claim| {
        json!({
            "id": claim.lease.job,
            "organization": claim.lease.organization,
            "token": claim.lease.token,
            "session": claim.lease.session,
            "kind": claim.kind,
            "payload": claim.payload,
            "failed_attempts": claim.failed_attempts,
            "max_attempts": claim.max_attempts,
            "lost_leases": claim.lost_leases,
            "timeout": claim.timeout,
            "backoff": claim.backoff.map(|backoff| format!("{backoff:?}")),
            "enqueued_at": claim.enqueued_at,
            "expires_at": claim.expires_at,
        })
    });
    shown.collect()
}
