//! Schedules of scans.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::error::{Error, Result};
use trueno_core::id::{OrganizationId, ScheduleId};
use trueno_core::model::{CronExpression, NewSchedule, Schedule, ScheduleStatus, Version};
use trueno_core::port::tenant_store::{ScheduleReads, ScheduleWrites};
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{paging, versions, view};
use crate::encode::{self, RowExt as _};
use crate::error::{self, sqlstate};
use crate::pool::moment;
use crate::transaction::Tx;

const LIST: &str = "schedules";

/// What errors call one.
const WHAT: &str = "schedule";

view::reads! {
    ScheduleReads {
        fn schedule(id: ScheduleId) -> Schedule;
        fn schedules(page: &PageRequest) -> Page<Schedule>;
    } for view
}

#[async_trait]
impl ScheduleWrites for PgUnitOfWork {
    async fn insert_schedule(&mut self, new: NewSchedule) -> Result<Schedule> {
        step!(self, insert_schedule for ManageSchedules, tx =>
            insert(&mut tx, self.organization(), new))
    }

    async fn set_schedule_status(
        &mut self,
        id: ScheduleId,
        version: Version,
        status: ScheduleStatus,
    ) -> Result<Schedule> {
        step!(self, set_schedule_status for ManageSchedules, tx =>
            set_status(&mut tx, self.organization(), id, version, status))
    }

    async fn remove_schedule(&mut self, id: ScheduleId, version: Version) -> Result<()> {
        step!(self, remove_schedule for ManageSchedules, tx =>
            remove(&mut tx, self.organization(), id, version))
    }
}

async fn schedule(tx: &mut Tx, organization: OrganizationId, id: ScheduleId) -> Result<Schedule> {
    let query = tx.query("select * from schedule where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(|| Error::not_found(WHAT))?)
}

async fn schedules(
    tx: &mut Tx,
    organization: OrganizationId,
    page: &PageRequest,
) -> Result<Page<Schedule>> {
    let mut query = QueryBuilder::new("select * from schedule where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(id) = paging::after::<Uuid>(LIST, page)? {
        query.push(" and id > ").push_bind(id);
    }
    query.push(" order by id");
    paging::fetch(tx, LIST, query, page, decode, |row| row.id::<Uuid>("id")).await
}

async fn insert(tx: &mut Tx, organization: OrganizationId, new: NewSchedule) -> Result<Schedule> {
    let first = new.cron.next_after(now(tx).await?)?;
    let query = tx.query(
        "insert into schedule (
            organization_id, id, name, account_id, kind, cron, time_zone, status, missed, jitter,
            next_run_at
         ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(new.id.as_uuid())
        .bind(new.name())
        .bind(new.account.as_uuid())
        .bind(new.kind.as_str())
        .bind(new.cron.expression())
        .bind(new.cron.time_zone())
        .bind(ScheduleStatus::Active.as_str())
        .bind(new.missed.as_str())
        .bind(encode::bigint("jitter", new.jitter().as_secs())?)
        .bind(moment(first))
        .fetch_one(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::FOREIGN_KEY_VIOLATION) => Error::not_found("cloud account"),
            _ => error::statement(source),
        })?;
    decode(&row)
}

async fn set_status(
    tx: &mut Tx,
    organization: OrganizationId,
    id: ScheduleId,
    version: Version,
    status: ScheduleStatus,
) -> Result<Schedule> {
    lock(tx, organization, id, version).await?;
    let mut next = None;
    if status == ScheduleStatus::Active {
        let present = schedule(tx, organization, id).await?;
        // None of a parked one as well.
        next = match present.next_run_at {
            Some(next) => Some(next),
            None => Some(present.cron.next_after(now(tx).await?)?),
        };
    }
    let query = tx.query(
        "update schedule set status = $3, next_run_at = $4, version = version + 1
         where organization_id = $1 and id = $2 returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(status.as_str())
        .bind(next.map(moment))
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

async fn remove(
    tx: &mut Tx,
    organization: OrganizationId,
    id: ScheduleId,
    version: Version,
) -> Result<()> {
    lock(tx, organization, id, version).await?;
    let query = tx.query("delete from schedule where organization_id = $1 and id = $2");
    query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Locks a schedule that is there and as it was read.
async fn lock(
    tx: &mut Tx,
    organization: OrganizationId,
    id: ScheduleId,
    version: Version,
) -> Result<()> {
    let query = tx.query(
        "select version from schedule where organization_id = $1 and id = $2 for no key update",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    versions::unchanged(row, WHAT, version).map(|_| ())
}

/// The database's present moment.
async fn now(tx: &mut Tx) -> Result<Timestamp> {
    let row = tx
        .query("select clock_timestamp() as now")
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    row.time("now")
}

fn decode(row: &PgRow) -> Result<Schedule> {
    let cron = CronExpression::new(&row.text("cron")?, &row.text("time_zone")?)
        .map_err(|source| error::corrupt("cron", source))?;
    Ok(Schedule {
        id: row.id("id")?,
        name: row.text("name")?,
        account: row.id("account_id")?,
        kind: row.parsed("kind")?,
        cron,
        missed: row.parsed("missed")?,
        jitter: Duration::from_secs(row.count("jitter")?),
        status: row.parsed("status")?,
        next_run_at: row.time_opt("next_run_at")?,
        created_at: row.time("created_at")?,
        version: row.count("version")?,
    })
}
