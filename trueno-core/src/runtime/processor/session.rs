//! One worker session: the leases it holds, and the heartbeat that keeps them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ProcessorStatus;
use super::meters::{Answer, KindMeters, Meters};
use crate::clock::SharedClock;
use crate::error::ErrorKind;
use crate::id::{IdSource, LeaseToken, WorkerSessionId};
use crate::port::{JobOutcome, JobQueue, LeaseRef, Settlement};

/// Why a job was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// A member asked.
    Cancelled,
    /// The processor shuts down.
    Shutdown,
    /// The attempt took longer than its timeout.
    Overdue,
    /// The lease is gone: nothing the job does counts any more.
    LeaseLost,
}

/// Stops one job, and says why. The first reason stays, unless the lease is lost later.
#[derive(Clone, Debug, Default)]
pub(super) struct JobControl(Arc<Stop>);

#[derive(Debug, Default)]
struct Stop {
    token: CancellationToken,
    reason: Mutex<Option<StopReason>>,
}

impl JobControl {
    pub(super) fn stop(&self, reason: StopReason) {
        let mut held = lock(&self.0.reason);
        if held.is_none() || reason == StopReason::LeaseLost {
            *held = Some(reason);
        }
        drop(held);
        self.0.token.cancel();
    }

    pub(super) fn reason(&self) -> Option<StopReason> {
        *lock(&self.0.reason)
    }

    pub(super) fn has_lost_its_lease(&self) -> bool {
        self.reason() == Some(StopReason::LeaseLost)
    }

    /// Fires when the job should stop.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.0.token
    }
}

/// The present session and its jobs. A session that ran out is replaced by a new one.
#[derive(Debug)]
pub(super) struct Session {
    ids: IdSource,
    clock: SharedClock,
    lease_for: Duration,
    status: ProcessorStatus,
    meters: Arc<Meters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    id: WorkerSessionId,
    /// Whether a claim has opened it.
    opened: bool,
    /// When the store last extended the leases, measured here: past `lease_for` they are lost,
    /// whatever the store would say if it could be asked.
    extended: Instant,
    /// In order, so that jobs are told to stop in the same order whenever a run is replayed.
    jobs: BTreeMap<LeaseToken, JobControl>,
    /// Leases that the last heartbeat found held and that no job here runs under.
    unknown: HashSet<LeaseToken>,
}

/// A job's place in its session, given up when it is dropped, however the job ends: for as long as
/// it has one, heartbeats know it.
#[derive(Debug)]
pub(super) struct Place {
    session: Arc<Session>,
    token: LeaseToken,
    pub(super) control: JobControl,
    pub(super) meters: Arc<KindMeters>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.meters.left();
        lock(&self.session.state).jobs.remove(&self.token);
    }
}

impl Session {
    pub(super) fn new(
        ids: IdSource,
        clock: SharedClock,
        lease_for: Duration,
        status: ProcessorStatus,
        meters: Arc<Meters>,
    ) -> Self {
        let state = State {
            id: ids.next(clock.now()),
            opened: false,
            extended: Instant::now(),
            jobs: BTreeMap::new(),
            unknown: HashSet::new(),
        };
        Self {
            ids,
            clock,
            lease_for,
            status,
            meters,
            state: Mutex::new(state),
        }
    }

    pub(super) fn id(&self) -> WorkerSessionId {
        lock(&self.state).id
    }

    /// A request of session `id` was answered that was sent at `sent`: its leases last from then
    /// at least.
    pub(super) fn extended(&self, id: WorkerSessionId, sent: Instant) {
        let mut state = lock(&self.state);
        if state.id == id {
            state.opened = true;
            state.extended = state.extended.max(sent);
        }
    }

    /// Makes place for a job that [began](KindMeters::began).
    pub(super) fn add(self: &Arc<Self>, token: LeaseToken, meters: Arc<KindMeters>) -> Place {
        let control = JobControl::default();
        lock(&self.state).jobs.insert(token, control.clone());
        Place {
            session: self.clone(),
            token,
            control,
            meters,
        }
    }

    /// How many jobs have a place.
    pub(super) fn jobs(&self) -> usize {
        lock(&self.state).jobs.len()
    }

    pub(super) fn stop_all(&self, reason: StopReason) {
        for control in lock(&self.state).jobs.values() {
            control.stop(reason);
        }
    }

    /// Session `over` ran out: its jobs are lost, and a new one begins. Does nothing where a new
    /// one has begun already, whose jobs are not lost.
    pub(super) fn renew(&self, over: WorkerSessionId) {
        let id = self.ids.next(self.clock.now());
        let mut state = lock(&self.state);
        if state.id != over {
            return;
        }
        tracing::warn!(session = %over, "the worker session ran out; its jobs are lost");
        for control in state.jobs.values() {
            control.stop(StopReason::LeaseLost);
        }
        state.id = id;
        state.opened = false;
        state.extended = Instant::now();
        state.unknown.clear();
    }

    /// Sends one heartbeat, stops the jobs that it says to stop, and gives back what nobody runs.
    pub(super) async fn beat(&self, queue: &dyn JobQueue) {
        // Jobs added while the heartbeat is under way are not in its answer, and not lost either.
        let (id, opened, jobs) = {
            let state = lock(&self.state);
            (state.id, state.opened, state.jobs.clone())
        };
        if !opened {
            return;
        }
        let sent = Instant::now();
        // Shorter than a lease, so that one request that hangs is not the end of every lease.
        let beat = queue.heartbeat(id, self.lease_for);
        match tokio::time::timeout(self.lease_for / 4, beat).await {
            Ok(Ok(beat)) => {
                self.status.beat();
                self.meters.beat(Answer::Well);
                self.extended(id, sent);
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
                let leases = beat.held.iter().map(|held| held.lease);
                self.give_back(queue, id, leases.collect()).await;
            }
            Ok(Err(error)) if error.kind() == ErrorKind::StaleLease => {
                self.meters.beat(Answer::SessionOver);
                self.renew(id);
            }
            Ok(Err(error)) => {
                self.meters.beat(Answer::Error);
                tracing::warn!(session = %id, ?error, "heartbeat failed");
                self.renew_if_over(id);
            }
            Err(_) => {
                self.meters.beat(Answer::TimedOut);
                tracing::warn!(session = %id, "heartbeat took too long");
                self.renew_if_over(id);
            }
        }
    }

    /// Heartbeats extend every lease of the session, also one whose claim was answered and never
    /// arrived, or whose end could not be told to the store. Found held by nobody twice in a row
    /// (the first time its claim may be under way), it goes back to the queue.
    async fn give_back(&self, queue: &dyn JobQueue, id: WorkerSessionId, held: Vec<LeaseRef>) {
        let unclaimed: Vec<LeaseRef> = {
            let mut state = lock(&self.state);
            if state.id != id {
                return;
            }
            let unknown: Vec<LeaseRef> = held
                .into_iter()
                .filter(|lease| !state.jobs.contains_key(&lease.token))
                .collect();
            let tokens = unknown.iter().map(|lease| lease.token).collect();
            let before = std::mem::replace(&mut state.unknown, tokens);
            let twice = unknown.into_iter();
            twice
                .filter(|lease| before.contains(&lease.token))
                .collect()
        };
        if unclaimed.is_empty() {
            return;
        }
        tracing::warn!(jobs = unclaimed.len(), "giving back jobs that nobody runs");
        let settlements = unclaimed
            .into_iter()
            .map(|lease| Settlement {
                lease,
                outcome: JobOutcome::Returned,
            })
            .collect();
        if let Err(error) = queue.settle(settlements).await {
            tracing::warn!(?error, "they stay until the next heartbeat");
        }
    }

    fn renew_if_over(&self, id: WorkerSessionId) {
        let over = lock(&self.state).extended.elapsed() >= self.lease_for;
        if over {
            self.renew(id);
        }
    }
}

/// A panic while the lock is held leaves plain data behind, nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
