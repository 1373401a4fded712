//! A whole service in one thread and under one seed: processors over an adapter's store, with faults.
//!
//! Time is tokio's, paused, and every choice is drawn from the seed, so that a run replays: the same
//! seed gives the same transcript. Processors crash and start again, shut down, meet errors that
//! were applied, were not or nobody knows, and delays past their leases, and so do two schedulers, also
//! between what they read and what they fire; the store's clock jumps, over ticks as well; members
//! cancel jobs, ask for scans, pause schedules and accounts, and operators pause jobs. Then the storm
//! ends, and what must be so is checked:
//!
//! - no cap was exceeded after any claim, by a count of the jobs that run: so no account had two scans
//!   at a time;
//! - every tick of every schedule, worked out without what reads cron expressions, ran once or was given
//!   up as its policy has it; none was lost, doubled or early, and each that ran has its scan (P2, P10);
//! - every job ended, and the queue holds none;
//! - a job's effect was committed once if it succeeded, under the token of its last claim, and never
//!   otherwise (P3); its follower is there with it or not at all (P2).
//!
//! ```
//! # use trueno_core::clock::SharedClock;
//! # use trueno_core::id::IdSource;
//! use trueno_testkit::simulation::{Parts, simulate};
//!
//! /// `my_store` makes the adapter's store, over the clock and the ids that it is given.
//! fn holds(my_store: fn(SharedClock, IdSource) -> Parts) {
//!     let run = simulate(7, my_store);
//!     assert!(run.broken.is_empty(), "{run}");
//! }
//! ```

mod firing;
mod handler;
mod plot;
mod rhythm;
mod schedules;
mod ticks;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use trueno_core::clock::SharedClock;
use trueno_core::id::IdSource;
use trueno_core::port::{JobQueue, Scheduling, TenantStore};

/// An adapter's store, empty, and the queue over the same data. Its time has to be that of the
/// clock that it was made with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The queue.
    pub queue: Arc<dyn JobQueue>,
    /// The store.
    pub store: Arc<dyn TenantStore>,
    /// The store once more, as schedulers see it.
    pub schedules: Arc<dyn Scheduling>,
}

/// What a simulated run was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed that plays it again.
    pub seed: u64,
    /// What happened, in order.
    pub transcript: Vec<String>,
    /// What must not be and was.
    pub broken: Vec<String>,
    /// How often what happened.
    pub figures: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "{line}")?;
        }
        for broken in &self.broken {
            writeln!(f, "broken: {broken}")?;
        }
        write!(f, "to play it again: TRUENO_SEED={}", self.seed)
    }
}

/// Plays the run of this seed over a store that `make` makes.
///
/// # Panics
/// Where the store fails what no fault was planted in.
pub fn simulate(seed: u64, make: impl FnOnce(SharedClock, IdSource) -> Parts) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(plot::play(seed, make))
}
