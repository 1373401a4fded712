//! Which call goes wrong, and how.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::IdSource;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails and never reaches the adapter: certainly not applied.
    Before(ErrorKind),
    /// It reaches the adapter and is applied, and its answer is lost: whether it was applied is
    /// left open.
    After(ErrorKind),
    /// It never reaches the adapter, and whether it was applied is left open.
    Lost(ErrorKind),
    /// It reaches the adapter this much later, by tokio's timers.
    Delay(Duration),
}

/// A script of faults. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<&'static str, u64>,
    script: HashMap<(&'static str, u64), Fault>,
    chance: Option<Chance>,
}

#[derive(Debug)]
struct Chance {
    random: IdSource,
    rate: f64,
    kind: ErrorKind,
    /// The longest delay of a storm.
    longest: Option<Duration>,
}

impl Chance {
    /// Draws as often whether or not something goes wrong, so that rates do not shift what follows.
    fn draw(&self) -> Option<Fault> {
        let (drawn, which) = (self.random.unit(), self.random.unit());
        let fault = match self.longest {
            None if which < 0.5 => Fault::Before(self.kind),
            None => Fault::After(self.kind),
            Some(longest) => {
                let delay = longest.mul_f64(self.random.unit());
                match which {
                    ..0.25 => Fault::Before(self.kind),
                    0.25..0.5 => Fault::After(self.kind),
                    0.5..0.75 => Fault::Lost(self.kind),
                    _ => Fault::Delay(delay),
                }
            }
        };
        (drawn < self.rate).then_some(fault)
    }
}

impl FaultPlan {
    /// A plan under which nothing goes wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A plan under which every call fails with a chance of `rate` (0.0 never, 1.0 always), half of
    /// them before they are applied and half after. The same seed and the same order of calls fail
    /// in the same way again.
    #[must_use]
    pub fn seeded(seed: u64, rate: f64, kind: ErrorKind) -> Self {
        Self::by_chance(seed, rate, kind, None)
    }

    /// A plan under which every call meets a fault with a chance of `rate`: as often one that fails
    /// before it is applied, after it, without a word of which, or a delay of up to `longest`.
    #[must_use]
    pub fn storm(seed: u64, rate: f64, kind: ErrorKind, longest: Duration) -> Self {
        Self::by_chance(seed, rate, kind, Some(longest))
    }

    fn by_chance(seed: u64, rate: f64, kind: ErrorKind, longest: Option<Duration>) -> Self {
        let plan = Self::new();
        plan.state.lock().chance = Some(Chance {
            random: IdSource::seeded(seed),
            rate,
            kind,
            longest,
        });
        plan
    }

    /// From now on nothing goes wrong by chance.
    pub fn calm(&self) {
        self.state.lock().chance = None;
    }

    /// Call number `nth` of `method`, counted from 1 and from the plan's beginning, meets `fault`.
    pub fn fail(&self, method: &'static str, nth: u64, fault: Fault) {
        self.state.lock().script.insert((method, nth), fault);
    }

    /// The next call of `method` meets `fault`.
    pub fn fail_next(&self, method: &'static str, fault: Fault) {
        let mut state = self.state.lock();
        let nth = state.calls.get(method).copied().unwrap_or_default() + 1;
        state.script.insert((method, nth), fault);
    }

    /// How often `method` was called so far, faults included.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.state
            .lock()
            .calls
            .get(method)
            .copied()
            .unwrap_or_default()
    }

    /// Counts a call of `method` and says what happens to it.
    pub(super) fn meet(&self, method: &'static str) -> Option<Fault> {
        let mut state = self.state.lock();
        let count = state.calls.entry(method).or_default();
        *count += 1;
        let nth = *count;
        if let Some(fault) = state.script.remove(&(method, nth)) {
            return Some(fault);
        }
        state.chance.as_ref()?.draw()
    }

    /// Lets `call` of `method` through, as far as the plan has it.
    pub(crate) async fn through<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.meet(method) {
            None => call.await,
            Some(Fault::Delay(wait)) => {
                tokio::time::sleep(wait).await;
                call.await
            }
            Some(Fault::Before(kind)) => Err(injected(kind, Applied::No, method)),
            Some(Fault::Lost(kind)) => Err(injected(kind, Applied::Unknown, method)),
            Some(Fault::After(kind)) => {
                call.await?;
                Err(injected(kind, Applied::Unknown, method))
            }
        }
    }
}

pub(super) fn injected(kind: ErrorKind, applied: Applied, method: &'static str) -> Error {
    Error::new(kind, "an injected fault")
        .with_applied(applied)
        .with_operation(method)
}
