//! Schedules: scans that are requested again and again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::organization::display_name;
use super::{ScanKind, Version};
use crate::error::{Error, Result};
use crate::id::{CloudAccountId, ScheduleId};
use crate::text::text_enum;

text_enum! {
    /// Whether a schedule is followed.
    pub enum ScheduleStatus as "schedule status" {
        /// It is followed.
        Active = "active",
        /// It is passed over until somebody resumes it.
        Paused = "paused",
    }
}

/// A cron expression of five fields (minute, hour, day of month, month, day of week) as POSIX
/// `crontab` has them, and the IANA time zone it is read in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronExpression {
    expression: String,
    time_zone: String,
}

impl CronExpression {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for an expression that is
    /// not one, and for a time zone that the zone database does not have.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self> {
        croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .year(croner::parser::Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|source| {
                Error::invalid(
                    "cron",
                    "needs five fields, such as `0 6 * * mon-fri`: minute, hour, day of month, \
                     month, day of week",
                )
                .with_source(source)
            })?;
        jiff::tz::TimeZone::get(time_zone).map_err(|source| {
            Error::invalid("time_zone", "is no IANA time zone, such as Europe/Berlin")
                .with_source(source)
        })?;
        Ok(Self {
            expression: expression.to_owned(),
            time_zone: time_zone.to_owned(),
        })
    }

    /// The five fields.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The IANA time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }
}

/// A schedule as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its display name.
    pub name: String,
    /// The account to scan.
    pub account: CloudAccountId,
    /// What kind of scan.
    pub kind: ScanKind,
    /// When.
    pub cron: CronExpression,
    /// Whether it is followed.
    pub status: ScheduleStatus,
    /// When it was made, by the store's clock.
    pub created_at: Timestamp,
    /// Counts changes of this row.
    pub version: Version,
}

/// A schedule about to be made: active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// The account to scan.
    pub account: CloudAccountId,
    /// What kind of scan.
    pub kind: ScanKind,
    /// When.
    pub cron: CronExpression,
    name: String,
}

impl NewSchedule {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a name that is empty,
    /// longer than 200 characters or holds control characters.
    pub fn new(
        id: ScheduleId,
        name: &str,
        account: CloudAccountId,
        kind: ScanKind,
        cron: CronExpression,
    ) -> Result<Self> {
        Ok(Self {
            id,
            account,
            kind,
            cron,
            name: display_name("schedule name", name)?,
        })
    }

    /// Its display name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
