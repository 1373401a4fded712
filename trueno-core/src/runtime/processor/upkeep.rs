//! What a processor does beside its jobs.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use futures::StreamExt;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use super::meters::Meters;
use super::session::Session;
use crate::clock::SharedClock;
use crate::port::{JobQueue, TenantStore};

/// How often finished jobs are looked through, and how many go at once.
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// How many exceptions end in one transaction.
const LAPSED_AT_ONCE: usize = 100;

/// Keeps the session's leases.
pub(super) async fn beat(queue: Arc<dyn JobQueue>, session: Arc<Session>, lease_for: Duration) {
    loop {
        tokio::time::sleep(lease_for / 3).await;
        session.beat(queue.as_ref()).await;
    }
}

/// Keeps timers and sockets looked at while a thread of the runtime is blocked, until it is dropped.
///
/// One of a runtime's threads waits for them. Where that one goes on to a task that blocks, the
/// others may sleep on, and nobody looks at timers and sockets any more
/// (<https://github.com/tokio-rs/tokio/issues/4730>): no heartbeat is sent, though there are threads
/// for it. A task that comes from outside wakes one of them.
#[derive(Debug)]
pub(super) struct Nudges {
    _until_dropped: mpsc::Sender<()>,
}

impl Nudges {
    /// One every `pause`. None in a runtime of one thread, which has no other to wake.
    pub(super) fn every(pause: Duration) -> Option<Self> {
        let runtime = Handle::current();
        if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return None;
        }
        let (until_dropped, dropped) = mpsc::channel();
        let nudge = move || {
            while dropped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                drop(runtime.spawn(std::future::ready(())));
            }
        };
        let thread = std::thread::Builder::new().name("trueno-nudge".to_owned());
        if let Err(error) = thread.spawn(nudge) {
            tracing::warn!(?error, "a handler that blocks may hold up heartbeats");
            return None;
        }
        Some(Self {
            _until_dropped: until_dropped,
        })
    }
}

/// Takes jobs back from workers that vanished.
pub(super) async fn recover(queue: Arc<dyn JobQueue>, every: Duration, meters: Arc<Meters>) {
    loop {
        match queue.recover_expired(100).await {
            Ok(done) if done != Default::default() => {
                meters.recovered(&done);
                tracing::info!(
                    requeued = done.requeued,
                    dead = done.dead,
                    cancelled = done.cancelled,
                    "took back jobs of vanished workers"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(?error, "recovery failed"),
        }
        tokio::time::sleep(every).await;
    }
}

/// Forgets jobs that ended long ago, some at a time.
pub(super) async fn forget_finished(queue: Arc<dyn JobQueue>, age: Duration, meters: Arc<Meters>) {
    loop {
        // First, so that a processor that starts again and again does nothing else.
        tokio::time::sleep(FORGET_EVERY).await;
        loop {
            match queue.forget_finished(age, FORGOTTEN_AT_ONCE).await {
                Ok(0) => break,
                Ok(forgotten) => {
                    meters.forgot(forgotten);
                    tracing::info!(forgotten, "forgot jobs that ended long ago");
                    // What a claim waits for is not held up by more of it.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => {
                    tracing::warn!(?error, "no job was forgotten");
                    break;
                }
            }
        }
    }
}

/// Ends exceptions whose time ran out.
pub(super) async fn lapse_exceptions(
    store: Arc<dyn TenantStore>,
    clock: SharedClock,
    every: Duration,
) {
    loop {
        match store.lapse_exceptions(clock.now(), LAPSED_AT_ONCE).await {
            Ok(0) => {}
            Ok(lapsed) => {
                tracing::info!(lapsed, "exceptions ran out of time");
                if lapsed >= LAPSED_AT_ONCE as u64 {
                    continue;
                }
            }
            Err(error) => tracing::warn!(?error, "no exception was ended"),
        }
        tokio::time::sleep(every).await;
    }
}

/// Passes on that there may be work. While there is no stream, polling goes on without it.
pub(super) async fn listen(
    queue: Arc<dyn JobQueue>,
    hints: Arc<Notify>,
    pause: Duration,
    meters: Arc<Meters>,
) {
    let mut broken = false;
    loop {
        match queue.wake_ups().await {
            Ok(mut stream) => {
                if std::mem::take(&mut broken) {
                    // What came while nobody listened.
                    hints.notify_one();
                }
                while let Some(()) = stream.next().await {
                    meters.woken();
                    hints.notify_one();
                }
            }
            Err(error) if broken => tracing::debug!(?error, "still no wake-ups"),
            Err(error) => tracing::warn!(?error, "no wake-ups; polling only"),
        }
        broken = true;
        tokio::time::sleep(pause).await;
    }
}
