//! Hints that there may be work.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use trueno_core::error::Result;
use trueno_core::port::WakeUps;

use crate::config::{self, Login, WakeUpMode};
use crate::pool;
use crate::store::PostgresStore;

/// How long to wait before listening again where it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Ends the listener with the stream.
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn wake_ups(store: &PostgresStore) -> Result<WakeUps> {
    let settings = store.config();
    let mut tick = tokio::time::interval(settings.poll_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One hint that waits stands for all that came since: they coalesce.
    let (hint, hints) = mpsc::channel(1);
    let listener = match settings.wake_ups {
        WakeUpMode::Poll => None,
        WakeUpMode::Listen => {
            let url = settings.processor_url.as_ref().unwrap_or(&settings.url);
            let options = pool::as_role(config::options(url)?, Login::Direct, "", true);
            // A connection of its own, outside the pools: it is never given back.
            let connections = PgPoolOptions::new()
                .max_connections(1)
                .max_lifetime(None)
                .idle_timeout(None)
                .connect_lazy_with(options);
            Some(Listener(tokio::spawn(listen(
                connections,
                store.channel(),
                hint.clone(),
            ))))
        }
    };
    // The sender stays, so that a listener that ended ends no stream.
    let state = (tick, hints, hint, listener);
    Ok(
        stream::unfold(state, |(mut tick, mut hints, hint, listener)| async move {
            tokio::select! {
                _ = tick.tick() => {}
                _ = hints.recv() => {}
            }
            Some(((), (tick, hints, hint, listener)))
        })
        .boxed(),
    )
}

async fn listen(connections: sqlx::PgPool, channel: String, hint: mpsc::Sender<()>) {
    loop {
        if let Err(error) = listen_once(&connections, &channel, &hint).await {
            tracing::debug!(%error, "not listening for work at the moment; polling goes on");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_once(
    connections: &sqlx::PgPool,
    channel: &str,
    hint: &mpsc::Sender<()>,
) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(connections).await?;
    listener.listen(channel).await?;
    loop {
        listener.try_recv().await?;
        // A connection that was lost may have missed something, so it hints as well. A full
        // channel has a hint in it already.
        let _ = hint.try_send(());
    }
}
