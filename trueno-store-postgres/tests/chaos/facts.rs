//! What is in the database once everything is over.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor as _, Row as _};
use trueno_core::model::JobStatus;
use uuid::Uuid;

use crate::watch::differences;
use crate::work::{DONE, Work};

/// A job that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) organization: Uuid,
    pub(crate) status: JobStatus,
    pub(crate) token: Option<Uuid>,
    pub(crate) failed_attempts: i64,
    pub(crate) lost_leases: i64,
    /// The job whose success enqueued it.
    pub(crate) follows: Option<Uuid>,
}

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) ended: BTreeMap<Uuid, Ended>,
    /// Jobs that have not ended, and their status.
    pub(crate) live: BTreeMap<Uuid, String>,
    /// The jobs that those follow.
    pub(crate) followed_by_live: Vec<Uuid>,
    /// The tokens that each job was claimed under, in their order.
    pub(crate) claims: BTreeMap<Uuid, Vec<Uuid>>,
    /// The tokens that the effects of each job were committed under.
    pub(crate) effects: BTreeMap<Uuid, Vec<Uuid>>,
    /// How many failed attempts of each job left an event.
    pub(crate) failures: BTreeMap<Uuid, i64>,
    /// How often each scan was requested.
    pub(crate) requests: BTreeMap<Uuid, i64>,
    /// The status of each scan, by its job.
    pub(crate) scans: BTreeMap<Uuid, String>,
    /// The tokens that the resources of each scan were written under, by its job.
    pub(crate) resources: BTreeMap<Uuid, Vec<Uuid>>,
    /// Counts over a cap.
    pub(crate) breaches: Vec<String>,
    /// What the queue keeps and the jobs do not say.
    pub(crate) differences: Vec<String>,
    /// Places, notes and batches of sessions that are left.
    pub(crate) leftovers: BTreeMap<String, i64>,
}

impl Facts {
    /// As this connection sees them, which may be in a transaction.
    pub(crate) async fn collect(admin: &mut PgConnection) -> Self {
        let effects = format!(
            "select (targets->0->>'id')::uuid, (details->>'token')::uuid
             from trueno.audit_staged where action = '{DONE}'"
        );
        Self {
            ended: ended(admin).await,
            live: map(admin, "select id, status from trueno.job").await,
            followed_by_live: sqlx::query_scalar(
                "select (payload->>'follows')::uuid from trueno.job
                 where payload->>'follows' is not null",
            )
            .fetch_all(&mut *admin)
            .await
            .unwrap(),
            claims: lists(
                admin,
                "select job_id, token from chaos.claim order by position",
            )
            .await,
            effects: lists(admin, &effects).await,
            failures: map(
                admin,
                "select (targets->0->>'id')::uuid, count(*) from trueno.audit_staged
                 where action = 'job.attempt_failed' group by 1",
            )
            .await,
            requests: map(
                admin,
                "select (targets->0->>'id')::uuid, count(*) from trueno.audit_staged
                 where action = 'scan.requested' group by 1",
            )
            .await,
            scans: map(admin, "select job_id, status from trueno.scan").await,
            resources: lists(
                admin,
                "select s.job_id, (r.attributes->>'token')::uuid from trueno.resource r
                 join trueno.scan s
                     on s.organization_id = r.organization_id and s.id = r.last_scan_id",
            )
            .await,
            breaches: sqlx::query_scalar("select what from chaos.breach")
                .fetch_all(&mut *admin)
                .await
                .unwrap(),
            differences: differences(admin).await.unwrap(),
            leftovers: map(
                admin,
                "select 'places of organizations', coalesce(sum(live + running), 0)::bigint
                     from trueno.queue_organization
                 union all select 'places of keys', coalesce(sum(running), 0)::bigint
                     from trueno.queue_key
                 union all select 'notes', count(*) from trueno.queue_note
                 union all select 'batches of sessions', count(*) from trueno.worker_batch",
            )
            .await,
        }
    }
}

async fn ended(admin: &mut PgConnection) -> BTreeMap<Uuid, Ended> {
    let query = "select id, organization_id, status, token, failed_attempts, lost_leases, payload
        from trueno.job_history";
    let ended = |row: PgRow| {
        let work: Work = serde_json::from_value(row.get("payload")).unwrap();
        Ended {
            organization: row.get("organization_id"),
            status: row.get::<String, _>("status").parse().unwrap(),
            token: row.get("token"),
            failed_attempts: row.get("failed_attempts"),
            lost_leases: row.get("lost_leases"),
            follows: work.follows.map(|job| job.as_uuid()),
        }
    };
    let rows = admin.fetch_all(query).await.unwrap();
    rows.into_iter()
        .map(|row| (row.get("id"), ended(row)))
        .collect()
}

async fn rows(admin: &mut PgConnection, query: &str) -> Vec<PgRow> {
    let found = admin.fetch_all(sqlx::AssertSqlSafe(query)).await;
    found.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Pairs of which each left side comes once.
async fn map<K, V>(admin: &mut PgConnection, query: &str) -> BTreeMap<K, V>
where
    K: Ord + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    V: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let found = rows(admin, query).await;
    let count = found.len();
    let map: BTreeMap<K, V> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(map.len(), count, "{query}: some come twice");
    map
}

async fn lists(admin: &mut PgConnection, query: &str) -> BTreeMap<Uuid, Vec<Uuid>> {
    let mut lists: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for row in rows(admin, query).await {
        lists.entry(row.get(0)).or_default().push(row.get(1));
    }
    lists
}
