//! Schedules of scans.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::ScheduleId;
use crate::model::{NewSchedule, Schedule, ScheduleStatus, Version};
use crate::port::{Page, PageRequest};

/// Reads of schedules.
#[async_trait]
pub trait ScheduleReads {
    /// One schedule.
    async fn schedule(&mut self, id: ScheduleId) -> Result<Schedule>;

    /// Schedules, by id.
    async fn schedules(&mut self, page: &PageRequest) -> Result<Page<Schedule>>;
}

/// Writes of schedules. Needs a role that allows
/// [`ManageSchedules`](crate::access::Action::ManageSchedules); otherwise
/// [`Denied`](crate::error::ErrorKind::Denied).
#[async_trait]
pub trait ScheduleWrites {
    /// Adds a schedule, active: its first tick is the first one after the store's present moment. Its
    /// account must be there. An id in use fails with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists), a first tick that cannot be worked out
    /// with [`InvalidInput`](crate::error::ErrorKind::InvalidInput).
    async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule>;

    /// Pauses or resumes a schedule. Ticks of the pause are no missed ticks: a resumed one goes on with
    /// the first tick after the store's present moment, and so does a parked one that is set to active.
    /// Where that tick cannot be worked out it fails with
    /// [`InvalidInput`](crate::error::ErrorKind::InvalidInput). Otherwise, setting the status that it has
    /// changes nothing but its version.
    async fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
    ) -> Result<Schedule>;

    /// Removes a schedule.
    async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()>;
}
