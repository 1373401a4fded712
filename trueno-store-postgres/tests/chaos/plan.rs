//! What is done to whom and when: drawn from the seed before anything runs.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use trueno_testkit::proof;

/// How long leases last: short, so that what a fault takes away soon comes back.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Processors that run at the same time.
pub(crate) const WORKERS: usize = 6;

/// How many jobs are enqueued, and how often what is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) jobs: u32,
    /// Processors that are killed outright.
    pub(crate) kills: u32,
    /// Restarts of the server: every other one a crash.
    pub(crate) restarts: u32,
    /// Processors that are stopped for longer than a lease.
    pub(crate) pauses: u32,
    /// Cuts of every connection at once, beside those of single connections.
    pub(crate) cuts: u32,
}

impl Counts {
    /// Those of the full proof, or a tenth of them.
    pub(crate) fn of_the_proof() -> Self {
        Self {
            jobs: proof::count(20_000),
            kills: proof::count(200),
            restarts: proof::count(20),
            pauses: proof::count(20),
            cuts: proof::count(20),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of a processor; another one starts in its place.
    Kill,
    /// `kill -9` of the server and all its processes; it starts again.
    Crash,
    /// The server is shut down without waiting for its clients, and starts again.
    Restart,
    /// SIGSTOP of a processor, until its leases have run out.
    Pause,
    /// Every connection is cut.
    Cut,
}

/// Faults in their order, each with the time since the one before it.
pub(crate) fn faults(counts: &Counts, seed: u64) -> Vec<(Duration, Fault)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    let times = |fault, count| std::iter::repeat_n(fault, usize::try_from(count).unwrap());
    faults.extend(times(Fault::Kill, counts.kills));
    faults.extend(times(Fault::Crash, counts.restarts.div_ceil(2)));
    faults.extend(times(Fault::Restart, counts.restarts / 2));
    faults.extend(times(Fault::Pause, counts.pauses));
    faults.extend(times(Fault::Cut, counts.cuts));
    faults.shuffle(&mut random);
    let mut gap = || Duration::from_millis(random.random_range(200..1_400));
    faults.into_iter().map(|fault| (gap(), fault)).collect()
}

/// A generator of its own for each purpose, so that none depends on how often another one is asked.
pub(crate) fn random(seed: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
