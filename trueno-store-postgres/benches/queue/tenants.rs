//! The queue beside itself: with a long history, with a horizon that is held back, and with many
//! organizations, each against an empty database in the same run.

use sqlx::{AssertSqlSafe, Executor as _};

use crate::report::{Line, Target};
use crate::world::Bench;
use crate::{Options, note};

const PROCESSORS: usize = 2;
const ORGANIZATIONS: usize = 10_000;

/// Picks all of them.
pub(crate) const ALL: &str = "self";
pub(crate) const FINISHED: &str = "finished";
pub(crate) const PINNED: &str = "pinned";
pub(crate) const TENANTS: &str = "tenants";

pub(crate) async fn run(options: &Options) {
    let picked = |name| options.runs(ALL) || options.runs(name);
    if ![FINISHED, PINNED, TENANTS].into_iter().any(picked) {
        return;
    }
    let jobs = options.jobs;
    let empty = empty(jobs).await;
    note!("self: {empty:.0} jobs/s on an empty database");
    let print = |metric, peer, ours, least| {
        Line {
            metric,
            peer,
            ours,
            peer_value: empty,
            target: Some(Target::AtLeast(least)),
        }
        .print("queue");
    };
    if picked(FINISHED) {
        print(
            "self finished",
            "empty database (ours: 100 finished jobs and 20 queued for each one drained), jobs/s",
            finished(jobs).await,
            0.85,
        );
    }
    if picked(PINNED) {
        print(
            "self pinned",
            "empty database (ours: another session holds the horizon), jobs/s",
            pinned(jobs).await,
            0.9,
        );
    }
    if picked(TENANTS) {
        print(
            "self tenants",
            "empty database (ours: 10,000 organizations), jobs/s",
            tenants(jobs).await,
            0.7,
        );
    }
}

async fn empty(jobs: usize) -> f64 {
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    bench.enqueue(&tenant, jobs).await;
    rate(&bench, jobs).await
}

async fn rate(bench: &Bench, jobs: usize) -> f64 {
    bench.settle_down().await;
    let took = bench.drain(jobs, PROCESSORS).await;
    jobs as f64 / took.as_secs_f64()
}

/// Many finished jobs, with time-ordered ids as all have, and many that wait for a kind that no worker
/// here takes.
async fn finished(jobs: usize) -> f64 {
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    let mut admin = bench.database.admin().await;
    for statement in [
        format!(
            "insert into trueno.job_history (
                organization_id, id, kind, payload_version, payload, priority, run_at, max_attempts,
                failed_attempts, lost_leases, status, cancel_requested, created_at
             )
             select '{}', ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                'bench.nothing', 1, '{{}}', 0, now(), 2, 0, 0, 'succeeded', false, now()
             from generate_series(1, {}) n",
            tenant.id,
            jobs * 100
        ),
        format!(
            "insert into trueno.job (
                organization_id, id, kind, payload_version, payload, priority, run_at, max_attempts,
                status, created_at
             )
             select '{}', ('01980000-0000-7000-8100-' || lpad(to_hex(n), 12, '0'))::uuid,
                'bench.later', 1, '{{}}', 0, now(), 2, 'queued', now()
             from generate_series(1, {}) n",
            tenant.id,
            jobs * 20
        ),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    bench.enqueue(&tenant, jobs).await;
    rate(&bench, jobs).await
}

/// A session that looks at the database as it was keeps everything that is deleted meanwhile.
async fn pinned(jobs: usize) -> f64 {
    let bench = Bench::new().await;
    let tenant = bench.organization().await;
    let mut holder = bench.database.admin().await;
    holder
        .execute("begin isolation level repeatable read; select count(*) from trueno.job")
        .await
        .unwrap();
    // Churned before it is measured, so that what is dead lies in the way.
    bench.enqueue(&tenant, jobs).await;
    bench.drain(jobs, PROCESSORS).await;
    bench.enqueue(&tenant, jobs).await;
    let rate = rate(&bench, jobs).await;
    holder.execute("rollback").await.unwrap();
    rate
}

async fn tenants(jobs: usize) -> f64 {
    let bench = Bench::new().await;
    let organizations = ORGANIZATIONS.min(jobs);
    let mut tenants = Vec::with_capacity(organizations);
    for _ in 0..organizations {
        tenants.push(bench.organization().await);
    }
    for tenant in &tenants {
        bench.enqueue(tenant, jobs / organizations).await;
    }
    rate(&bench, jobs / organizations * organizations).await
}
