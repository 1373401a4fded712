//! How the jobs of many organizations share the workers.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JobKind;
use crate::error::{Error, Result};
use crate::id::OrganizationId;

/// What a job's priority may be. Each point is worth [`PRIORITY_POINT`] of waiting.
pub const PRIORITIES: RangeInclusive<i16> = -100..=100;

/// How much earlier a job is taken for each point of its priority.
///
/// Within an organization, jobs are taken by `run_at - priority × PRIORITY_POINT`, the earliest
/// first. So priorities order jobs that became due at about the same time, and a job of low priority
/// is never overtaken for longer than the difference is worth: it ages.
pub const PRIORITY_POINT: Duration = Duration::from_secs(60);

/// A concurrency key: of an organization's jobs under one key, whatever their kinds, at the most
/// `limit` run at the same time.
///
/// Each job brings its own limit: it begins only where fewer than that are running under its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ConcurrencyFields")]
pub struct Concurrency {
    key: String,
    limit: NonZeroU32,
}

#[derive(Deserialize)]
struct ConcurrencyFields {
    key: String,
    limit: u32,
}

impl TryFrom<ConcurrencyFields> for Concurrency {
    type Error = Error;

    fn try_from(fields: ConcurrencyFields) -> Result<Self> {
        Self::new(&fields.key, fields.limit)
    }
}

impl Concurrency {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for a key that is empty,
    /// over 200 bytes or holds a NUL, and for a limit of 0 or over 10,000.
    pub fn new(key: &str, limit: u32) -> Result<Self> {
        if key.is_empty() || key.len() > 200 || key.contains('\0') {
            return Err(Error::invalid(
                "concurrency key",
                "needs 1 to 200 bytes without NUL",
            ));
        }
        let limit = NonZeroU32::new(limit)
            .filter(|limit| limit.get() <= 10_000)
            .ok_or_else(|| Error::invalid("concurrency limit", "needs 1 to 10,000"))?;
        Ok(Self {
            key: key.to_owned(),
            limit,
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many may run at the same time.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit.get()
    }
}

/// How much of the workers an organization gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LimitFields")]
#[non_exhaustive]
pub struct OrganizationLimits {
    weight: u32,
    max_running: Option<u32>,
    max_live: Option<u32>,
}

#[derive(Deserialize)]
struct LimitFields {
    weight: u32,
    max_running: Option<u32>,
    max_live: Option<u32>,
}

impl TryFrom<LimitFields> for OrganizationLimits {
    type Error = Error;

    fn try_from(fields: LimitFields) -> Result<Self> {
        let mut limits = Self::default().with_weight(fields.weight)?;
        if let Some(jobs) = fields.max_running {
            limits = limits.with_max_running(jobs)?;
        }
        if let Some(jobs) = fields.max_live {
            limits = limits.with_max_live(jobs)?;
        }
        Ok(limits)
    }
}

impl Default for OrganizationLimits {
    /// A weight of 1, and no caps.
    fn default() -> Self {
        Self {
            weight: 1,
            max_running: None,
            max_live: None,
        }
    }
}

impl OrganizationLimits {
    /// Its share beside others: while both have jobs waiting, an organization of weight 2 begins
    /// twice as many as one of weight 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless 1 to 1,000.
    pub fn with_weight(mut self, weight: u32) -> Result<Self> {
        if !(1..=1_000).contains(&weight) {
            return Err(Error::invalid("weight", "needs 1 to 1,000"));
        }
        self.weight = weight;
        Ok(self)
    }

    /// So many of its jobs run at the same time, at the most: never exceeded. What runs when the cap
    /// is lowered runs on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless 1 to 1,000,000: to
    /// stop an organization, pause it.
    pub fn with_max_running(mut self, jobs: u32) -> Result<Self> {
        self.max_running = Some(cap("max_running", jobs)?);
        Ok(self)
    }

    /// So many of its jobs wait or run, at the most; enqueueing more is refused. Soft by design:
    /// enqueueing waits for nobody, so jobs enqueued at the same moment may go past it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) unless 1 to 1,000,000.
    pub fn with_max_live(mut self, jobs: u32) -> Result<Self> {
        self.max_live = Some(cap("max_live", jobs)?);
        Ok(self)
    }

    /// Its share beside others.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// How many of its jobs may run at the same time.
    #[must_use]
    pub const fn max_running(&self) -> Option<u32> {
        self.max_running
    }

    /// How many of its jobs may wait or run.
    #[must_use]
    pub const fn max_live(&self) -> Option<u32> {
        self.max_live
    }
}

fn cap(field: &str, jobs: u32) -> Result<u32> {
    match jobs {
        0 => Err(Error::invalid(
            field,
            "needs at least 1: to stop an organization, pause it",
        )),
        1..=1_000_000 => Ok(jobs),
        _ => Err(Error::invalid(field, "needs at most 1,000,000")),
    }
}

/// What an operator may hold back: its jobs wait, and those that run run on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QueueTarget {
    /// One organization's jobs.
    Organization(OrganizationId),
    /// The jobs of one kind, of every organization.
    Kind(JobKind),
}
