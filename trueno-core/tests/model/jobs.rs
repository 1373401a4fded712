//! Jobs, three workers, and a network between them and the store that loses, delays and repeats.

mod actions;
mod names;
mod properties;
mod steps;

use stateright::{Model, Property};
use trueno_core::state::job::JobState;

use crate::check::Ends;
use crate::store::{Caps, JobNo, NOW, Outcome, Row, Rules, SessionNo, Store, TokenNo};

pub(crate) const ONE_TOKEN: &str = "P3: no job's effects commit under two tokens, or late";
pub(crate) const CAPS: &str = "no cap is exceeded";
pub(crate) const ENDS_ONCE: &str = "a job ends once";

/// How much may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// Workers that vanish; another takes their place.
    pub(crate) crashes: u8,
    /// Messages that arrive and are still under way.
    pub(crate) repeats: u8,
    /// Messages, and answers of the store, that never arrive.
    pub(crate) losses: u8,
    /// The clock jumps past every lease.
    pub(crate) jumps: u8,
    /// Workers that give their job back, as on a shutdown.
    pub(crate) returns: u8,
    /// Members who cancel a job.
    pub(crate) cancels: u8,
}

#[derive(Clone)]
pub(crate) struct Jobs {
    pub(crate) rules: Rules,
    pub(crate) jobs: usize,
    pub(crate) workers: usize,
    /// Attempts that may fail.
    pub(crate) max_attempts: u32,
    /// Leases that each job has lost before.
    pub(crate) lost_leases: u32,
    pub(crate) caps: Caps,
    pub(crate) faults: Faults,
}

/// One job at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Worker {
    session: Option<SessionNo>,
    lease: Option<Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Work {
    job: JobNo,
    token: TokenNo,
    /// It is done, and tells the store until that answers.
    outcome: Option<Outcome>,
}

/// What workers ask of the store. An answer comes at once or never: a worker that gets it late does
/// nothing else than one that is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Claim {
        session: SessionNo,
    },
    Heartbeat {
        session: SessionNo,
    },
    Settle {
        session: SessionNo,
        job: JobNo,
        token: TokenNo,
        outcome: Outcome,
    },
}

impl Message {
    fn session(&mut self) -> &mut SessionNo {
        match self {
            Self::Claim { session }
            | Self::Heartbeat { session }
            | Self::Settle { session, .. } => session,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) store: Store,
    /// Sorted: workers are alike.
    workers: Vec<Worker>,
    /// What is under way, sorted; any of it may arrive next.
    network: Vec<Message>,
    left: Faults,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    /// Arrives and is still under way.
    Repeats,
    /// Arrives, and its answer does not.
    Unanswered,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    SendClaim(usize),
    SendHeartbeat(usize),
    /// The worker is done with its job, or tells the store again.
    Settle(usize, Outcome),
    /// The worker returns what heartbeats say that it holds and it does not know of.
    GiveBack(usize, JobNo),
    /// The message, its fate, and the job that a claim is given.
    Deliver(Message, Fate, Option<JobNo>),
    Recover(JobNo),
    Pass,
    Jump,
    Crash(usize),
    Cancel(JobNo),
}

impl Jobs {
    fn numbers(&self) -> impl Iterator<Item = JobNo> + use<> {
        (0..).take(self.jobs)
    }
}

impl Model for Jobs {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row {
            state: JobState {
                lost_leases: self.lost_leases,
                ..JobState::enqueued(NOW, self.max_attempts)
            },
            holder: None,
            issued: 0,
            effects: Vec::new(),
            late: false,
            ends: 0,
        };
        vec![State {
            store: Store {
                jobs: vec![row; self.jobs],
                sessions: Default::default(),
            },
            workers: vec![Worker::default(); self.workers],
            network: Vec::new(),
            left: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.offer(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        self.step(before, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.promises()
    }
}

impl Ends for Jobs {
    fn has_ended(&self, state: &State) -> bool {
        let mut jobs = state.store.jobs.iter();
        jobs.all(|row| row.state.status.is_terminal())
    }

    fn is_fault(action: &Action) -> bool {
        match action {
            Action::Deliver(_, fate, _) => *fate != Fate::Arrives,
            Action::Settle(_, outcome) => *outcome == Outcome::Returned,
            Action::Jump | Action::Crash(_) | Action::Cancel(_) => true,
            _ => false,
        }
    }
}
