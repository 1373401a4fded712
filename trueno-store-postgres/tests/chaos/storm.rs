//! One run: faults while jobs are enqueued and run, then calm, then the check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use trueno_core::model::JobStatus;
use trueno_core::port::Recovered;
use uuid::Uuid;

use crate::canaries;
use crate::check::check;
use crate::crew::Crew;
use crate::facts::Facts;
use crate::plan::{Counts, Fault, LEASE, WORKERS, faults, random};
use crate::stage::Stage;
use crate::watch::{Seen, ask, look};
use crate::work::Known;

/// What has not ended so long after the last fault never will.
const PATIENCE: Duration = Duration::from_secs(180);

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
    let allowed = Arc::new(AtomicU32::new(0));
    let enqueuer = stage.enqueue(counts, seed, allowed.clone()).await;
    let over = Arc::new(AtomicBool::new(false));
    let looks = tokio::spawn(look(stage.direct.clone(), over.clone()));
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
        // Jobs come for as long as faults do.
        allowed.store(counts.jobs * nth / (all + 1), Ordering::Relaxed);
        storm.wait(gap).await;
        let down = Duration::from_millis(times.random_range(0..600));
        storm.strike(fault, down).await;
    }
    while let Some(paused) = storm.pauses.join_next().await {
        storm.wake(paused.unwrap());
    }
    storm.stage.proxy.calm();
    let last = Instant::now();
    allowed.store(counts.jobs, Ordering::Relaxed);
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

    let mut admin = sqlx::ConnectOptions::connect(&stage.direct).await.unwrap();
    let facts = Facts::collect(&mut admin).await;
    let mut broken = check(&facts, &taken.jobs, &dead_tokens);
    broken.caps.extend(seen.differences.clone());
    broken.lost.extend(taken.untrue.clone());
    if !is_calm || left != Recovered::default() {
        broken.stuck.push(format!(
            "not calm after {recovery:?}; recovered at the end: {left:?}"
        ));
    }
    if broken.counts() != [0; 4] {
        let log = std::fs::read_to_string(stage.workers_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(200).collect();
        println!(
            "the workers' last words, the latest first:\n{}",
            lines.join("\n")
        );
        panic!("{broken}to play it again: TRUENO_TEST_SEED={seed}");
    }

    let sum = |of: fn(&crate::facts::Ended) -> i64| facts.ended.values().map(of).sum::<i64>();
    let dead = |looped| {
        let of = facts.ended.values();
        of.filter(|job| job.status == JobStatus::Dead && (job.lost_leases >= 5) == looped)
            .count()
    };
    let lost_leases = sum(|job| job.lost_leases);
    let [connections, single_cuts, delays] = stage.proxy.figures();
    let refusals = stage.refusals();
    let reached = stage.customers.iter().filter(|customer| {
        let peak = seen.peaks.get(&customer.tenant.id.as_uuid());
        customer
            .max_running
            .is_some_and(|most| peak == Some(&i64::from(most)))
    });
    let caps_reached = reached.count();
    assert_eq!(started, counts.kills + u32::try_from(WORKERS).unwrap());
    for (what, count) in [
        (
            "kills that took leases",
            lost_leases >= i64::from(counts.kills),
        ),
        ("leases of stopped workers", !dead_tokens.is_empty()),
        ("refusals of what was over", refusals > 0),
        ("requests that failed", taken.retries > 0),
        ("cuts and delays", single_cuts > 0 && delays > 0),
        ("looks", seen.looks > 100),
        ("caps that were reached", caps_reached > 0),
    ] {
        assert!(count, "no {what}, or too few: it tried nothing");
    }
    let noticed = canaries::noticed(&mut admin, &taken.jobs, &dead_tokens).await;
    let [lost, doubled, caps, stuck] = broken.counts();
    json!({
        "seed": seed,
        "jobs": taken.jobs.len(),
        "followers": facts.ended.len() - taken.jobs.len(),
        "scans": taken.jobs.values().filter(|known: &&Known| known.scan.is_some()).count(),
        "kills_of_processors": counts.kills,
        "restarts_of_postgres": counts.restarts,
        "pauses_of_processors": counts.pauses,
        "cuts_of_all_connections": counts.cuts,
        "cuts_of_one_connection": single_cuts,
        "delays": delays,
        "connections": connections,
        "claims": facts.claims.values().map(Vec::len).sum::<usize>(),
        "leases_lost_and_recovered": lost_leases,
        "leases_that_ran_out_in_stopped_processors": dead_tokens.len(),
        "requests_refused_as_stale": refusals,
        "failed_attempts": sum(|job| job.failed_attempts),
        "dead_as_planned": dead(false),
        "dead_as_crash_looped": dead(true),
        "effects": facts.effects.len(),
        "enqueues_sent_again": taken.retries,
        "of_these_applied_before": taken.applied,
        "looks_at_the_counts": seen.looks,
        "organization_caps_reached": caps_reached,
        "canaries_noticed": noticed,
        "seconds": took.as_secs(),
        "seconds_from_the_last_fault_to_the_end": recovery.as_secs_f64(),
        "lost": lost,
        "doubled": doubled,
        "caps_exceeded": caps,
        "stuck": stuck,
    })
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

    /// Waits until every job has ended and nothing is kept of any. Answers whether that came.
    async fn calm(&self) -> bool {
        let left = "select (select count(*) from trueno.job)
            + (select count(*) from trueno.queue_note) + (select count(*) from trueno.worker_batch)";
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let left: i64 = ask(&self.stage.direct, |admin| {
                Box::pin(async move { sqlx::query_scalar(left).fetch_one(admin).await })
            })
            .await;
            if left == 0 {
                return true;
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
