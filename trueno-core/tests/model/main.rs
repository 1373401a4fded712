//! The machines of jobs and schedules under a model checker: every state that three workers, two
//! schedulers, a store and a network that fails can come to. The steps are those that ship; see
//! docs/model.md for what is in the model and what is not.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figures"
)]

mod check;
mod jobs;
mod planted;
mod store;
mod ticks;

use check::prove;
use jobs::Jobs;
use store::{Caps, Rules};
use ticks::Ticks;
use trueno_core::model::{MissedTicks, OrganizationLimits};
use trueno_core::state::job::LOST_LEASE_LIMIT;

fn is_full() -> bool {
    std::env::var("TRUENO_PROOF").is_ok_and(|proof| proof == "full")
}

/// Jobs and three workers, with `most` jobs at the same time, and `key_limit` of the first two.
fn jobs(jobs: usize, most: Option<u32>, key_limit: u32, faults: jobs::Faults) -> Jobs {
    let mut limits = OrganizationLimits::default();
    if let Some(most) = most {
        limits = limits.with_max_running(most).unwrap();
    }
    let caps = Caps {
        limits,
        keyed: 2.min(jobs),
        key_limit,
    };
    Jobs {
        rules: Rules::shipped(),
        jobs,
        workers: 3,
        max_attempts: 2,
        // One lost lease gives the job back, one more is a crash loop.
        lost_leases: LOST_LEASE_LIMIT - 2,
        caps,
        faults,
    }
}

fn schedule(missed: MissedTicks, ticks: usize, faults: ticks::Faults) -> Ticks {
    Ticks {
        rules: ticks::Rules::shipped(),
        missed,
        schedulers: 2,
        ticks,
        faults,
    }
}

#[test]
fn one_job_and_every_fault() {
    let n = u8::from(is_full());
    let faults = jobs::Faults {
        crashes: 1,
        repeats: 1,
        losses: n,
        jumps: 1,
        returns: n,
        cancels: n,
    };
    prove("one job", || {
        let mut model = jobs(1, None, 2, faults);
        (model.max_attempts, model.lost_leases) = (1, LOST_LEASE_LIMIT - 1);
        model
    });
}

#[test]
fn one_job_that_is_tried_again() {
    let n = u8::from(is_full());
    let faults = jobs::Faults {
        crashes: n,
        ..Default::default()
    };
    prove("one job, two attempts", || jobs(1, None, 2, faults));
}

#[test]
fn two_jobs_under_one_key() {
    two_jobs("two jobs under a key of one", None, 1);
}

#[test]
fn two_jobs_of_an_organization_with_a_cap() {
    two_jobs("two jobs under a cap of one", Some(1), 2);
}

fn two_jobs(name: &str, most: Option<u32>, key_limit: u32) {
    let n = u8::from(is_full());
    let faults = jobs::Faults {
        crashes: 1,
        repeats: n,
        jumps: n,
        ..Default::default()
    };
    prove(name, || {
        let mut model = jobs(2, most, key_limit, faults);
        (model.max_attempts, model.lost_leases) = (1, LOST_LEASE_LIMIT - 1);
        model
    });
}

#[test]
fn missed_ticks_are_all_run() {
    ticks(MissedTicks::RunAll);
}

#[test]
fn missed_ticks_are_run_once() {
    ticks(MissedTicks::RunOnce);
}

#[test]
fn missed_ticks_are_skipped() {
    ticks(MissedTicks::Skip);
}

fn ticks(missed: MissedTicks) {
    let (ticks, n) = if is_full() { (5, 1) } else { (4, 0) };
    let faults = ticks::Faults {
        crashes: 1,
        repeats: 1,
        losses: n,
        jumps: 1,
        pauses: 1,
    };
    prove(&format!("ticks, missed: {missed}"), || {
        schedule(missed, ticks, faults)
    });
}
