//! Partitions of the history of jobs: a week each, so that weeks that are over go away at once.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use trueno_core::error::{Error, Result};

use super::{begin_as_owner, exists, not_migrated, run};
use crate::config::{Names, PostgresConfig};
use crate::encode::RowExt as _;
use crate::error::{self, sqlstate};
use crate::{pool, server};

/// Weeks that have a partition before they begin. Few: whatever looks through the history looks into
/// each.
const AHEAD: i32 = 4;

/// The shortest time that history can be kept, as for
/// [`forget_finished`](trueno_core::port::JobQueue::forget_finished).
const SHORTEST: Duration = Duration::from_secs(3_600);

/// What [`partition_history`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryReport {
    /// Partitions that were added, the earliest first: `job_history_` and the day on which their week
    /// begins, a Monday in UTC.
    pub added: Vec<String>,
    /// Partitions that were dropped with all that was in them, the earliest first.
    pub dropped: Vec<String>,
    /// Partitions whose week is over for long enough, and which have a dead letter in them, or a job
    /// that ended too late to be dropped. What else was in them is gone.
    pub kept: Vec<String>,
    /// Weeks that get no partition, since jobs of theirs lie in the default one: this week, where the
    /// program was not run before it began.
    pub in_default: Vec<String>,
    /// What could not be done because of who is at it: worth doing again soon.
    pub busy: Vec<String>,
}

/// Gives the history of jobs a partition for each of the coming weeks, and drops those weeks of which
/// every job ended `keep_for` ago or earlier. To be run once a week, by whatever runs things regularly.
/// Processors' [retention](trueno_core::runtime::ProcessorConfig::with_retention), which deletes jobs one
/// by one, is off then, or longer: `None` leaves the default partition as it is, in which lies what has
/// no week of its own (a job lies in the week of its id, which is time-ordered). Without any of this,
/// all history lies there.
///
/// Dead letters are never dropped: a week that has one keeps it, and loses the others. Windows of
/// [dedupe keys](trueno_core::model::Dedupe::within) reach as far back as the history does.
///
/// The URL logs in as for [`migrate`](super::migrate()): no process that serves tenants may create or
/// drop anything. What is locked is waited for during a second, in which nobody can end a job. To add a
/// week, the server reads the default partition once, and nobody can end a job meanwhile either: begin
/// with it while there is little history, or when little runs.
///
/// # Errors
/// [`InvalidInput`](trueno_core::error::ErrorKind::InvalidInput) for less than an hour; otherwise as [`retire_keys`](super::retire_keys).
/// What was done before stays done.
///
/// # Cancel-safety
/// A dropped call has done each of its steps as a whole or not at all.
pub async fn partition_history(
    config: &PostgresConfig,
    keep_for: Duration,
) -> Result<HistoryReport> {
    if keep_for < SHORTEST {
        return Err(Error::invalid("keep_for", "needs at least 1 hour"));
    }
    let names = config.names()?;
    let mut connection = pool::connect(config, &config.url).await?;
    server::check(pool::server_version(&mut connection).await?)?;
    if !exists(&mut connection, &names.schema).await? {
        return Err(not_migrated());
    }
    let mut report = HistoryReport::default();
    for week in weeks(&mut connection, &names, keep_for).await? {
        let name = week.name.clone();
        match step(&mut connection, &names, week, keep_for).await {
            Ok(Step::Added) => report.added.push(name),
            Ok(Step::Dropped) => report.dropped.push(name),
            Ok(Step::Kept) => report.kept.push(name),
            Ok(Step::InDefault) => report.in_default.push(name),
            Err(error) if is_busy(&error) => report.busy.push(name),
            Err(error) => return Err(error),
        }
    }
    // Committed already; a goodbye that is lost changes nothing.
    let _ = connection.close().await;
    Ok(report)
}

fn is_busy(error: &Error) -> bool {
    [sqlstate::LOCK_NOT_AVAILABLE, sqlstate::DEADLOCK].contains(&error.code().unwrap_or_default())
}

/// A week to add or to drop.
struct Week {
    name: String,
    /// The least ids of the week and of the next.
    from: String,
    to: String,
    is_over: bool,
}

enum Step {
    Added,
    Dropped,
    Kept,
    /// Jobs of the week lie in the default partition, and stay there.
    InDefault,
}

/// Coming weeks without a partition, and partitions of weeks that are over, the earliest first.
async fn weeks(
    connection: &mut PgConnection,
    names: &Names,
    keep_for: Duration,
) -> Result<Vec<Week>> {
    let mut transaction = begin_as_owner(connection, names).await?;
    let rows = sqlx::query(
        "with week as (
            select w as starts, 'job_history_' || to_char(w, 'YYYYMMDD') as name
            from generate_series(
                date_trunc('week', clock_timestamp() at time zone 'UTC'),
                date_trunc('week', clock_timestamp() at time zone 'UTC') + $2 * interval '7 days',
                interval '7 days'
            ) w
         ), there as (
            select c.relname::text as name, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp as starts
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'job_history'::regclass and c.relname ~ '^job_history_[0-9]{8}$'
         ), todo as (
            select w.name, w.starts, false as is_over from week w
            where not exists (select from there t where t.name = w.name)
            union all
            select t.name, t.starts, true from there t
            where t.starts + interval '7 days'
                <= (clock_timestamp() - $1 * interval '1 millisecond') at time zone 'UTC'
         )
         select t.name, t.is_over, b.bounds[1] as \"from\", b.bounds[2] as \"to\"
         from todo t
         cross join lateral (
            select array_agg(
                (rpad(lpad(to_hex((extract(epoch from m at time zone 'UTC') * 1000)::bigint), 12, '0'),
                    32, '0'))::uuid::text order by m
            ) as bounds
            from unnest(array[t.starts, t.starts + interval '7 days']) m
         ) b
         order by t.starts",
    )
    .bind(i64::try_from(keep_for.as_millis()).unwrap_or(i64::MAX))
    .bind(AHEAD)
    .fetch_all(&mut *transaction)
    .await
    .map_err(error::statement)?;
    transaction.commit().await.map_err(error::commit)?;
    rows.iter()
        .map(|row| {
            Ok(Week {
                name: row.text("name")?,
                from: row.text("from")?,
                to: row.text("to")?,
                is_over: row.flag("is_over")?,
            })
        })
        .collect()
}

async fn step(
    connection: &mut PgConnection,
    names: &Names,
    week: Week,
    keep_for: Duration,
) -> Result<Step> {
    let mut transaction = begin_as_owner(connection, names).await?;
    run(&mut transaction, "set local lock_timeout = '1s'").await?;
    let step = if week.is_over {
        drop_over(&mut transaction, names, &week, keep_for).await?
    } else {
        match add(&mut transaction, names, &week).await {
            Err(error) if error.code() == Some(sqlstate::CHECK_VIOLATION) => {
                transaction.rollback().await.map_err(error::statement)?;
                return Ok(Step::InDefault);
            }
            added => added?,
        }
    };
    transaction.commit().await.map_err(error::commit)?;
    Ok(step)
}

/// With what every partition has: nobody reaches it but through the table.
async fn add(connection: &mut PgConnection, names: &Names, week: &Week) -> Result<Step> {
    let Week { name, from, to, .. } = week;
    // By an index, before the server reads everything to find the same.
    run(connection, &names.fill_in("set local role \"@system@\"")).await?;
    let row = sqlx::query(
        "select exists (
            select from organization o
            cross join lateral (
                select from job_history h where h.organization_id = o.organization_id
                    and h.id >= $1::uuid and h.id < $2::uuid limit 1
            ) h
         ) as is_there",
    )
    .bind(from)
    .bind(to)
    .fetch_one(&mut *connection)
    .await
    .map_err(error::statement)?;
    if row.flag("is_there")? {
        return Ok(Step::InDefault);
    }
    run(connection, &names.fill_in("set local role \"@owner@\"")).await?;
    run(
        connection,
        &format!(
            "create table {name} partition of job_history for values from ('{from}') to ('{to}');
             alter table {name} enable row level security, force row level security"
        ),
    )
    .await?;
    // Columns of tenant data keep no statistics: 0009_isolation.
    let without = sqlx::query(
        "select string_agg(format('alter column %I set statistics 0', attname), ', ') as columns
         from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
    )
    .bind(name)
    .fetch_one(&mut *connection)
    .await
    .map_err(error::statement)?
    .text("columns")?;
    run(connection, &format!("alter table {name} {without}")).await?;
    Ok(Step::Added)
}

async fn drop_over(
    connection: &mut PgConnection,
    names: &Names,
    week: &Week,
    keep_for: Duration,
) -> Result<Step> {
    let name = &week.name;
    let keep_for = i64::try_from(keep_for.as_millis()).unwrap_or(i64::MAX);
    // Jobs of that week that end just now wait: those of other weeks do not.
    run(connection, &format!("lock table {name} in share mode")).await?;
    // Policies bind the owner, and show it nothing.
    run(connection, &names.fill_in("set local role \"@system@\"")).await?;
    let row = sqlx::query(
        "select exists (
            select from job_history
            where id >= $1::uuid and id < $2::uuid and (
                status = 'dead'
                or finished_at > clock_timestamp() - $3 * interval '1 millisecond'
            )
         ) as is_wanted",
    )
    .bind(&week.from)
    .bind(&week.to)
    .bind(keep_for)
    .fetch_one(&mut *connection)
    .await
    .map_err(error::statement)?;
    if !row.flag("is_wanted")? {
        run(connection, &names.fill_in("set local role \"@owner@\"")).await?;
        run(connection, &format!("drop table {name}")).await?;
        return Ok(Step::Dropped);
    }
    sqlx::query(
        "delete from job_history
         where id >= $1::uuid and id < $2::uuid and status <> 'dead'
            and finished_at <= clock_timestamp() - $3 * interval '1 millisecond'",
    )
    .bind(&week.from)
    .bind(&week.to)
    .bind(keep_for)
    .execute(&mut *connection)
    .await
    .map_err(error::statement)?;
    Ok(Step::Kept)
}
