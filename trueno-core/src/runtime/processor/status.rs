//! What a processor says of itself, for the probes of whoever runs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How a processor does: a handle, cheap to clone, that follows its latest
/// [`run`](super::Processor::run).
///
/// Ages are by tokio's timers. [`is_live`](Self::is_live) is for a probe that restarts the process,
/// [`is_ready`](Self::is_ready) for one that says whether it takes jobs.
#[derive(Clone, Debug)]
pub struct ProcessorStatus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lease_for: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    phase: Phase,
    turned: Option<Instant>,
    claimed: Option<Instant>,
    beat: Option<Instant>,
    /// No claim succeeded since one that failed.
    failing: bool,
    running: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    NotStarted,
    Running,
    ShuttingDown,
    Ended,
}

impl ProcessorStatus {
    pub(super) fn new(lease_for: Duration) -> Self {
        Self(Arc::new(Shared {
            lease_for,
            state: Mutex::default(),
        }))
    }

    /// Its loop turned within three times
    /// [`lease_for`](super::ProcessorConfig::lease_for), or it shuts down, which takes a bounded
    /// time. False before it runs and once it ended. It turns several times in each `lease_for`,
    /// also while there is nothing to do and while the queue does not answer: where it does not,
    /// something blocks the runtime, and only a restart helps.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let state = *self.state();
        match state.phase {
            Phase::Running => within(state.turned, self.0.lease_for * 3),
            Phase::ShuttingDown => true,
            Phase::NotStarted | Phase::Ended => false,
        }
    }

    /// It takes jobs: its last claim succeeded within
    /// [`lease_for`](super::ProcessorConfig::lease_for), and it does not shut down. While it asks
    /// for no jobs, because every place is taken or because polls are further apart than that, a
    /// heartbeat counts as a claim does.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = *self.state();
        let lease_for = self.0.lease_for;
        state.phase == Phase::Running
            && state.claimed.is_some()
            && (within(state.claimed, lease_for)
                || (!state.failing && within(state.beat, lease_for)))
    }

    /// It was told to stop, or has stopped.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        matches!(self.state().phase, Phase::ShuttingDown | Phase::Ended)
    }

    /// How many jobs run, or have run and are being ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.state().running
    }

    /// How long ago the queue last answered a claim. `None` where it never did.
    #[must_use]
    pub fn since_claim(&self) -> Option<Duration> {
        self.state().claimed.map(|at| at.elapsed())
    }

    /// How long ago the queue last answered a heartbeat. `None` where it never did.
    #[must_use]
    pub fn since_heartbeat(&self) -> Option<Duration> {
        self.state().beat.map(|at| at.elapsed())
    }

    /// It runs from now on, until the answer is dropped.
    pub(super) fn begin(&self) -> Ending {
        *self.state() = State {
            phase: Phase::Running,
            turned: Some(Instant::now()),
            ..State::default()
        };
        Ending(self.clone())
    }

    pub(super) fn turned(&self, running: usize) {
        let mut state = self.state();
        state.turned = Some(Instant::now());
        state.running = running;
    }

    pub(super) fn claimed(&self) {
        let mut state = self.state();
        state.claimed = Some(Instant::now());
        state.failing = false;
    }

    pub(super) fn claim_failed(&self) {
        self.state().failing = true;
    }

    pub(super) fn beat(&self) {
        self.state().beat = Some(Instant::now());
    }

    pub(super) fn shuts_down(&self) {
        self.state().phase = Phase::ShuttingDown;
    }

    /// Plain data, whole at any moment: a panic elsewhere leaves nothing half-done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within(at: Option<Instant>, limit: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() <= limit)
}

/// Says that the processor ended, however its run ends.
#[derive(Debug)]
pub(super) struct Ending(ProcessorStatus);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.phase = Phase::Ended;
        state.running = 0;
    }
}
