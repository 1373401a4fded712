//! When schedules fire: cron expressions, read in a time zone.

use std::fmt;
use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A cron expression of five fields (minute, hour, day of month, month, day of week) as POSIX
/// `crontab` has them, and the IANA time zone it is read in. One that exists fires again and again.
///
/// # When clocks change
/// As Vixie cron does it:
/// - A **fixed time** (one minute and one hour, such as `30 2 * * *`) fires once a day. Where clocks
///   jump over it, it fires at the first moment after the gap; where clocks go back and the time comes
///   twice, it fires the first time.
/// - **Anything else** (a `*`, a list, a range or a step in minute or hour, such as `*/15 * * * *`)
///   fires whenever the clock on the wall shows a time that matches: not in a gap, and in both halves
///   of an hour that comes twice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct CronExpression {
    fields: Fields,
    parsed: Arc<Parsed>,
}

/// What stands for an expression in stores and in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    expression: String,
    time_zone: String,
}

#[derive(PartialEq, Eq)]
struct Parsed {
    cron: Cron,
    zone: TimeZone,
}

impl CronExpression {
    /// The most runs that [`next_runs`](Self::next_runs) lists.
    pub const MOST_RUNS: usize = 100;

    /// Bytes of the longest expression.
    const LONGEST: usize = 256;

    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an expression that is not one or is longer than 256 bytes, for
    /// one that never fires (such as 30 February), and for a time zone that the zone database does not
    /// have.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self> {
        if expression.len() > Self::LONGEST {
            return Err(Error::invalid("cron", "needs at most 256 bytes"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(expression).map_err(|source| {
            Error::invalid(
                "cron",
                "needs five fields, such as `0 6 * * mon-fri`: minute, hour, day of month, month, \
                 day of week",
            )
            .with_source(source)
        })?;
        let zone = TimeZone::get(time_zone).map_err(|source| {
            Error::invalid("time_zone", "is no IANA time zone, such as Europe/Berlin")
                .with_source(source)
        })?;
        let parsed = Parsed { cron, zone };
        parsed.require_an_occurrence()?;
        Ok(Self {
            fields: Fields {
                expression: expression.to_owned(),
                time_zone: time_zone.to_owned(),
            },
            parsed: Arc::new(parsed),
        })
    }

    /// The five fields.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.fields.expression
    }

    /// The IANA time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.fields.time_zone
    }

    /// The first tick after `after`, a whole second.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] at the end of the calendar (the year 5000), and wherever else the
    /// parser of the expression cannot say: nobody may take that for an expression that has ended.
    pub fn next_after(&self, after: Timestamp) -> Result<Timestamp> {
        self.parsed.next_after(after).map_err(|source| {
            let message = format!("cron: no tick after {after} could be worked out");
            Error::new(ErrorKind::InvalidInput, message).with_source(source)
        })
    }

    /// The next `count` ticks after `after`, in order; at most [`MOST_RUNS`](Self::MOST_RUNS), and
    /// only those before the first that could not be worked out.
    #[must_use]
    pub fn next_runs(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        let next = |tick: &Timestamp| self.next_after(*tick).ok();
        std::iter::successors(next(&after), next)
            .take(count.min(Self::MOST_RUNS))
            .collect()
    }
}

impl Parsed {
    fn next_after(&self, after: Timestamp) -> Result<Timestamp, CronError> {
        let from = after.to_zoned(self.zone.clone());
        let found = self.cron.find_next_occurrence(&from, false)?.timestamp();
        // Whoever goes from tick to tick has to come forward.
        if found > after {
            Ok(found)
        } else {
            Err(CronError::InvalidTime)
        }
    }

    /// The calendar, weekdays included, repeats itself every 400 years: what has no occurrence in
    /// such a span has none at all.
    fn require_an_occurrence(&self) -> Result<()> {
        const BEGINNING: Timestamp = Timestamp::constant(946_684_800, 0);
        match self.next_after(BEGINNING) {
            Ok(first) if first.to_zoned(self.zone.clone()).year() < 2401 => Ok(()),
            Ok(_) | Err(CronError::TimeSearchLimitExceeded) => Err(Error::invalid(
                "cron",
                "never fires: none of its months (field 4) has such a day (field 3); change one of \
                 the two",
            )),
            Err(source) => Err(Error::invalid(
                "cron",
                "its ticks could not be worked out; write it in another way",
            )
            .with_source(source)),
        }
    }
}

impl fmt::Debug for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CronExpression")
            .field("expression", &self.fields.expression)
            .field("time_zone", &self.fields.time_zone)
            .finish()
    }
}

impl TryFrom<Fields> for CronExpression {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self> {
        Self::new(&fields.expression, &fields.time_zone)
    }
}

impl From<CronExpression> for Fields {
    fn from(cron: CronExpression) -> Self {
        cron.fields
    }
}

#[cfg(test)]
mod tests;
