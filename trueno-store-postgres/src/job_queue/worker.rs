//! What workers and operators do, across organizations: through definer functions.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use trueno_core::error::{Error, Result};
use trueno_core::id::{AuditEventId, JobId, LeaseToken, WorkerSessionId};
use trueno_core::model::{Job, JobKind, JobPayload};
use trueno_core::port::tenant_store::CRASH_LOOPED;
use trueno_core::port::{
    Claim, ClaimRequest, Heartbeat, HeldLease, LeaseRef, QueueStats, Recovered, check_forget,
};
use trueno_core::retry::Backoff;
use trueno_core::state::job::LOST_LEASE_LIMIT;
use uuid::Uuid;

use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;

/// The most jobs that one claim or recovery takes: what is left waits for the next.
const MOST: usize = 1_000;

/// How often a claim looks where other claims keep it from something: each time it has waited for one.
const LOOKS: usize = 5;

const LEASE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3_600);

pub(super) async fn claim(store: &PostgresStore, request: &ClaimRequest) -> Result<Vec<Claim>> {
    request.check()?;
    let limit = limit(request.limit)?;
    let lease = interval(request.lease_for)?;
    for _ in 0..LOOKS {
        match claim_once(store, request, limit, lease).await? {
            Claimed::Jobs(claims) => return Ok(claims),
            Claimed::LookAgain => {}
        }
    }
    Ok(Vec::new())
}

enum Claimed {
    Jobs(Vec<Claim>),
    /// None, and other claims had some of what may wait locked.
    LookAgain,
}

async fn claim_once(
    store: &PostgresStore,
    request: &ClaimRequest,
    limit: i32,
    lease: PgInterval,
) -> Result<Claimed> {
    let mut tx = store.begin_processor_briefly().await?;
    let now = tx.now();
    let tokens: Vec<Uuid> = (0..limit)
        .map(|_| store.ids().next::<LeaseToken>(now).as_uuid())
        .collect();
    let kinds: Vec<&str> = request.kinds.iter().map(JobKind::as_str).collect();
    let query = tx.query("select * from claim($1, $2, $3, $4, $5, $6)");
    let rows = query
        .bind(request.session.as_uuid())
        .bind(&request.worker)
        .bind(kinds)
        .bind(limit)
        .bind(lease)
        .bind(tokens)
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    // Until then other claims wait for this one's organizations.
    tx.commit().await?;
    let mut claims = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(job) = row.id_opt("id")? else {
            return Ok(Claimed::LookAgain);
        };
        match decode(row, job, request.session) {
            Ok(claim) => claims.push(claim),
            // Somebody wrote it past the store. Given back by a heartbeat, it is in nobody's way.
            Err(error) => tracing::error!(%job, ?error, "a job cannot be read, and is left out"),
        }
    }
    Ok(Claimed::Jobs(claims))
}

fn decode(row: &PgRow, job: JobId, session: WorkerSessionId) -> Result<Claim> {
    Ok(Claim {
        lease: LeaseRef {
            organization: row.id("organization_id")?,
            job,
            token: row.id("token")?,
            session,
        },
        kind: row.parsed("kind")?,
        payload: JobPayload {
            version: row.count("payload_version")?,
            body: row.json("payload")?,
        },
        failed_attempts: row.count("failed_attempts")?,
        max_attempts: row.count("max_attempts")?,
        lost_leases: row.count("lost_leases")?,
        timeout: millis(row, "timeout_ms")?,
        backoff: match (
            millis(row, "backoff_base_ms")?,
            millis(row, "backoff_cap_ms")?,
        ) {
            (Some(base), Some(cap)) => Some(Backoff::new(base, cap)),
            _ => None,
        },
        correlation_id: row.id_opt("correlation_id")?,
        enqueued_at: row.time("created_at")?,
        run_at: row.time("run_at")?,
        expires_at: row.time("expires_at")?,
    })
}

fn millis(row: &PgRow, column: &str) -> Result<Option<Duration>> {
    Ok(row.count_opt(column)?.map(Duration::from_millis))
}

pub(super) async fn heartbeat(
    store: &PostgresStore,
    session: WorkerSessionId,
    lease_for: Duration,
) -> Result<Heartbeat> {
    let lease = interval(lease_for)?;
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select * from heartbeat($1, $2)");
    let rows = query
        .bind(session.as_uuid())
        .bind(lease)
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    let expires_at = rows
        .first()
        .ok_or_else(Error::stale_lease)?
        .time("expires_at")?;
    let mut held = Vec::with_capacity(rows.len());
    for row in &rows {
        // The one row of a session that holds nothing names no job.
        let Some(job) = row.id_opt("id")? else {
            continue;
        };
        let lease = LeaseRef {
            organization: row.id("organization_id")?,
            job,
            token: row.id("token")?,
            session,
        };
        held.push(HeldLease {
            lease,
            cancel_requested: row.flag("cancel_requested")?,
        });
    }
    tx.commit().await?;
    Ok(Heartbeat { expires_at, held })
}

pub(super) async fn recover_expired(store: &PostgresStore, most: usize) -> Result<Recovered> {
    let limit = limit(most)?;
    let mut tx = store.begin_processor().await?;
    let now = tx.now();
    let events: Vec<Uuid> = (0..limit)
        .map(|_| store.ids().next::<AuditEventId>(now).as_uuid())
        .collect();
    let query = tx.query("select * from recover_expired($1, $2, $3, $4, $5)");
    let row = query
        .bind(limit)
        .bind(i64::from(LOST_LEASE_LIMIT))
        .bind(CRASH_LOOPED)
        .bind(i32::try_from(Job::MAX_ERRORS).unwrap_or(i32::MAX))
        .bind(events)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let recovered = Recovered {
        requeued: row.count("requeued")?,
        dead: row.count("dead")?,
        cancelled: row.count("cancelled")?,
    };
    tx.commit().await?;
    if recovered.requeued > 0 {
        store.wake();
    }
    Ok(recovered)
}

pub(super) async fn stats(store: &PostgresStore) -> Result<QueueStats> {
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select * from queue_stats()");
    let row = query
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    Ok(QueueStats {
        waiting: row.count("waiting")?,
        running: row.count("running")?,
    })
}

pub(super) async fn forget_finished(
    store: &PostgresStore,
    age: Duration,
    most: usize,
) -> Result<u64> {
    check_forget(age, most)?;
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select forget_finished($1, $2) as forgotten");
    let row = query
        .bind(span(age))
        .bind(limit(most)?)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    let forgotten = row.count("forgotten")?;
    tx.commit().await?;
    Ok(forgotten)
}

fn limit(limit: usize) -> Result<i32> {
    if limit == 0 {
        return Err(Error::invalid("limit", "needs at least 1"));
    }
    Ok(i32::try_from(limit.min(MOST)).unwrap_or(i32::MAX))
}

fn interval(lease_for: Duration) -> Result<PgInterval> {
    if !LEASE.contains(&lease_for) {
        return Err(Error::invalid("lease", "needs 1 second to 1 hour"));
    }
    Ok(span(lease_for))
}

fn span(time: Duration) -> PgInterval {
    // A hundred years: more than that is not told apart, and the server's calendar has an end.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
    let microseconds = i64::try_from(time.min(LONGEST).as_micros()).unwrap_or(i64::MAX);
    PgInterval {
        months: 0,
        days: 0,
        microseconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_kept_to_the_microsecond_up_to_a_hundred_years() {
        let hundred_years = 36_500 * 86_400 * 1_000_000;
        for microseconds in [0, 1, 11 * 86_400 * 1_000_000, hundred_years] {
            let of = span(Duration::from_micros(microseconds));
            assert_eq!((of.months, of.days), (0, 0));
            assert_eq!(of.microseconds, i64::try_from(microseconds).unwrap());
        }
        for longer in [Duration::from_micros(hundred_years + 1), Duration::MAX] {
            assert_eq!(span(longer), span(Duration::from_micros(hundred_years)));
        }
    }
}
