//! Schedules of scans. Each function is one unit of work with its audit event.
//!
//! # Errors
//! All fail with [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for
//! [`Action::ManageSchedules`], [`trigger`] unless it is for [`Action::Scan`]; otherwise with what the
//! store's contract says.

use super::scan::{RequestedScan, ScanRequest, request_as};
use crate::access::{Action, OrgScope};
use crate::clock::Clock;
use crate::error::Result;
use crate::id::{IdSource, ScheduleId};
use crate::model::{EventDraft, NewSchedule, Schedule, ScheduleStatus, Version};
use crate::port::TenantStore;

/// Makes a schedule.
///
/// # Errors
/// See [the module](self).
pub async fn create(
    store: &dyn TenantStore,
    scope: &OrgScope,
    new: NewSchedule,
) -> Result<Schedule> {
    scope.require(Action::ManageSchedules)?;
    let mut work = store.begin(scope).await?;
    let schedule = work.insert_schedule(new).await?;
    let event = EventDraft::new("schedule.created", "schedule", schedule.id)
        .with_target("cloud_account", schedule.account)
        .with_detail("cron", schedule.cron.expression())
        .with_detail("time_zone", schedule.cron.time_zone())
        .with_detail("missed", schedule.missed.as_str())
        .with_detail("jitter_seconds", schedule.jitter.as_secs());
    work.commit(event).await?;
    Ok(schedule)
}

/// Pauses or resumes a schedule.
///
/// # Errors
/// See [the module](self).
pub async fn set_status(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: ScheduleId,
    version: Version,
    status: ScheduleStatus,
) -> Result<Schedule> {
    scope.require(Action::ManageSchedules)?;
    let mut work = store.begin(scope).await?;
    let schedule = work.set_schedule_status(id, version, status).await?;
    let action = match status {
        ScheduleStatus::Active => "schedule.resumed",
        ScheduleStatus::Paused => "schedule.paused",
    };
    work.commit(EventDraft::new(action, "schedule", id)).await?;
    Ok(schedule)
}

/// Requests the scan of a schedule now, paused or not. Its ticks stay as they are.
///
/// # Errors
/// See [the module](self), and those of [`scan::request`](super::scan::request).
pub async fn trigger(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: ScheduleId,
    ids: &IdSource,
    clock: &dyn Clock,
) -> Result<RequestedScan> {
    scope.require(Action::Scan)?;
    let schedule = store.read(scope).await?.schedule(id).await?;
    let wanted = ScanRequest::new(schedule.account);
    request_as(store, scope, &wanted, schedule.kind, ids, clock, |scan| {
        EventDraft::new("schedule.triggered", "schedule", id)
            .with_target("cloud_account", schedule.account)
            .with_target("scan", scan)
    })
    .await
}

/// Removes a schedule.
///
/// # Errors
/// See [the module](self).
pub async fn remove(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: ScheduleId,
    version: Version,
) -> Result<()> {
    scope.require(Action::ManageSchedules)?;
    let mut work = store.begin(scope).await?;
    work.remove_schedule(id, version).await?;
    work.commit(EventDraft::new("schedule.removed", "schedule", id))
        .await?;
    Ok(())
}
