//! What the database is made to write down of itself, and what is read of it all the while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use tokio::time::Instant;
use uuid::Uuid;

/// How long the server may be away before the test is said to hang.
const HANG: Duration = Duration::from_secs(60);

/// Triggers on the jobs, in a schema of the test: each claim's tokens are kept, and after each change
/// of a status, in its transaction, the jobs that run are counted. A claim has its organizations'
/// rows locked, so what it counts is what runs: no cap can be exceeded unseen.
const TRIGGERS: &str = "
    create schema chaos;
    create table chaos.claim (
        position bigint generated always as identity primary key,
        job_id uuid not null, token uuid not null, worker text not null
    );
    create table chaos.breach (what text not null);
    create function chaos.claimed() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    begin
        insert into chaos.claim (job_id, token, worker)
            values (new.id, new.token, new.locked_worker);
        return null;
    end $$;
    create function chaos.counted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    begin
        insert into chaos.breach (what)
            select format('organization %s: %s jobs run, and %s may',
                r.organization_id, r.running, o.max_running)
            from (
                select organization_id, count(*) as running from trueno.job
                where status = 'running' group by organization_id
            ) r join trueno.queue_organization o using (organization_id)
            where r.running > o.max_running
            union all
            select format('key %s of %s: %s jobs run, and %s may',
                concurrency_key, organization_id, count(*), min(concurrency_limit))
            from trueno.job where status = 'running' and concurrency_key <> ''
            group by organization_id, concurrency_key
            having count(*) > min(concurrency_limit);
        return null;
    end $$;
    create trigger chaos_claimed after update of status on trueno.job
        for each row when (new.status = 'running') execute function chaos.claimed();
    create trigger chaos_counted after update of status on trueno.job
        for each statement execute function chaos.counted();
";

/// What the queue keeps of each organization and key, with the notes that no claim has read yet, and
/// what its jobs say: one statement, so as of one moment. Where the two differ.
const DIFFERENCES: &str = "
    with job as (
        select organization_id, concurrency_key, count(*) as live,
            count(*) filter (where status = 'running') as running
        from trueno.job group by organization_id, concurrency_key
    ), note as (
        select organization_id, concurrency_key, sum(added - ended) as live, sum(freed) as freed
        from trueno.queue_note group by organization_id, concurrency_key
    )
    select format('%s: %s live and %s running are kept, there are %s and %s', organization_id,
        coalesce(o.live, 0) + coalesce(n.live, 0), coalesce(o.running, 0) - coalesce(n.freed, 0),
        coalesce(j.live, 0), coalesce(j.running, 0)) as difference
    from (
        select organization_id, sum(live) as live, sum(running) as running
        from job group by organization_id
    ) j
    full join (
        select organization_id, sum(live) as live, sum(freed) as freed
        from note group by organization_id
    ) n using (organization_id)
    full join trueno.queue_organization o using (organization_id)
    where coalesce(o.live, 0) + coalesce(n.live, 0) <> coalesce(j.live, 0)
        or coalesce(o.running, 0) - coalesce(n.freed, 0) <> coalesce(j.running, 0)
    union all
    select format('key %s of %s: %s running are kept, there are %s', concurrency_key,
        organization_id, coalesce(k.running, 0) - coalesce(n.freed, 0), coalesce(j.running, 0))
    from (select * from job where concurrency_key <> '') j
    full join (select * from note where concurrency_key <> '') n
        using (organization_id, concurrency_key)
    full join trueno.queue_key k using (organization_id, concurrency_key)
    where coalesce(k.running, 0) - coalesce(n.freed, 0) <> coalesce(j.running, 0)";

pub(crate) async fn install(admin: &mut PgConnection) {
    admin.execute(TRIGGERS).await.unwrap();
}

pub(crate) async fn differences(admin: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(DIFFERENCES).fetch_all(admin).await
}

/// Asks as the server's administrator, straight and again while the server is away.
pub(crate) async fn ask<T>(
    server: &PgConnectOptions,
    question: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
) -> T {
    let begun = Instant::now();
    loop {
        let answer = match server.connect().await {
            Ok(mut admin) => question(&mut admin).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => return answer,
            Err(error) => assert!(
                begun.elapsed() < HANG,
                "the server does not answer: {error}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was seen in passing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) looks: u64,
    /// The most jobs that ran at once, by organization.
    pub(crate) peaks: BTreeMap<Uuid, i64>,
    pub(crate) differences: Vec<String>,
}

/// Looks again and again until it is told that it is over, and says how many jobs are live.
pub(crate) async fn look(
    server: PgConnectOptions,
    live: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut admin) = server.connect().await {
            while !over.load(Ordering::Relaxed) && once(&mut admin, &mut seen, &live).await.is_ok()
            {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    seen
}

async fn once(admin: &mut PgConnection, seen: &mut Seen, live: &AtomicU32) -> sqlx::Result<()> {
    let different = differences(admin).await?;
    let running = "select organization_id, count(*) as live,
            count(*) filter (where status = 'running') as running
        from trueno.job group by organization_id";
    let mut sum = 0;
    for row in admin.fetch_all(running).await? {
        let peak = seen.peaks.entry(row.get("organization_id")).or_default();
        *peak = row.get::<i64, _>("running").max(*peak);
        sum += row.get::<i64, _>("live");
    }
    live.store(u32::try_from(sum).unwrap(), Ordering::Relaxed);
    seen.looks += 1;
    seen.differences.extend(different);
    Ok(())
}
