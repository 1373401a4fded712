//! What an action does to a state.

use super::{Action, Fate, Jobs, Message, State, Work, Worker};
use crate::store::{JobNo, LEASE, Outcome};

impl Jobs {
    /// The state after an action; none where it changes nothing.
    pub(super) fn step(&self, before: &State, action: Action) -> Option<State> {
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
