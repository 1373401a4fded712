//! What may happen next.

use trueno_core::model::JobStatus;

use super::{Action, Fate, Jobs, Message, State, Work, Worker};
use crate::store::{JobNo, LEASE, NOW, Outcome, Store};

impl Jobs {
    /// Everything that may happen next.
    pub(super) fn offer(&self, state: &State, actions: &mut Vec<Action>) {
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
}
