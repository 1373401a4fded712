//! What holds in every state, and what has to be possible.

use stateright::Property;
use trueno_core::model::JobStatus;

use super::{CAPS, ENDS_ONCE, Jobs, Message, ONE_TOKEN, State};
use crate::store::{Row, token};

impl Jobs {
    pub(super) fn promises(&self) -> Vec<Property<Self>> {
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
