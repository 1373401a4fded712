//! What came of a run: what is broken, and its figures.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use trueno_core::model::JobStatus;
use trueno_core::state::job::LOST_LEASE_LIMIT;
use uuid::Uuid;

use crate::canaries;
use crate::check::{Broken, check};
use crate::enqueue::Taken;
use crate::facts::{Ended, Facts};
use crate::plan::{Counts, WORKERS};
use crate::stage::Stage;
use crate::watch::Seen;

/// A run that is over.
pub(crate) struct Run {
    pub(crate) counts: Counts,
    pub(crate) seed: u64,
    pub(crate) stage: Stage,
    /// Processes of workers.
    pub(crate) started: u32,
    /// Tokens of leases that ran out while their workers were stopped.
    pub(crate) dead_tokens: BTreeSet<Uuid>,
    pub(crate) taken: Taken,
    pub(crate) seen: Seen,
    /// What had not ended when everything should have.
    pub(crate) left: Option<String>,
    pub(crate) took: Duration,
    /// From the last fault until every job had ended.
    pub(crate) recovery: Duration,
}

impl Run {
    /// Panics where something is broken, or where the run tried too little to tell.
    pub(crate) async fn figures(self) -> Value {
        let mut admin = self.stage.direct.connect().await.unwrap();
        let facts = Facts::collect(&mut admin).await;
        let broken = self.broken(&facts);
        if broken.counts() != [0; 4] {
            self.print_log();
            let seed = self.seed;
            panic!("{broken}to play it again: TRUENO_TEST_SEED={seed}");
        }
        let unexpected = self.stage.unexpected();
        assert!(unexpected.is_empty(), "the server said: {unexpected:#?}");
        let stale = self.stage.stale();
        self.tried_enough(&facts, stale);
        let noticed = canaries::noticed(&mut admin, &self.taken.jobs, &self.dead_tokens).await;

        let Self { counts, taken, .. } = &self;
        let [connections, single_cuts, delays] = self.stage.proxy.figures();
        let scans = taken.jobs.values().filter(|known| known.scan.is_some());
        let [lost, doubled, caps, stuck] = broken.counts();
        json!({
            "seed": self.seed,
            "jobs": taken.jobs.len(),
            "followers": facts.ended.len() - taken.jobs.len(),
            "scans": scans.count(),
            "kills_of_processors": counts.kills,
            "restarts_of_postgres": counts.restarts,
            "of_these_crashes": counts.restarts.div_ceil(2),
            "pauses_of_processors": counts.pauses,
            "cuts_of_all_connections": counts.cuts,
            "cuts_of_one_connection": single_cuts,
            "delays": delays,
            "connections": connections,
            "claims": facts.claims.values().map(Vec::len).sum::<usize>(),
            "leases_lost_and_recovered": sum(&facts, |job| job.lost_leases),
            "leases_that_ran_out_in_paused_processors": self.dead_tokens.len(),
            "requests_refused_as_stale": stale,
            "failed_attempts": sum(&facts, |job| job.failed_attempts),
            "dead_as_planned": dead(&facts, false),
            "dead_as_crash_looped": dead(&facts, true),
            "effects": facts.effects.len(),
            "enqueues_sent_again": taken.retries,
            "of_these_applied_before": taken.applied,
            "looks_at_the_counts": self.seen.looks,
            "organization_caps_reached": self.caps_reached(),
            "canaries_noticed": noticed,
            "seconds": self.took.as_secs_f64().round(),
            "seconds_from_the_last_fault_to_the_end": self.recovery.as_secs_f64().round(),
            "lost": lost,
            "doubled": doubled,
            "caps_exceeded": caps,
            "stuck": stuck,
        })
    }

    fn broken(&self, facts: &Facts) -> Broken {
        let mut broken = check(facts, &self.taken.jobs, &self.dead_tokens);
        broken.caps.extend(self.seen.differences.iter().cloned());
        broken.lost.extend(self.taken.untrue.iter().cloned());
        broken.stuck.extend(self.left.clone());
        broken
    }

    fn print_log(&self) {
        let log = std::fs::read_to_string(self.stage.workers_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(200).collect();
        let lines = lines.join("\n");
        println!("the workers' last words, the latest first:\n{lines}");
    }

    /// A storm that hit nothing would prove nothing.
    fn tried_enough(&self, facts: &Facts, stale: usize) {
        let [_, single_cuts, delays] = self.stage.proxy.figures();
        let workers = u32::try_from(WORKERS).unwrap();
        for (what, enough) in [
            (
                "a worker for each that was killed",
                self.started == self.counts.kills + workers,
            ),
            (
                "leases that kills took away",
                sum(facts, |job| job.lost_leases) >= i64::from(self.counts.kills),
            ),
            ("leases of paused workers", !self.dead_tokens.is_empty()),
            ("refusals of what was over", stale > 0),
            ("cuts and delays", single_cuts > 0 && delays > 0),
            ("looks", self.seen.looks > 100),
            ("caps that were reached", self.caps_reached() > 0),
        ] {
            assert!(enough, "too few, or none: {what}");
        }
    }

    fn caps_reached(&self) -> usize {
        let reached = self.stage.customers.iter().filter(|customer| {
            let peak = self.seen.peaks.get(&customer.tenant.id.as_uuid());
            peak.is_some() && peak.copied() == customer.max_running.map(i64::from)
        });
        reached.count()
    }
}

fn sum(facts: &Facts, of: fn(&Ended) -> i64) -> i64 {
    facts.ended.values().map(of).sum()
}

fn dead(facts: &Facts, is_crash_looped: bool) -> usize {
    let limit = i64::from(LOST_LEASE_LIMIT);
    let dead = facts.ended.values();
    let dead = dead.filter(|job| job.status == JobStatus::Dead);
    dead.filter(|job| (job.lost_leases >= limit) == is_crash_looped)
        .count()
}
