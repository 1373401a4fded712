//! Jobs, three workers, and a network between them and the store that loses, delays and repeats.

use stateright::{Model, Property};
use trueno_core::model::JobStatus;
use trueno_core::state::job::JobState;

use crate::check::Ends;
use crate::store::{
    Caps, JobNo, LEASE, NOW, Outcome, Row, Rules, SessionNo, Store, TokenNo, token,
};

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

    /// Jobs that a claim may be given, whatever their order: a store has one, the model has all.
    fn open(&self, store: &Store) -> Vec<JobNo> {
        let open = |job: &JobNo| {
            let room =
                !self.rules.caps_when_it_begins || store.has_room(*job, &self.caps, &self.rules);
            room && store.is_due(*job, &self.rules)
        };
        self.numbers().filter(open).collect()
    }

    fn worker_actions(&self, state: &State, nth: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[nth];
        let under_way = |of: &dyn Fn(&Message) -> bool| state.network.iter().any(of);
        if let Some(Work {
            job,
            token,
            outcome,
        }) = worker.lease
        {
            match outcome {
                None => {
                    actions.push(Action::Settle(nth, Outcome::Succeeded));
                    actions.push(Action::Settle(nth, Outcome::Failed));
                    if state.left.returns > 0 {
                        actions.push(Action::Settle(nth, Outcome::Returned));
                    }
                    let row = &state.store.jobs[usize::from(job)];
                    if row.state.cancel_requested && row.issued == token {
                        actions.push(Action::Settle(nth, Outcome::Cancelled));
                    }
                }
                Some(outcome) => {
                    if !under_way(
                        &|m| matches!(m, Message::Settle { job: j, token: t, .. } if (*j, *t) == (job, token)),
                    ) {
                        actions.push(Action::Settle(nth, outcome));
                    }
                }
            }
        } else {
            let asks = |m: &Message| match m {
                Message::Claim { session } => Some(*session) == worker.session,
                _ => false,
            };
            let due = |job| state.store.is_due(job, &self.rules);
            let room = |job| {
                self.rules.caps_when_it_begins || state.store.has_room(job, &self.caps, &self.rules)
            };
            if !under_way(&asks) && self.numbers().any(|job| due(job) && room(job)) {
                actions.push(Action::SendClaim(nth));
            }
        }
        let Some(session) = worker.session else {
            return;
        };
        let full = NOW + LEASE;
        let worth = state
            .store
            .sessions
            .get(&session)
            .is_none_or(|at| *at < full);
        let beats = |m: &Message| *m == Message::Heartbeat { session };
        if worker.lease.is_some() && worth && !under_way(&beats) {
            actions.push(Action::SendHeartbeat(nth));
        }
        for (job, row) in self.numbers().zip(&state.store.jobs) {
            let known = worker
                .lease
                .is_some_and(|work| (work.job, work.token) == (job, row.issued));
            let of_it = |m: &Message| match m {
                Message::Settle { job: j, token, .. } => (*j, *token) == (job, row.issued),
                _ => false,
            };
            if row.holder == Some(session) && !known && !under_way(&of_it) {
                actions.push(Action::GiveBack(nth, job));
            }
        }
    }

    fn message_actions(&self, state: &State, message: Message, actions: &mut Vec<Action>) {
        let picks: Vec<Option<JobNo>> = match message {
            Message::Claim { session }
                if state
                    .store
                    .sessions
                    .get(&session)
                    .is_none_or(|at| *at > NOW) =>
            {
                let open = self.open(&state.store);
                if open.is_empty() {
                    vec![None]
                } else {
                    open.into_iter().map(Some).collect()
                }
            }
            _ => vec![None],
        };
        for pick in picks {
            actions.push(Action::Deliver(message, Fate::Arrives, pick));
            if state.left.repeats > 0 {
                actions.push(Action::Deliver(message, Fate::Repeats, pick));
            }
            if state.left.losses > 0 {
                actions.push(Action::Deliver(message, Fate::Unanswered, pick));
            }
        }
        if state.left.losses > 0 {
            actions.push(Action::Deliver(message, Fate::Lost, None));
        }
    }

    fn deliver(&self, state: &mut State, message: Message, pick: Option<JobNo>, answered: bool) {
        let rules = &self.rules;
        let asked = |worker: &&mut Worker, session| answered && worker.session == Some(session);
        match message {
            Message::Claim { session } => {
                let is_open = state.store.extend(session, rules.claim_opens, rules);
                let claim = pick.filter(|_| is_open);
                let token = claim.map(|job| (job, state.store.claim(job, session, rules)));
                let Some(worker) = state.workers.iter_mut().find(|w| asked(w, session)) else {
                    return;
                };
                match token {
                    _ if !is_open => *worker = Worker::default(),
                    // It asked once: of a request that arrived twice it knows one answer.
                    Some((job, token)) if worker.lease.is_none() => {
                        worker.lease = Some(Work {
                            job,
                            token,
                            outcome: None,
                        });
                    }
                    _ => {}
                }
            }
            Message::Heartbeat { session } => {
                let is_open = state.store.extend(session, false, rules);
                if let Some(worker) = state
                    .workers
                    .iter_mut()
                    .find(|w| asked(w, session) && !is_open)
                {
                    *worker = Worker::default();
                }
            }
            Message::Settle {
                session,
                job,
                token,
                outcome,
            } => {
                state.store.settle(job, token, session, outcome, rules);
                let told = |worker: &&mut Worker| {
                    asked(worker, session)
                        && worker
                            .lease
                            .is_some_and(|work| (work.job, work.token) == (job, token))
                };
                if let Some(worker) = state.workers.iter_mut().find(told) {
                    worker.lease = None;
                }
            }
        }
    }
}

impl State {
    fn new_session(&self) -> SessionNo {
        let mut of_workers = self
            .workers
            .iter()
            .filter_map(|worker| worker.session)
            .collect::<Vec<_>>();
        of_workers.extend(self.store.sessions.keys());
        of_workers.extend(
            self.network
                .iter()
                .map(|message| *message.clone().session()),
        );
        of_workers.into_iter().max().map_or(0, |last| last + 1)
    }

    /// States that differ in names only are one: sessions are numbered in order, those that hold
    /// nothing and of which nothing is under way are forgotten (their workers begin new ones), and
    /// everything is sorted.
    fn normalized(mut self) -> Self {
        let mut spoken: Vec<SessionNo> = self
            .store
            .jobs
            .iter()
            .filter_map(|row| row.holder)
            .collect();
        spoken.extend(
            self.network
                .iter()
                .map(|message| *message.clone().session()),
        );
        for worker in &mut self.workers {
            match worker.lease {
                None => worker.session = worker.session.filter(|session| spoken.contains(session)),
                Some(_) => spoken.extend(worker.session),
            }
        }
        self.store
            .sessions
            .retain(|session, _| spoken.contains(session));
        spoken.sort_unstable();
        spoken.dedup();
        let rename = |session: &mut SessionNo| {
            let place = spoken.iter().position(|one| one == session);
            *session = u8::try_from(place.unwrap()).unwrap();
        };
        self.workers
            .iter_mut()
            .filter_map(|worker| worker.session.as_mut())
            .for_each(rename);
        self.network
            .iter_mut()
            .map(Message::session)
            .for_each(rename);
        self.store
            .jobs
            .iter_mut()
            .filter_map(|row| row.holder.as_mut())
            .for_each(rename);
        let sessions = std::mem::take(&mut self.store.sessions);
        self.store.sessions = sessions
            .into_iter()
            .map(|(mut session, at)| {
                rename(&mut session);
                (session, at)
            })
            .collect();
        self.workers.sort_unstable();
        self.network.sort_unstable();
        self
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
        for nth in 0..state.workers.len() {
            // Of workers that are alike one acts.
            if nth > 0 && state.workers[nth] == state.workers[nth - 1] {
                continue;
            }
            self.worker_actions(state, nth, actions);
            if state.left.crashes > 0 && state.workers[nth] != Worker::default() {
                actions.push(Action::Crash(nth));
            }
        }
        for (nth, message) in state.network.iter().enumerate() {
            if nth == 0 || state.network[nth - 1] != *message {
                self.message_actions(state, *message, actions);
            }
        }
        for job in self.numbers() {
            let row = &state.store.jobs[usize::from(job)];
            if row.state.status == JobStatus::Running {
                actions.push(Action::Recover(job));
            }
            if state.left.cancels > 0
                && !row.state.status.is_terminal()
                && !row.state.cancel_requested
            {
                actions.push(Action::Cancel(job));
            }
        }
        if state.store.awaits() {
            actions.push(Action::Pass);
            if state.left.jumps > 0 {
                actions.push(Action::Jump);
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::SendClaim(nth) => {
                let session = state.workers[nth]
                    .session
                    .unwrap_or_else(|| before.new_session());
                state.workers[nth].session = Some(session);
                state.network.push(Message::Claim { session });
            }
            Action::SendHeartbeat(nth) => {
                let session = state.workers[nth].session?;
                state.network.push(Message::Heartbeat { session });
            }
            Action::Settle(nth, outcome) => {
                let worker = &mut state.workers[nth];
                let (session, work) = (worker.session?, worker.lease.as_mut()?);
                if work.outcome.is_none() && outcome == Outcome::Returned {
                    state.left.returns -= 1;
                }
                work.outcome = Some(outcome);
                let Work { job, token, .. } = *work;
                state.network.push(Message::Settle {
                    session,
                    job,
                    token,
                    outcome,
                });
            }
            Action::GiveBack(nth, job) => {
                let session = state.workers[nth].session?;
                let token = state.store.jobs[usize::from(job)].issued;
                let outcome = Outcome::Returned;
                state.network.push(Message::Settle {
                    session,
                    job,
                    token,
                    outcome,
                });
            }
            Action::Deliver(message, fate, pick) => {
                let place = state.network.iter().position(|one| *one == message)?;
                match fate {
                    Fate::Arrives => drop(state.network.remove(place)),
                    Fate::Repeats => state.left.repeats -= 1,
                    Fate::Unanswered | Fate::Lost => {
                        state.left.losses -= 1;
                        state.network.remove(place);
                    }
                }
                if fate != Fate::Lost {
                    self.deliver(&mut state, message, pick, fate != Fate::Unanswered);
                }
            }
            Action::Recover(job) => {
                if !state.store.recover(job, &self.rules) {
                    return None;
                }
            }
            Action::Pass => state.store.pass(1),
            Action::Jump => {
                state.left.jumps -= 1;
                state.store.pass(LEASE.as_secs() + 1);
            }
            Action::Crash(nth) => {
                state.left.crashes -= 1;
                state.workers[nth] = Worker::default();
            }
            Action::Cancel(job) => {
                state.left.cancels -= 1;
                if !state.store.cancel(job, &self.rules) {
                    return None;
                }
            }
        }
        Some(state.normalized())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn all(state: &State, of: impl Fn(&Row) -> bool) -> bool {
            state.store.jobs.iter().all(of)
        }
        fn any(state: &State, of: impl Fn(&Row) -> bool) -> bool {
            state.store.jobs.iter().any(of)
        }
        let mut properties = vec![
            Property::always(ONE_TOKEN, |_, state: &State| {
                all(state, |row| {
                    let most = usize::from(row.state.status == JobStatus::Succeeded);
                    row.effects.len() == most && !row.late
                })
            }),
            Property::always(CAPS, |model: &Self, state: &State| {
                let runs = |row: &&Row| row.state.status == JobStatus::Running;
                let jobs = &state.store.jobs;
                let keyed = jobs[..model.caps.keyed].iter().filter(runs).count();
                let running = jobs.iter().filter(runs).count();
                let most = model.caps.limits.max_running().unwrap_or(u32::MAX);
                keyed <= model.caps.key_limit as usize && running <= most as usize
            }),
            Property::always(ENDS_ONCE, |_, state: &State| {
                all(state, |row| {
                    row.ends == u8::from(row.state.status.is_terminal())
                })
            }),
            // What has to be possible, or the others say little.
            Property::sometimes("every job succeeds", |_, state: &State| {
                all(state, |row| row.state.status == JobStatus::Succeeded)
            }),
            Property::sometimes(
                "a job is dead after its attempts",
                |model: &Self, state: &State| {
                    any(state, |row| {
                        let failed = row.state.failed_attempts == model.max_attempts;
                        row.state.status == JobStatus::Dead && failed
                    })
                },
            ),
            Property::sometimes(
                "a job is dead as crash-looped",
                |model: &Self, state: &State| {
                    any(state, |row| {
                        let failed = row.state.failed_attempts == model.max_attempts;
                        row.state.status == JobStatus::Dead && !failed
                    })
                },
            ),
            Property::sometimes(
                "a worker is done that has lost its lease",
                |_, state: &State| {
                    state.network.iter().any(|message| match message {
                        Message::Settle { job, token: no, .. } => {
                            let row = &state.store.jobs[usize::from(*job)];
                            row.state.token != Some(token(*no))
                        }
                        _ => false,
                    })
                },
            ),
        ];
        if self.faults.cancels > 0 {
            properties.push(Property::sometimes(
                "a job is cancelled",
                |_, state: &State| any(state, |row| row.state.status == JobStatus::Cancelled),
            ));
        }
        properties
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
