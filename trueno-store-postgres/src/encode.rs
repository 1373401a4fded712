//! How values lie in the database: core's types know nothing of it.

use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::model::Actor;
use uuid::Uuid;

use crate::error;

/// Columns as core's types.
pub(crate) trait RowExt {
    /// An id.
    fn id<I: From<Uuid>>(&self, column: &str) -> Result<I>;
    /// An id that may be missing.
    fn id_opt<I: From<Uuid>>(&self, column: &str) -> Result<Option<I>>;
    /// A moment.
    fn time(&self, column: &str) -> Result<Timestamp>;
    /// A moment that may be missing.
    fn time_opt(&self, column: &str) -> Result<Option<Timestamp>>;
    /// A text.
    fn text(&self, column: &str) -> Result<String>;
    /// A text that may be missing.
    fn text_opt(&self, column: &str) -> Result<Option<String>>;
    /// A text that stands for something else.
    fn parsed<T: FromStr<Err = Error>>(&self, column: &str) -> Result<T>;
    /// A flag.
    fn flag(&self, column: &str) -> Result<bool>;
    /// A count: a bigint that is never negative.
    fn count<T: TryFrom<i64>>(&self, column: &str) -> Result<T>
    where
        T::Error: std::error::Error + Send + Sync + 'static;
    /// A count of [`i64`]s, or null.
    fn count_opt<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>>
    where
        T::Error: std::error::Error + Send + Sync + 'static;
    /// A JSON value.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T>;
    /// Whoever acted, from the columns `PREFIX_kind` and `PREFIX_id`.
    fn actor(&self, kind: &str, id: &str) -> Result<Actor>;
}

impl RowExt for PgRow {
    fn id<I: From<Uuid>>(&self, column: &str) -> Result<I> {
        Ok(I::from(
            self.try_get::<Uuid, _>(column).map_err(error::statement)?,
        ))
    }

    fn id_opt<I: From<Uuid>>(&self, column: &str) -> Result<Option<I>> {
        Ok(self
            .try_get::<Option<Uuid>, _>(column)
            .map_err(error::statement)?
            .map(I::from))
    }

    fn time(&self, column: &str) -> Result<Timestamp> {
        let time: jiff_sqlx::Timestamp = self.try_get(column).map_err(error::statement)?;
        Ok(time.to_jiff())
    }

    fn time_opt(&self, column: &str) -> Result<Option<Timestamp>> {
        let time: Option<jiff_sqlx::Timestamp> = self.try_get(column).map_err(error::statement)?;
        Ok(time.map(jiff_sqlx::Timestamp::to_jiff))
    }

    fn text(&self, column: &str) -> Result<String> {
        self.try_get(column).map_err(error::statement)
    }

    fn text_opt(&self, column: &str) -> Result<Option<String>> {
        self.try_get(column).map_err(error::statement)
    }

    fn parsed<T: FromStr<Err = Error>>(&self, column: &str) -> Result<T> {
        self.text(column)?
            .parse()
            .map_err(|source| error::corrupt(column, source))
    }

    fn flag(&self, column: &str) -> Result<bool> {
        self.try_get(column).map_err(error::statement)
    }

    fn count<T: TryFrom<i64>>(&self, column: &str) -> Result<T>
    where
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        let number: i64 = self.try_get(column).map_err(error::statement)?;
        T::try_from(number).map_err(|source| error::corrupt(column, source))
    }

    fn count_opt<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>>
    where
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        let number: Option<i64> = self.try_get(column).map_err(error::statement)?;
        let number = number.map(T::try_from).transpose();
        number.map_err(|source| error::corrupt(column, source))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        let Json(value) = self.try_get(column).map_err(error::statement)?;
        Ok(value)
    }

    fn actor(&self, kind: &str, id: &str) -> Result<Actor> {
        let text = self.text(kind)?;
        match (text.as_str(), self.id_opt::<Uuid>(id)?) {
            ("member", Some(user)) => Ok(Actor::Member { user: user.into() }),
            ("processor", Some(job)) => Ok(Actor::Processor { job: job.into() }),
            ("schedule", Some(schedule)) => Ok(Actor::Schedule {
                schedule: schedule.into(),
            }),
            ("system", None) => Ok(Actor::System),
            _ => Err(error::corrupt(kind, std::fmt::Error)),
        }
    }
}

/// An actor as its two columns. The system and schedules are none here: they act through
/// functions of the database.
pub(crate) fn actor(actor: Actor) -> Result<(&'static str, Option<Uuid>)> {
    match actor {
        Actor::Member { user } => Ok(("member", Some(user.as_uuid()))),
        Actor::Processor { job } => Ok(("processor", Some(job.as_uuid()))),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "this store writes what members and processors did, and nobody else",
        )
        .with_applied(Applied::No)),
    }
}

/// A count as a bigint.
pub(crate) fn bigint(field: &str, count: u64) -> Result<i64> {
    i64::try_from(count).map_err(|_| Error::invalid(field, "is too large to be stored"))
}
