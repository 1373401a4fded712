//! The horizon guard: says who keeps the store from cleaning up, for too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::meters::Meters;
use crate::port::{Horizon, JobQueue};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// Warns for as long as anything holds the horizon back for longer than `limit`.
pub(super) async fn guard(queue: Arc<dyn JobQueue>, limit: Duration, meters: Arc<Meters>) {
    let mut seen = Seen::default();
    loop {
        match queue.horizon().await {
            Ok(horizon) => {
                let age = horizon.as_ref().map(|it| seen.age(it, Instant::now()));
                meters.horizon(age.unwrap_or_default().as_secs_f64());
                if let (Some(horizon), Some(age)) = (&horizon, age)
                    && age >= limit
                {
                    tracing::warn!(
                        %horizon,
                        age_seconds = age.as_secs(),
                        "vacuum is held back: what ended stays in the queue's tables, and claims slow down"
                    );
                }
            }
            Err(error) => {
                // Not the age of last time.
                meters.horizon(f64::NAN);
                tracing::debug!(?error, "who holds vacuum back is not known");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What the last look found, for stores that may not see since when.
#[derive(Debug, Default)]
struct Seen(Option<(Place, Instant)>);

/// What stays the same for as long as one transaction holds the horizon back.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    pid: Option<u32>,
    name: Option<String>,
    position: u64,
}

impl Seen {
    /// How long it has been held back: as the store says, or at least, as was seen here.
    fn age(&mut self, horizon: &Horizon, now: Instant) -> Duration {
        let place = Place {
            pid: horizon.pid,
            name: horizon.name.clone(),
            position: horizon.position,
        };
        let since = match self.0.take() {
            // Where nothing was written since, one transaction looks like the next: neither keeps
            // anything.
            Some((seen, since)) if seen == place && horizon.transactions > 1 => since,
            _ => now,
        };
        self.0 = Some((place, since));
        horizon.age().unwrap_or(now - since)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::port::HorizonHolder;

    const MINUTE: Duration = Duration::from_secs(60);

    fn held(position: u64, transactions: u64) -> Horizon {
        Horizon {
            holder: HorizonHolder::Session,
            pid: Some(1),
            name: None,
            login: None,
            state: None,
            looked_at: Timestamp::UNIX_EPOCH,
            since: None,
            state_since: None,
            position,
            transactions,
        }
    }

    #[test]
    fn what_the_store_does_not_date_is_as_old_as_it_was_seen() {
        let (mut seen, begun) = (Seen::default(), Instant::now());
        assert_eq!(seen.age(&held(7, 5), begun), Duration::ZERO);
        assert_eq!(seen.age(&held(7, 50), begun + MINUTE), MINUTE);
        assert_eq!(seen.age(&held(7, 60), begun + 2 * MINUTE), 2 * MINUTE);
        assert_eq!(seen.age(&held(8, 5), begun + 3 * MINUTE), Duration::ZERO);
        // A quiet database: nothing was written, so nothing is kept.
        assert_eq!(seen.age(&held(8, 1), begun + 4 * MINUTE), Duration::ZERO);
        let other = Horizon {
            pid: Some(2),
            ..held(8, 9)
        };
        assert_eq!(seen.age(&other, begun + 5 * MINUTE), Duration::ZERO);
    }

    #[test]
    fn the_store_s_own_date_counts() {
        let mut seen = Seen::default();
        let dated = Horizon {
            looked_at: Timestamp::UNIX_EPOCH + 5 * MINUTE,
            since: Some(Timestamp::UNIX_EPOCH),
            ..held(7, 1)
        };
        assert_eq!(seen.age(&dated, Instant::now()), 5 * MINUTE);
    }
}
