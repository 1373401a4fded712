//! Cutting futures off, anywhere on their way.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// Numbers from a seed (SplitMix64): the same ones every time.
#[derive(Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }
}

/// How long a call took that was let through.
#[derive(Clone, Copy, Debug)]
struct Course {
    polls: u64,
    time: Duration,
}

/// Where a call is cut off.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// When it waits for this many times, at least once.
    Polls(u64),
    /// When it still waits then.
    After(Duration),
}

/// Cuts calls off at points that spread over their whole way: it lets each kind of call through
/// first, to learn how long that is.
#[derive(Debug)]
pub(super) struct Knife {
    pub(super) draw: Draw,
    courses: BTreeMap<&'static str, Course>,
    /// Steps that are let through before the next that is not.
    spared: u64,
    /// How many futures of each kind were cut off.
    pub(super) cut: BTreeMap<&'static str, u32>,
}

impl Knife {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed),
            courses: BTreeMap::new(),
            spared: 0,
            cut: BTreeMap::new(),
        }
    }

    /// Chooses one of the next `steps` to cut off: later ones are reached as often as the first then.
    pub(super) fn aim(&mut self, steps: u64) {
        self.spared = self.draw.below(steps);
    }

    /// Polls a future of this kind until it is done, or until it is cut off: nothing then.
    pub(super) async fn cut<F: Future>(
        &mut self,
        kind: &'static str,
        future: F,
    ) -> Option<F::Output> {
        let aimed = self.spared == 0;
        self.spared = self.spared.wrapping_sub(1);
        let course = self.courses.get(kind).copied().filter(|_| aimed);
        let at = course.map(|course| {
            if self.draw.below(2) == 0 {
                Cut::Polls(1 + self.draw.below(course.polls))
            } else {
                let most = u64::try_from(course.time.as_nanos()).unwrap();
                Cut::After(Duration::from_nanos(self.draw.below(most.max(1))))
            }
        });
        let mut future = pin!(future);
        let (begun, mut polls) = (Instant::now(), 0);
        let answer = poll_fn(|context| {
            // A future that was never polled did nothing that could be left behind.
            polls += 1;
            let late = |at| match at {
                Cut::Polls(most) => polls >= most,
                Cut::After(delay) => begun.elapsed() >= delay,
            };
            match future.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if at.is_some_and(late) => Poll::Ready(None),
                Poll::Pending => {
                    if let Some(Cut::After(_)) = at {
                        // Timers count in milliseconds, which is too coarse here.
                        context.waker().wake_by_ref();
                    }
                    Poll::Pending
                }
            }
        })
        .await;
        match (&answer, at) {
            (Some(_), None) => {
                let time = begun.elapsed();
                self.courses.insert(kind, Course { polls, time });
            }
            (None, _) => *self.cut.entry(kind).or_default() += 1,
            (Some(_), Some(_)) => {}
        }
        answer
    }

    /// How many futures that begin, ask or commit were cut off; whole calls come on top.
    pub(super) fn steps(&self) -> u32 {
        let steps = self
            .cut
            .iter()
            .filter(|(kind, _)| !kind.starts_with("call"));
        steps.map(|(_, count)| count).sum()
    }
}
