//! One worker session: the leases it holds, and the heartbeat that keeps them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::error::ErrorKind;
use crate::id::{IdSource, LeaseToken, WorkerSessionId};
use crate::port::JobQueue;

/// Why a job was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// A member asked.
    Cancelled,
    /// The processor shuts down.
    Shutdown,
    /// The lease is gone: nothing the job does counts any more.
    LeaseLost,
}

/// Stops one job, and says why. The first reason stays, unless the lease is lost later.
#[derive(Clone, Debug, Default)]
pub(super) struct JobControl {
    pub(super) stop: CancellationToken,
    reason: Arc<Mutex<Option<StopReason>>>,
}

impl JobControl {
    pub(super) fn stop(&self, reason: StopReason) {
        let mut held = lock(&self.reason);
        if held.is_none() || reason == StopReason::LeaseLost {
            *held = Some(reason);
        }
        drop(held);
        self.stop.cancel();
    }

    pub(super) fn reason(&self) -> Option<StopReason> {
        *lock(&self.reason)
    }
}

/// The present session and its jobs. A session that ran out is replaced by a new one.
#[derive(Debug)]
pub(super) struct Session {
    ids: IdSource,
    clock: SharedClock,
    lease_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    id: WorkerSessionId,
    /// When the store last extended the leases, measured here: past `lease_for` they are lost,
    /// whatever the store would say if it could be asked.
    extended: Instant,
    jobs: HashMap<LeaseToken, JobControl>,
}

impl Session {
    pub(super) fn new(ids: IdSource, clock: SharedClock, lease_for: Duration) -> Self {
        let id = ids.next(clock.now());
        let state = State {
            id,
            extended: Instant::now(),
            jobs: HashMap::new(),
        };
        Self {
            ids,
            clock,
            lease_for,
            state: Mutex::new(state),
        }
    }

    pub(super) fn id(&self) -> WorkerSessionId {
        lock(&self.state).id
    }

    /// A claim was answered that was sent at `sent`: the leases last from then at least.
    pub(super) fn extended(&self, sent: Instant) {
        let mut state = lock(&self.state);
        state.extended = state.extended.max(sent);
    }

    pub(super) fn add(&self, token: LeaseToken) -> JobControl {
        let control = JobControl::default();
        lock(&self.state).jobs.insert(token, control.clone());
        control
    }

    pub(super) fn remove(&self, token: LeaseToken) {
        lock(&self.state).jobs.remove(&token);
    }

    pub(super) fn stop_all(&self, reason: StopReason) {
        for control in lock(&self.state).jobs.values() {
            control.stop(reason);
        }
    }

    /// The session ran out: its jobs are lost, and a new one begins.
    pub(super) fn renew(&self) {
        let id = self.ids.next(self.clock.now());
        let mut state = lock(&self.state);
        for control in state.jobs.values() {
            control.stop(StopReason::LeaseLost);
        }
        state.id = id;
        state.extended = Instant::now();
    }

    /// Sends one heartbeat, and stops the jobs that it says to stop.
    pub(super) async fn beat(&self, queue: &dyn JobQueue) {
        // Jobs added while the heartbeat is under way are not in its answer, and not lost either.
        let (id, jobs) = {
            let state = lock(&self.state);
            (state.id, state.jobs.clone())
        };
        if jobs.is_empty() {
            return;
        }
        let sent = Instant::now();
        match tokio::time::timeout(self.lease_for, queue.heartbeat(id, self.lease_for)).await {
            Ok(Ok(beat)) => {
                self.extended(sent);
                let held: HashMap<LeaseToken, bool> = beat
                    .held
                    .iter()
                    .map(|held| (held.lease.token, held.cancel_requested))
                    .collect();
                for (token, control) in &jobs {
                    match held.get(token) {
                        Some(true) => control.stop(StopReason::Cancelled),
                        Some(false) => {}
                        None => control.stop(StopReason::LeaseLost),
                    }
                }
            }
            Ok(Err(error)) if error.kind() == ErrorKind::StaleLease => {
                tracing::warn!(session = %id, "the worker session ran out; its jobs are lost");
                self.renew();
            }
            Ok(Err(error)) => {
                tracing::warn!(session = %id, ?error, "heartbeat failed");
                self.renew_if_over();
            }
            Err(_) => self.renew_if_over(),
        }
    }

    fn renew_if_over(&self) {
        if lock(&self.state).extended.elapsed() >= self.lease_for {
            tracing::warn!("no heartbeat got through for the length of a lease; jobs are lost");
            self.renew();
        }
    }
}

/// A panic while the lock is held leaves plain data behind, nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
