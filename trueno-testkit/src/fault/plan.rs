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
        let plan = Self::new();
        plan.state.lock().chance = Some(Chance {
            random: IdSource::seeded(seed),
            rate,
            kind,
        });
        plan
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
        let chance = state.chance.as_ref()?;
        let drawn = chance.random.unit();
        let fault = if chance.random.unit() < 0.5 {
            Fault::Before
        } else {
            Fault::After
        };
        (drawn < chance.rate).then(|| fault(chance.kind))
    }

    /// Lets `call` of `method` through, as far as the plan has it.
    pub(super) async fn through<T>(
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
