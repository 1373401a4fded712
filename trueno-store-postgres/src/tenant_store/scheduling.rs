//! Due schedules, and the firing of their ticks: work across organizations, through
//! `functions/scheduling.sql`.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use trueno_core::error::{Error, Result};
use trueno_core::id::AuditEventId;
use trueno_core::model::{Concurrency, Dedupe};
use trueno_core::port::{DuePosition, DueSchedule, Fire, Fired, NotRun, Scheduling};
use trueno_core::retry::Backoff;

use super::jobs::{dedupe_scope, millis};
use crate::encode::{self, RowExt as _};
use crate::error::{self, sqlstate};
use crate::pool::moment;
use crate::store::PostgresStore;
use crate::transaction::Tx;

#[async_trait]
impl Scheduling for PostgresStore {
    async fn due_schedules(
        &self,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<Vec<DueSchedule>> {
        due(self, after, limit)
            .await
            .map_err(|error| error.with_operation("scheduling.due_schedules"))
    }

    async fn fire(&self, fire: Fire) -> Result<Fired> {
        fire_once(self, &fire)
            .await
            .map_err(|error| error.with_operation("scheduling.fire"))
    }
}

async fn due(
    store: &PostgresStore,
    after: Option<DuePosition>,
    limit: usize,
) -> Result<Vec<DueSchedule>> {
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select * from due_schedules($1, $2, $3, $4)");
    let rows = query
        .bind(after.map(|after| moment(after.due_at)))
        .bind(after.map(|after| after.organization.as_uuid()))
        .bind(after.map(|after| after.schedule.as_uuid()))
        .bind(i32::try_from(limit).unwrap_or(i32::MAX))
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &PgRow) -> Result<DueSchedule> {
    Ok(DueSchedule {
        organization: row.id("organization_id")?,
        id: row.id("id")?,
        account: row.id("account_id")?,
        kind: row.parsed("kind")?,
        cron: row.text("cron")?,
        time_zone: row.text("time_zone")?,
        missed: row.parsed("missed")?,
        jitter: Duration::from_secs(row.count("jitter")?),
        due_at: row.time("due_at")?,
        now: row.time("moment")?,
    })
}

async fn fire_once(store: &PostgresStore, fire: &Fire) -> Result<Fired> {
    fire.check()?;
    let mut tx = store.begin_processor().await?;
    let fired = match call(store, &mut tx, fire).await {
        Ok(fired) => fired,
        Err(error) => return Err(tx.fail(error).await),
    };
    if matches!(fired, Fired::AlreadyFired | Fired::Busy) {
        tx.rollback().await?;
        return Ok(fired);
    }
    tx.commit().await?;
    if fired == Fired::Enqueued {
        store.wake();
    }
    Ok(fired)
}

async fn call(store: &PostgresStore, tx: &mut Tx, fire: &Fire) -> Result<Fired> {
    let event: AuditEventId = store.ids().next(tx.now());
    let run = fire.run.as_ref();
    let job = run.map(|run| &run.job);
    let concurrency = job.and_then(|job| job.concurrency.as_ref());
    let backoff = job.and_then(|job| job.backoff.as_ref());
    let query = tx.query(
        "select fire_schedule($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17, $18, $19, $20, $21, $22, $23) as fired",
    );
    let row = query
        .bind(fire.organization.as_uuid())
        .bind(fire.schedule.as_uuid())
        .bind(moment(fire.due_at))
        .bind(fire.next.map(moment))
        .bind(run.map(|run| moment(run.tick)))
        .bind(encode::bigint("passed_over", fire.passed_over)?)
        .bind(Json(Value::Object(fire.details())))
        .bind(event.as_uuid())
        .bind(run.map(|run| run.scan.as_uuid()))
        .bind(job.map(|job| job.id.as_uuid()))
        .bind(job.map(|job| job.kind.as_str()))
        .bind(job.map(|job| i64::from(job.payload.version)))
        .bind(job.map(|job| Json(&job.payload.body)))
        .bind(job.and_then(dedupe_scope))
        .bind(job.and_then(|job| job.dedupe.as_ref()).map(Dedupe::key))
        .bind(job.map(|job| job.priority))
        .bind(job.and_then(|job| job.run_at.map(moment)))
        .bind(job.map(|job| i64::from(job.max_attempts)))
        .bind(concurrency.map_or("", Concurrency::key))
        .bind(i64::from(concurrency.map_or(0, Concurrency::limit)))
        .bind(job.and_then(|job| job.timeout.map(millis)))
        .bind(backoff.map(Backoff::base).map(millis))
        .bind(backoff.map(Backoff::cap).map(millis))
        .fetch_one(tx.connection())
        .await;
    match row {
        Ok(row) => outcome(&row.text("fired")?),
        Err(source) if error::code(&source).as_deref() == Some(sqlstate::LOCK_NOT_AVAILABLE) => {
            Ok(Fired::Busy)
        }
        Err(source) => Err(error::statement(source)),
    }
}

fn outcome(answer: &str) -> Result<Fired> {
    match answer {
        "enqueued" => Ok(Fired::Enqueued),
        "moved" => Ok(Fired::Moved),
        "already_fired" => Ok(Fired::AlreadyFired),
        "busy" => Ok(Fired::Busy),
        "early" => Err(Fire::too_early()),
        reason => match reason.parse::<NotRun>() {
            Ok(reason) => Ok(Fired::NotRun(reason)),
            Err(source) => Err::<_, Error>(error::corrupt("fired", source)),
        },
    }
}
