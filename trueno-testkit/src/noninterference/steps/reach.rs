//! Reaching for what is the other side's, under ids that only it should know.

use serde_json::json;
use trueno_core::access::{Action, Identity, OrgScope, authorize};
use trueno_core::id::{
    CloudAccountId, CommentId, ExceptionId, FindingId, JobId, OrganizationId, ScanId, ScheduleId,
    UserId,
};
use trueno_core::model::{
    CronExpression, JobPayload, NewComment, NewException, NewJob, NewScan, NewSchedule, Role,
    ScanKind, ScheduleStatus,
};
use trueno_core::port::{LeaseRef, Settlement};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::exception::ExceptionDecision;
use trueno_core::state::finding::FindingStep;

use super::{Life, Stage, shown_account};
use crate::noninterference::names::Thing;

impl Life {
    /// Two reads and two writes under ids of the other side, by its owner; and a request to be let
    /// into the other organization.
    pub(super) async fn reach(&mut self, stage: &Stage<'_>) {
        let owner = self.users[0];
        let theirs: OrganizationId = self.theirs().id(Thing::Organization, 0);
        let intruder = Identity::authenticated(owner);
        let intruded = authorize(&*stage.store, &intruder, theirs, Action::Read).await;
        self.notes
            .answer("reach.organization", &intruded.map(|_| ()));
        let Some(scope) = self.scope_of(stage, owner, Action::ManageAccounts).await else {
            return;
        };
        for _ in 0..2 {
            self.reach_to_read(stage, &scope).await;
            self.reach_to_write(stage, &scope).await;
        }
    }

    async fn reach_to_read(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        let what = "reach.read";
        match self.pick(&[0, 1, 2, 3, 4, 5, 6, 7]) {
            0 => {
                let id: CloudAccountId = self.foreign(Thing::Account);
                self.look(stage, what, scope, async |view| {
                    let account = view.account(id).await;
                    let counts = view.finding_counts(Some(id)).await?;
                    Ok((account.as_ref().ok().map(shown_account), counts))
                })
                .await;
            }
            1 => {
                let id: ScanId = self.foreign(Thing::Scan);
                self.look(stage, what, scope, async |view| view.scan(id).await)
                    .await;
            }
            2 => {
                let id: ScanId = self.foreign(Thing::Scan);
                self.look(stage, what, scope, async |view| view.coverage(id).await)
                    .await;
            }
            3 => {
                let id: JobId = self.foreign(Thing::Job);
                self.look(stage, what, scope, async |view| view.job(id).await)
                    .await;
                let waiting = stage.queue.why_waiting(scope, id).await;
                self.notes.answer("why_waiting", &waiting);
            }
            4 => {
                let id = self.foreign_finding();
                self.look(stage, what, scope, async |view| view.finding(id).await)
                    .await;
            }
            5 => {
                let id: ExceptionId = self.foreign(Thing::Exception);
                self.look(stage, what, scope, async |view| view.exception(id).await)
                    .await;
            }
            6 => {
                let user: UserId = self.foreign(Thing::User);
                self.look(stage, what, scope, async |view| view.member(user).await)
                    .await;
            }
            _ => {
                let id: ScheduleId = self.foreign(Thing::Schedule);
                self.look(stage, what, scope, async |view| view.schedule(id).await)
                    .await;
            }
        }
    }

    async fn reach_to_write(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        match self.pick(&[0, 1, 2, 3]) {
            0 => self.reach_for_account(stage, scope).await,
            1 => self.reach_for_job_or_member(stage, scope).await,
            2 => self.reach_for_finding(stage, scope).await,
            _ => self.reach_for_exception_or_schedule(stage, scope).await,
        }
    }

    async fn reach_for_account(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        let id: CloudAccountId = self.foreign(Thing::Account);
        match self.pick(&[0, 1, 2]) {
            0 => {
                self.change(stage, "reach.move_account", scope, async |unit| {
                    let moved = unit.apply_account(id, 2, AccountEvent::Paused).await?;
                    Ok(shown_account(&moved))
                })
                .await;
            }
            1 => {
                let (scan, job) = (self.fresh(Thing::Scan), self.fresh(Thing::Job));
                let payload = JobPayload {
                    version: 1,
                    body: json!({ "scan": scan }),
                };
                let new_job = NewJob::new(job, self.names.scan_kind(), payload).unwrap();
                let new = NewScan {
                    id: scan,
                    account: id,
                    job,
                    kind: ScanKind::Inventory,
                };
                self.change(stage, "reach.scan", scope, async |unit| {
                    let scan = unit.insert_scan(new).await?;
                    Ok((scan, unit.enqueue(vec![new_job]).await?))
                })
                .await;
            }
            _ => {
                let cron = CronExpression::new("0 6 * * *", "UTC").unwrap();
                let schedule = self.fresh(Thing::Schedule);
                let name = self.text("Schedule");
                let new = NewSchedule::new(schedule, &name, id, ScanKind::Inventory, cron).unwrap();
                self.change(stage, "reach.schedule", scope, async |unit| {
                    unit.insert_schedule(new).await
                })
                .await;
            }
        }
    }

    async fn reach_for_job_or_member(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        match self.pick(&[0, 1, 2, 3]) {
            0 => {
                let id: JobId = self.foreign(Thing::Job);
                self.change(stage, "reach.cancel", scope, async |unit| {
                    Ok(format!("{:?}", unit.cancel_job(id).await?))
                })
                .await;
                self.change(stage, "reach.redrive", scope, async |unit| {
                    unit.redrive_job(id).await
                })
                .await;
            }
            1 => {
                // Under a token that nobody was given.
                let lease = LeaseRef {
                    organization: self.theirs().id(Thing::Organization, 0),
                    job: self.foreign(Thing::Job),
                    token: self.own(Thing::Session),
                    session: self.own(Thing::Session),
                };
                let outcome = self.outcome();
                let settled = stage
                    .queue
                    .settle(vec![Settlement { lease, outcome }])
                    .await;
                let shown = settled.map(|outcomes| format!("{outcomes:?}"));
                self.notes.answer("reach.settle", &shown);
            }
            2 => {
                let user: UserId = self.foreign(Thing::User);
                self.change(stage, "reach.set_role", scope, async |unit| {
                    unit.set_member_role(user, 1, Role::Viewer).await
                })
                .await;
            }
            _ => {
                let user: UserId = self.foreign(Thing::User);
                self.change(stage, "reach.remove_member", scope, async |unit| {
                    unit.remove_member(user, 1).await
                })
                .await;
            }
        }
    }

    async fn reach_for_finding(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        let id = self.foreign_finding();
        match self.pick(&[0, 1, 2]) {
            0 => {
                self.change(stage, "reach.step", scope, async |unit| {
                    unit.step_finding(id, 1, FindingStep::Acknowledge).await
                })
                .await;
            }
            1 => {
                let user: UserId = self.foreign(Thing::User);
                self.change(stage, "reach.assign", scope, async |unit| {
                    unit.assign_finding(id, 1, Some(user)).await
                })
                .await;
            }
            _ => {
                let comment: CommentId = self.foreign(Thing::Comment);
                let new = NewComment::new(comment, id, &self.text("Comment")).unwrap();
                self.change(stage, "reach.comment", scope, async |unit| {
                    unit.add_comment(new).await
                })
                .await;
            }
        }
    }

    async fn reach_for_exception_or_schedule(&mut self, stage: &Stage<'_>, scope: &OrgScope) {
        match self.pick(&[0, 1, 2, 3]) {
            0 => {
                let finding = self.foreign_finding();
                let (id, now) = (self.foreign(Thing::Exception), stage.now().await);
                let lasts = std::time::Duration::from_secs(300 * 24 * 3_600);
                let reason = self.text("Reason");
                let new = NewException::new(id, finding, &reason, now + lasts, now).unwrap();
                self.change(stage, "reach.except", scope, async |unit| {
                    unit.request_exception(new).await
                })
                .await;
            }
            1 => {
                let id: ExceptionId = self.foreign(Thing::Exception);
                let decision = ExceptionDecision::Withdraw;
                self.change(stage, "reach.withdraw", scope, async |unit| {
                    unit.decide_exception(id, 1, decision).await
                })
                .await;
            }
            2 => {
                let id: ScheduleId = self.foreign(Thing::Schedule);
                let status = ScheduleStatus::Paused;
                self.change(stage, "reach.pause_schedule", scope, async |unit| {
                    unit.set_schedule_status(id, 1, status).await
                })
                .await;
            }
            _ => {
                let id: ScheduleId = self.foreign(Thing::Schedule);
                self.change(stage, "reach.remove_schedule", scope, async |unit| {
                    unit.remove_schedule(id, 1).await
                })
                .await;
            }
        }
    }

    /// A finding that the other side may have.
    fn foreign_finding(&mut self) -> FindingId {
        let account = self.foreign(Thing::Account);
        let key = self.finding().key;
        FindingId::of(account, &key)
    }
}
