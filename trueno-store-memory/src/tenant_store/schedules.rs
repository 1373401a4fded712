//! Schedules of scans.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use trueno_core::access::Action;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::ScheduleId;
use trueno_core::model::{NewSchedule, Schedule, ScheduleStatus, Version};
use trueno_core::port::tenant_store::{ScheduleReads, ScheduleWrites};
use trueno_core::port::{Page, PageRequest};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{account_not_found, require_version};
use crate::state::Draft;

impl Draft {
    pub(super) fn schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.schedules
            .get(&id)
            .map(|row| Schedule::clone(row))
            .ok_or_else(|| Error::not_found("schedule"))
    }

    fn schedule_at(&self, id: ScheduleId, version: Version) -> Result<Schedule> {
        let row = self.schedule(id)?;
        require_version("schedule", row.version, version)?;
        Ok(row)
    }

    fn schedule_page(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        List {
            name: "schedules".into(),
            rows: &self.schedules,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |_, row: &Arc<Schedule>| Some(Schedule::clone(row)),
        )
    }

    fn insert_schedule(&mut self, new: &NewSchedule, now: Timestamp) -> Result<Schedule> {
        if !self.accounts.contains(&new.account) {
            return Err(account_not_found());
        }
        if self.schedules.contains(&new.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the schedule's id is in use",
            ));
        }
        let schedule = Schedule {
            id: new.id,
            name: new.name().to_owned(),
            account: new.account,
            kind: new.kind,
            cron: new.cron.clone(),
            missed: new.missed,
            jitter: new.jitter(),
            status: ScheduleStatus::Active,
            next_run_at: Some(new.cron.next_after(now)?),
            created_at: now,
            version: 1,
        };
        self.schedules.put(schedule.id, schedule.clone());
        Ok(schedule)
    }

    fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
        now: Timestamp,
    ) -> Result<Schedule> {
        let mut schedule = self.schedule_at(id, version)?;
        schedule.next_run_at = match (status, schedule.next_run_at) {
            (ScheduleStatus::Active, Some(next)) => Some(next),
            // None of a parked one as well.
            (ScheduleStatus::Active, None) => Some(schedule.cron.next_after(now)?),
            _ => None,
        };
        schedule.status = status;
        schedule.version += 1;
        self.schedules.put(id, schedule.clone());
        Ok(schedule)
    }
}

#[async_trait]
impl ScheduleReads for View {
    async fn schedule(&mut self, id: ScheduleId) -> Result<Schedule> {
        self.look("read_view.schedule", |draft| draft.schedule(id))
    }

    async fn schedules(&mut self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.look("read_view.schedules", |draft| draft.schedule_page(page))
    }
}

#[async_trait]
impl ScheduleWrites for Unit {
    async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule> {
        let now = self.store.now();
        let operation = "unit_of_work.insert_schedule";
        self.write_as(Action::ManageSchedules, operation, |draft| {
            draft.insert_schedule(&new, now)
        })
    }

    async fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
    ) -> Result<Schedule> {
        let now = self.store.now();
        let operation = "unit_of_work.set_schedule_status";
        self.write_as(Action::ManageSchedules, operation, |draft| {
            draft.set_schedule_status(id, version, status, now)
        })
    }

    async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()> {
        let operation = "unit_of_work.remove_schedule";
        self.write_as(Action::ManageSchedules, operation, |draft| {
            draft.schedule_at(id, version)?;
            draft.schedules.remove(id);
            Ok(())
        })
    }
}
