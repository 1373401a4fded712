//! When to wake workers up: soon, and seldom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two wake-ups of one store. Each costs a round trip here, and one of every
/// processor that listens: a burst of commits is worth 250 a second, however many they are.
const GAP: Duration = Duration::from_millis(4);

/// Makes one wake-up of those that are asked for in quick succession. The first is due at once and the
/// last is never left out: whoever asks after one was sent gets another.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    /// One is on its way, and was not sent yet: it stands for whoever asks now.
    asked: AtomicBool,
    sent: Mutex<Option<Instant>>,
}

impl Waker {
    /// Asks for a wake-up. Where the caller has to see to it, it waits for the
    /// [`moment`](Asked::moment), and sends it.
    pub(crate) fn ask(self: &Arc<Self>) -> Option<Asked> {
        let is_asked = self.asked.swap(true, Ordering::AcqRel);
        (!is_asked).then(|| Asked {
            waker: self.clone(),
            is_sent: false,
        })
    }
}

/// A wake-up to send. Dropped before it is sent, by a runtime that ends for one, it is nobody's: the next
/// who asks sees to it.
#[derive(Debug)]
pub(crate) struct Asked {
    waker: Arc<Waker>,
    is_sent: bool,
}

impl Asked {
    /// Waits until it may be sent.
    pub(crate) async fn moment(&self) {
        let sent = *self
            .waker
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = sent {
            tokio::time::sleep_until(sent + GAP).await;
        }
    }

    /// It is sent now. Said before it is, not after: what is committed meanwhile wants one of its own.
    pub(crate) fn sends(mut self) {
        let now = Some(Instant::now());
        *self
            .waker
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        self.is_sent = true;
        self.waker.asked.store(false, Ordering::Release);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_sent {
            self.waker.asked.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every half millisecond for this long, as many commits would; answers when wake-ups were
    /// sent, counted from the first ask.
    async fn burst(waker: &Arc<Waker>, lasts: Duration) -> Vec<Duration> {
        let (begun, (tell, mut told)) = (Instant::now(), tokio::sync::mpsc::unbounded_channel());
        while begun.elapsed() <= lasts {
            if let Some(asked) = waker.ask() {
                let tell = tell.clone();
                tokio::spawn(async move {
                    asked.moment().await;
                    asked.sends();
                    tell.send(begun.elapsed()).unwrap();
                });
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        drop(tell);
        let mut sent = Vec::new();
        while let Some(at) = told.recv().await {
            sent.push(at);
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_a_few_wake_ups_and_the_last_ask_is_answered() {
        let waker = Arc::<Waker>::default();
        let lasts = Duration::from_millis(100);
        let sent = burst(&waker, lasts).await;
        assert!(sent[0] < Duration::from_millis(2), "the first at once");
        assert!(sent.len() <= 27, "{} in 100 ms", sent.len());
        assert!(
            *sent.last().unwrap() >= lasts,
            "one after the last ask: {sent:?}"
        );
        for pair in sent.windows(2) {
            assert!(pair[1] - pair[0] >= GAP, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_one_is_sent_at_once_again() {
        let waker = Arc::<Waker>::default();
        for _ in 0..2 {
            let sent = burst(&waker, Duration::ZERO).await;
            assert!(
                sent.len() == 1 && sent[0] < Duration::from_millis(2),
                "{sent:?}"
            );
            tokio::time::sleep(GAP).await;
        }
    }

    #[test]
    fn who_asks_before_one_is_sent_waits_with_it_and_who_asks_after_does_not() {
        let waker = Arc::<Waker>::default();
        let asked = waker.ask().unwrap();
        assert!(waker.ask().is_none());
        asked.sends();
        let later = waker.ask();
        assert!(
            later.is_some(),
            "its commit may be later than what was sent"
        );
        drop(later);
        assert!(
            waker.ask().is_some(),
            "one that was never sent is in nobody's way"
        );
    }
}
