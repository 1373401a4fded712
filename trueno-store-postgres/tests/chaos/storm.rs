//! One run: faults while jobs are enqueued and run, then calm, then the check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use trueno_core::port::Recovered;
use uuid::Uuid;

use crate::crew::Crew;
use crate::enqueue::Pace;
use crate::plan::{Counts, Fault, LEASE, faults, random};
use crate::stage::Stage;
use crate::verdict::Run;
use crate::watch::{Seen, ask, look};

/// Where nothing is enqueued, or nothing ends once the faults are over, for so long, it never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever was stopped, and the tokens of the leases that ran out meanwhile.
type Pauses = JoinSet<(String, Vec<Uuid>)>;

struct Storm {
    stage: Stage,
    crew: Crew,
    pauses: Pauses,
    dead_tokens: BTreeSet<Uuid>,
}

/// Plays the storm of this seed, panics where something is broken, and answers its figures.
pub(crate) async fn run(counts: &Counts, seed: u64) -> Value {
    let stage = Stage::set(seed).await;
    let (plan, mut times) = (faults(counts, seed), random(seed, 3));
    let pace = Pace::default();
    let enqueuer = stage.enqueue(counts, seed, pace.clone()).await;
    let over = Arc::new(AtomicBool::new(false));
    let looks = tokio::spawn(look(stage.direct.clone(), pace.live.clone(), over.clone()));
    let crew = Crew::start(stage.url.clone(), stage.workers_log(), random(seed, 1));
    let mut storm = Storm {
        stage,
        crew,
        pauses: JoinSet::new(),
        dead_tokens: BTreeSet::new(),
    };

    let begun = Instant::now();
    let all = u32::try_from(plan.len()).unwrap();
    for (nth, (gap, fault)) in (1..).zip(plan) {
        // Jobs come for as long as faults do, and faults wait for jobs.
        let jobs = counts.jobs * nth / (all + 1);
        pace.allowed.store(jobs, Ordering::Relaxed);
        storm.wait(gap).await;
        storm.wait_for(jobs, &pace).await;
        let down = Duration::from_millis(times.random_range(0..600));
        storm.strike(fault, down).await;
    }
    while let Some(paused) = storm.pauses.join_next().await {
        storm.wake(paused.unwrap());
    }
    storm.stage.proxy.calm();
    let last = Instant::now();
    pace.allowed.store(counts.jobs, Ordering::Relaxed);
    let taken = enqueuer.await.unwrap();
    let is_calm = storm.calm().await;
    let (recovery, took) = (last.elapsed(), begun.elapsed());

    let Storm {
        stage,
        crew,
        dead_tokens,
        ..
    } = storm;
    let started = crew.started();
    crew.dismiss().await;
    over.store(true, Ordering::Relaxed);
    let seen: Seen = looks.await.unwrap();
    let left = stage.world.queue.recover_expired(1_000).await.unwrap();

    let run = Run {
        counts: *counts,
        seed,
        stage,
        started,
        dead_tokens,
        taken,
        seen,
        left: (!is_calm || left != Recovered::default())
            .then(|| format!("not calm after {recovery:?}; recovered at the end: {left:?}")),
        took,
        recovery,
    };
    run.figures().await
}

impl Storm {
    /// Waits, and lets those go on who were stopped for long enough.
    async fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(paused) = tokio::time::timeout_at(until, self.pauses.join_next()).await {
            match paused {
                Some(paused) => self.wake(paused.unwrap()),
                None => return tokio::time::sleep_until(until).await,
            }
        }
    }

    /// Waits until so many jobs were enqueued.
    async fn wait_for(&mut self, jobs: u32, pace: &Pace) {
        let begun = Instant::now();
        while pace.taken.load(Ordering::Relaxed) < jobs {
            assert!(begun.elapsed() < PATIENCE, "no jobs are enqueued: {pace:?}");
            self.wait(Duration::from_millis(20)).await;
        }
    }

    fn wake(&mut self, (name, tokens): (String, Vec<Uuid>)) {
        self.dead_tokens.extend(tokens);
        self.crew.wake(&name);
    }

    async fn strike(&mut self, fault: Fault, down: Duration) {
        let server = &mut self.stage.server;
        match fault {
            Fault::Kill => self.crew.kill(),
            Fault::Crash => {
                server.kill();
                tokio::time::sleep(down).await;
                server.launch();
                server.accepts().await;
            }
            Fault::Restart => {
                server.ask_to_stop("INT");
                server.stopped();
                tokio::time::sleep(down).await;
                server.launch();
                server.accepts().await;
            }
            Fault::Pause => {
                let name = self.crew.stop();
                self.pauses.spawn(pause(self.stage.direct.clone(), name));
            }
            Fault::Cut => self.stage.proxy.cut_all(),
        }
    }

    /// Waits until every job has ended and nothing is kept of any, for as long as that comes nearer.
    /// Answers whether it came.
    async fn calm(&self) -> bool {
        let left = "select (select count(*) from trueno.job),
            (select count(*) from trueno.queue_note) + (select count(*) from trueno.worker_batch)";
        let (mut least, mut since) = (i64::MAX, Instant::now());
        while since.elapsed() < PATIENCE {
            let (jobs, kept): (i64, i64) = ask(&self.stage.direct, |admin| {
                Box::pin(async move { sqlx::query_as(left).fetch_one(admin).await })
            })
            .await;
            if (jobs, kept) == (0, 0) {
                return true;
            }
            if jobs < least {
                (least, since) = (jobs, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

/// Waits until the leases of a stopped worker have run out. Answers its name and their tokens: what
/// it does under them once it goes on may change nothing.
async fn pause(server: PgConnectOptions, name: String) -> (String, Vec<Uuid>) {
    // What it had sent may still be on its way.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let held = "select token from trueno.job where status = 'running' and locked_worker = $1";
    let held: Vec<Uuid> = ask(&server, |admin| {
        let held = sqlx::query_scalar(held).bind(name.clone());
        Box::pin(async move { held.fetch_all(admin).await })
    })
    .await;
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    let dead = ask(&server, |admin| Box::pin(over(admin, held.clone()))).await;
    (name, dead)
}

/// Those of the tokens that are over. Where the worker was stopped between asking for an end and
/// committing it, it has the job's row locked, and may: nobody else had the job.
async fn over(admin: &mut PgConnection, held: Vec<Uuid>) -> sqlx::Result<Vec<Uuid>> {
    let expired = "select j.token from trueno.job j
        join trueno.worker_session s on s.id = j.locked_by
        where j.token = any ($1) and j.status = 'running' and s.expires_at <= clock_timestamp()
        for key share of j skip locked";
    let gone = "select t.token from unnest($1) t (token)
        where not exists (select from trueno.job j where j.token = t.token)
            and not exists (select from trueno.job_history h where h.token = t.token)";
    let mut over: Vec<Uuid> = Vec::new();
    for query in [expired, gone] {
        over.extend(
            sqlx::query_scalar::<_, Uuid>(query)
                .bind(&held)
                .fetch_all(&mut *admin)
                .await?,
        );
    }
    Ok(over)
}
