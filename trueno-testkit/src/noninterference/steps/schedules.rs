//! Schedules, and what becomes of them when they are due.

use std::time::Duration;

use serde_json::json;
use trueno_core::access::Action;
use trueno_core::id::ScheduleId;
use trueno_core::model::{
    Actor, CronExpression, MissedTicks, NewSchedule, ScanKind, ScheduleStatus,
};
use trueno_core::port::{PageRequest, ScanFilter};

use super::{Life, Stage};
use crate::noninterference::names::Thing;

const HOUR: Duration = Duration::from_secs(3_600);

impl Life {
    pub(super) async fn change_schedule(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::ManageSchedules).await else {
            return;
        };
        if self.schedules.is_empty() || self.chance(0.4) {
            let id: ScheduleId = self.fresh(Thing::Schedule);
            let account = self.one_of(&self.accounts.clone(), Thing::Account);
            let name = self.text("Schedule");
            let cron = CronExpression::new(stage.hourly, "Europe/Berlin").unwrap();
            let jitter = Duration::from_secs(self.pick(&[0, 600]));
            let new = NewSchedule::new(id, &name, account, ScanKind::Inventory, cron)
                .unwrap()
                .with_missed(self.pick(MissedTicks::ALL))
                .with_jitter(jitter)
                .unwrap();
            self.change(stage, "schedule.created", &scope, async |unit| {
                unit.insert_schedule(new).await
            })
            .await;
            self.schedules.push(id);
        }
        let id = self.pick(&self.schedules.clone());
        let Some(before) = self
            .look(stage, "schedule", &scope, async |view| {
                view.schedule(id).await
            })
            .await
        else {
            return;
        };
        let version = self.version(before.version);
        let status = self.pick(ScheduleStatus::ALL);
        self.change(stage, "schedule.changed", &scope, async |unit| {
            unit.set_schedule_status(id, version, status).await
        })
        .await;
        if self.chance(0.3) {
            // The version that it has now, unless another changed it, or the change was refused.
            self.change(stage, "schedule.removed", &scope, async |unit| {
                unit.remove_schedule(id, version + 1).await
            })
            .await;
        }
    }

    /// Hours pass, in which leases run out as well; then one scheduler fires what is due, of everybody.
    pub(super) async fn fire(&mut self, stage: &Stage<'_>) {
        stage.pass(self.pick(&[HOUR, 2 * HOUR])).await;
        stage.pause().await;
        self.past.extend(self.lease.take());
        stage.recover(&mut self.notes).await;
        stage.fire(self.organization, &mut self.notes).await;
        stage.pause().await;
        let owner = self.users[0];
        let Some(scope) = self.scope_of(stage, owner, Action::Read).await else {
            return;
        };
        let fired = self.look(stage, "fired", &scope, async |view| {
            let page = PageRequest::largest();
            let scans = view.scans(&ScanFilter::default(), &page).await?.items;
            Ok((view.schedules(&page).await?.items, scans))
        });
        let Some((_, scans)) = fired.await else {
            return;
        };
        self.notes.wants("ran_by_schedule");
        for scan in scans {
            let by_schedule = matches!(scan.requested_by, Actor::Schedule { .. });
            if by_schedule && !self.scans.contains(&scan.id) {
                self.notes.given("ran_by_schedule", &json!(scan.id));
                self.scans.push(scan.id);
                self.jobs.push(scan.job);
            }
        }
    }
}
