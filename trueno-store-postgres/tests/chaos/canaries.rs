//! Proves that the check can fail: what it looked at is spoiled, each time in one way and in a
//! transaction that is rolled back, and it has to say so.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use trueno_core::id::JobId;
use uuid::Uuid;

use crate::check::{Broken, check};
use crate::facts::Facts;
use crate::work::Known;

/// Where the check has to say it.
type List = fn(&Broken) -> &Vec<String>;

const LOST: List = |broken| &broken.lost;
const DOUBLED: List = |broken| &broken.doubled;
const CAPS: List = |broken| &broken.caps;
const STUCK: List = |broken| &broken.stuck;

/// What is spoiled, and what the check has to say.
const CANARIES: [(&str, List, &str); 15] = [
    (
        "delete from trueno.job_history where id = (
            select id from trueno.job_history where payload->>'follows' is null limit 1)",
        LOST,
        "was acknowledged",
    ),
    (
        "delete from trueno.audit_staged where id = (
            select id from trueno.audit_staged where action = 'chaos.done' limit 1)",
        LOST,
        "without its effect",
    ),
    (
        "delete from trueno.job_history where id = (
            select id from trueno.job_history where payload->>'follows' is not null limit 1)",
        LOST,
        "no job follows",
    ),
    (
        "delete from trueno.audit_staged where id = (
            select id from trueno.audit_staged where action = 'job.attempt_failed' limit 1)",
        LOST,
        "events of failed attempts",
    ),
    (
        "update trueno.job_history set status = 'dead' where id = (
            select id from trueno.job_history where status = 'succeeded' and lost_leases = 0 limit 1)",
        LOST,
        "attempts fail of",
    ),
    (
        "insert into trueno.audit_staged
            (organization_id, id, actor_kind, actor_id, action, targets, details)
            select organization_id, gen_random_uuid(), actor_kind, actor_id, action, targets, details
            from trueno.audit_staged where action = 'chaos.done' limit 1",
        DOUBLED,
        "effects of",
    ),
    (
        "update trueno.audit_staged
            set details = jsonb_build_object('token', gen_random_uuid())
            where id = (select id from trueno.audit_staged where action = 'chaos.done' limit 1)",
        DOUBLED,
        "effects of",
    ),
    (
        "insert into trueno.job_history
            select (jsonb_populate_record(h, jsonb_build_object('id', gen_random_uuid()))).*
            from trueno.job_history h where payload->>'follows' is not null limit 1",
        DOUBLED,
        "2 jobs follow",
    ),
    (
        "update trueno.job_history set token = gen_random_uuid() where id = (
            select id from trueno.job_history where status = 'succeeded' limit 1)",
        DOUBLED,
        "was ended by",
    ),
    (
        "update trueno.resource set attributes = jsonb_build_object('token', gen_random_uuid())
            where native_id = 'vol-0-0' and last_scan_id = (
                select id from trueno.scan where status = 'succeeded' limit 1)",
        DOUBLED,
        "resources of scan",
    ),
    (
        "insert into trueno.job (organization_id, id, kind, payload_version, payload, priority,
                run_at, max_attempts, status, created_at)
            select organization_id, gen_random_uuid(), 'chaos.plain', 1, '{}', 0, now(), 1,
                'queued', now()
            from trueno.queue_organization, generate_series(0, max_running);
        update trueno.job set status = 'running', token = gen_random_uuid(),
            locked_by = gen_random_uuid(), locked_worker = 'canary'",
        CAPS,
        "4 jobs run, and 3 may",
    ),
    (
        "insert into trueno.job (organization_id, id, kind, payload_version, payload, priority,
                run_at, max_attempts, status, created_at, concurrency_key, concurrency_limit)
            select organization_id, gen_random_uuid(), 'chaos.plain', 1, '{}', 0, now(), 1,
                'queued', now(), 'at most 1', 1
            from trueno.queue_organization, generate_series(1, 2) where max_running is null;
        update trueno.job set status = 'running', token = gen_random_uuid(),
            locked_by = gen_random_uuid(), locked_worker = 'canary'",
        CAPS,
        "2 jobs run, and 1 may",
    ),
    (
        "update trueno.queue_organization set running = running + 1",
        CAPS,
        "running are kept",
    ),
    (
        "insert into trueno.job (organization_id, id, kind, payload_version, payload, priority,
                run_at, max_attempts, status, created_at)
            select organization_id, gen_random_uuid(), 'chaos.plain', 1, '{}', 0, now(), 1,
                'queued', now()
            from trueno.queue_organization limit 1",
        STUCK,
        "is queued",
    ),
    (
        "with session as (
            insert into trueno.worker_session (id, worker, expires_at)
                values (gen_random_uuid(), 'canary', now()) returning id
        ) insert into trueno.worker_batch (session_id, organization_ids, job_ids)
            select id, '{}', '{}' from session",
        STUCK,
        "batches of sessions: 1",
    ),
];

/// Panics where one is not noticed, and answers how many were.
pub(crate) async fn noticed(
    admin: &mut PgConnection,
    acknowledged: &BTreeMap<JobId, Known>,
    dead_tokens: &BTreeSet<Uuid>,
) -> usize {
    for (spoil, list, words) in CANARIES {
        let mut tx = admin.begin().await.unwrap();
        tx.execute(AssertSqlSafe(spoil)).await.unwrap();
        let facts = Facts::collect(&mut tx).await;
        tx.rollback().await.unwrap();
        let broken = check(&facts, acknowledged, dead_tokens);
        let said = list(&broken).iter().any(|line| line.contains(words));
        assert!(said, "{words:?} was not said of {spoil}: {broken}");
    }
    // A stopped worker's end that counted, and its effect.
    let facts = Facts::collect(admin).await;
    let (job, tokens) = facts.effects.first_key_value().unwrap();
    let broken = check(&facts, acknowledged, &tokens.iter().copied().collect());
    for words in ["was ended under a lease", "is of a lease"] {
        let line = broken.doubled.iter().find(|line| line.contains(words));
        assert!(
            line.is_some_and(|line| line.contains(&job.to_string())),
            "{broken}"
        );
    }
    CANARIES.len() + 1
}
