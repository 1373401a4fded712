//! One schedule, two schedulers that vanish between what they read and what they write, and a
//! network that loses, delays and repeats.

use std::time::Duration;

use jiff::Timestamp;
use stateright::{Model, Property};
use trueno_core::model::MissedTicks;
use trueno_core::state::schedule::{self, GRACE, Step};

use crate::check::Ends;

pub(crate) const ONCE: &str = "no tick is enqueued twice, or early";
pub(crate) const NONE_LOST: &str = "no tick is lost that its policy does not give up";

/// A tick every 30 s, the first at 30 s. Time goes on from tick to tick.
const PERIOD: i64 = 30;
const JUMP: i64 = 4 * PERIOD;

/// The rules that ship, each of which a test may replace by a wrong one.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) step: fn(MissedTicks, Timestamp, Timestamp) -> Option<Step<OutOfTime>>,
    /// The store compares what a step was worked out from with what is there.
    pub(crate) compares: bool,
    /// The tick is enqueued where the schedule moves on, and not in a transaction after it.
    pub(crate) in_one: bool,
}

impl Rules {
    pub(crate) fn shipped() -> Self {
        Self {
            step: |missed, due_at, now| schedule::step(missed, due_at, now, next_after),
            compares: true,
            in_one: true,
        }
    }
}

/// Why there is no tick after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTime;

pub(crate) fn next_after(at: Timestamp) -> Result<Timestamp, OutOfTime> {
    let next = (at.as_second().div_euclid(PERIOD) + 1) * PERIOD;
    Timestamp::from_second(next).map_err(|_| OutOfTime)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) crashes: u8,
    pub(crate) repeats: u8,
    pub(crate) losses: u8,
    /// The clock jumps over several ticks.
    pub(crate) jumps: u8,
    /// Members who pause the schedule, and resume it.
    pub(crate) pauses: u8,
}

#[derive(Clone)]
pub(crate) struct Ticks {
    pub(crate) rules: Rules,
    pub(crate) missed: MissedTicks,
    pub(crate) schedulers: usize,
    /// How many ticks there are; the clock stands still some time after the last.
    pub(crate) ticks: usize,
    pub(crate) faults: Faults,
}

/// What a scheduler read, and worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fire {
    due_at: Timestamp,
    run: Option<Timestamp>,
    next: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheduler {
    #[default]
    Idle,
    /// It has read this, and not sent it.
    Read(Fire),
    /// It waits for the answer.
    Waits(Fire),
}

/// What became of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Tick {
    enqueued: u8,
    /// It was enqueued before its time.
    early: bool,
    /// When the schedule moved past it, it was older than the grace.
    old: bool,
    /// It fell into a pause.
    paused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: Timestamp,
    /// `None` while it is paused.
    next_run_at: Option<Timestamp>,
    /// Where it was paused.
    paused_at: Option<Timestamp>,
    ticks: Vec<Tick>,
    /// Sorted: they are alike.
    schedulers: Vec<Scheduler>,
    /// Under way to the store, sorted; any of it may arrive next.
    network: Vec<Fire>,
    /// Where a tick is enqueued after the schedule moved on: what is still to be enqueued, and by
    /// whom.
    behind: Vec<Fire>,
    left: Faults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read(usize),
    Send(usize),
    Arrive(Fire),
    Repeat(Fire),
    Lose(Fire),
    /// The second transaction of a wrong scheduler, and the crash that comes before it.
    Enqueue(Fire),
    CrashBehind(Fire),
    Crash(usize),
    Pass,
    Jump,
    Pause,
    Resume,
}

impl Ticks {
    fn end(&self) -> Timestamp {
        at(i64::try_from(self.ticks).unwrap() * PERIOD)
    }

    fn number(&self, tick: Timestamp) -> Option<usize> {
        let nth = usize::try_from(tick.as_second() / PERIOD - 1).ok()?;
        (nth < self.ticks).then_some(nth)
    }

    fn enqueue(&self, state: &mut State, run: Timestamp) {
        let now = state.now;
        if let Some(nth) = self.number(run) {
            state.ticks[nth].enqueued += 1;
            state.ticks[nth].early |= run > now;
        }
    }

    /// The store's transaction: it compares, moves the schedule on and enqueues the tick.
    fn fire(&self, state: &mut State, fire: Fire) -> bool {
        let stands = state.next_run_at == Some(fire.due_at);
        let is_late = fire.run.is_some_and(|run| run > state.now);
        if state.next_run_at.is_none() || (self.rules.compares && !stands) || is_late {
            return false;
        }
        for (nth, tick) in (1..).zip(&mut state.ticks) {
            let tick_at = at(nth * PERIOD);
            let passed = tick_at >= fire.due_at && fire.next.is_none_or(|next| tick_at < next);
            tick.old |= passed && state.now.duration_since(tick_at).unsigned_abs() > GRACE;
        }
        state.next_run_at = fire.next;
        match fire.run {
            Some(_) if !self.rules.in_one => state.behind.push(fire),
            Some(run) => self.enqueue(state, run),
            None => {}
        }
        true
    }
}

impl State {
    /// Whoever waits for it waits no longer, also for what was lost.
    fn answer(&mut self, fire: Fire) {
        let waits = |scheduler: &&mut Scheduler| **scheduler == Scheduler::Waits(fire);
        if let Some(scheduler) = self.schedulers.iter_mut().find(waits) {
            *scheduler = Scheduler::Idle;
        }
    }
}

impl Model for Ticks {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: at(0),
            next_run_at: next_after(at(0)).ok(),
            paused_at: None,
            ticks: vec![Tick::default(); self.ticks],
            schedulers: vec![Scheduler::Idle; self.schedulers],
            network: Vec::new(),
            behind: Vec::new(),
            left: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (nth, scheduler) in state.schedulers.iter().enumerate() {
            if nth > 0 && state.schedulers[nth - 1] == *scheduler {
                continue;
            }
            match scheduler {
                Scheduler::Idle => actions.push(Action::Read(nth)),
                Scheduler::Read(_) => actions.push(Action::Send(nth)),
                Scheduler::Waits(_) => {}
            }
            if state.left.crashes > 0 && *scheduler != Scheduler::Idle {
                actions.push(Action::Crash(nth));
            }
        }
        for (nth, fire) in state.network.iter().enumerate() {
            if nth > 0 && state.network[nth - 1] == *fire {
                continue;
            }
            actions.push(Action::Arrive(*fire));
            if state.left.repeats > 0 {
                actions.push(Action::Repeat(*fire));
            }
            if state.left.losses > 0 {
                actions.push(Action::Lose(*fire));
            }
        }
        for fire in &state.behind {
            actions.push(Action::Enqueue(*fire));
            if state.left.crashes > 0 {
                actions.push(Action::CrashBehind(*fire));
            }
        }
        if state.now < self.end() {
            actions.push(Action::Pass);
            if state.left.jumps > 0 {
                actions.push(Action::Jump);
            }
        }
        if state.paused_at.is_some() {
            actions.push(Action::Resume);
        } else if state.left.pauses > 0 {
            actions.push(Action::Pause);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let take = |from: &mut Vec<Fire>, fire: Fire| {
            let place = from.iter().position(|one| *one == fire)?;
            Some(from.remove(place))
        };
        match action {
            Action::Read(nth) => {
                let due_at = state.next_run_at?;
                let Step { run, next, .. } = (self.rules.step)(self.missed, due_at, state.now)?;
                let next = next.ok();
                state.schedulers[nth] = Scheduler::Read(Fire { due_at, run, next });
            }
            Action::Send(nth) => {
                let Scheduler::Read(fire) = state.schedulers[nth] else {
                    return None;
                };
                state.schedulers[nth] = Scheduler::Waits(fire);
                state.network.push(fire);
            }
            Action::Arrive(fire) => {
                take(&mut state.network, fire)?;
                self.fire(&mut state, fire);
                state.answer(fire);
            }
            Action::Repeat(fire) => {
                state.left.repeats -= 1;
                self.fire(&mut state, fire);
                state.answer(fire);
            }
            Action::Lose(fire) => {
                state.left.losses -= 1;
                take(&mut state.network, fire)?;
                state.answer(fire);
            }
            Action::Enqueue(fire) => {
                let run = take(&mut state.behind, fire)?.run?;
                self.enqueue(&mut state, run);
            }
            Action::CrashBehind(fire) => {
                state.left.crashes -= 1;
                take(&mut state.behind, fire)?;
            }
            Action::Crash(nth) => {
                state.left.crashes -= 1;
                state.schedulers[nth] = Scheduler::Idle;
            }
            Action::Pass => {
                state.now = (state.now + Duration::from_secs(PERIOD.unsigned_abs())).min(self.end())
            }
            Action::Jump => {
                state.left.jumps -= 1;
                state.now = (state.now + Duration::from_secs(JUMP.unsigned_abs())).min(self.end());
            }
            Action::Pause => {
                state.left.pauses -= 1;
                state.paused_at = state.next_run_at.take();
            }
            // As members do it: the ticks of the pause are no missed ticks.
            Action::Resume => {
                let since = state.paused_at.take()?;
                for (nth, tick) in (1..).zip(&mut state.ticks) {
                    let tick_at = at(nth * PERIOD);
                    tick.paused |= tick_at >= since && tick_at <= state.now;
                }
                state.next_run_at = next_after(state.now).ok();
            }
        }
        state.schedulers.sort_unstable();
        state.network.sort_unstable();
        state.behind.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONCE, |_, state: &State| {
                state
                    .ticks
                    .iter()
                    .all(|tick| tick.enqueued <= 1 && !tick.early)
            }),
            Property::always(NONE_LOST, |model: &Self, state: &State| {
                let Some(next) = state.next_run_at.or(state.paused_at) else {
                    return false;
                };
                let behind =
                    |tick: Timestamp| state.behind.iter().any(|fire| fire.run == Some(tick));
                (1..)
                    .zip(&state.ticks)
                    .take_while(|(nth, _)| at(nth * PERIOD) < next)
                    .all(|(nth, tick)| {
                        let given_up = match model.missed {
                            MissedTicks::RunAll => false,
                            // For a later one, of those that the schedule has moved past.
                            MissedTicks::RunOnce => at((nth + 1) * PERIOD) < next,
                            MissedTicks::Skip => tick.old,
                            other => panic!("what does {other} give up?"),
                        };
                        tick.enqueued > 0 || tick.paused || given_up || behind(at(nth * PERIOD))
                    })
            }),
            Property::sometimes("every tick is enqueued", |_, state: &State| {
                state.ticks.iter().all(|tick| tick.enqueued == 1)
            }),
        ];
        if self.missed != MissedTicks::RunAll {
            properties.push(Property::sometimes(
                "a tick is given up",
                |model: &Self, state: &State| {
                    let given_up = |tick: &Tick| tick.enqueued == 0 && !tick.paused;
                    model.has_ended(state) && state.ticks.iter().any(given_up)
                },
            ));
        }
        properties
    }
}

impl Ends for Ticks {
    /// The schedule moved past every tick.
    fn has_ended(&self, state: &State) -> bool {
        state.behind.is_empty() && state.next_run_at.is_some_and(|next| next > self.end())
    }

    /// A pause is over when a member says so, and that one does.
    fn is_fault(action: &Action) -> bool {
        matches!(
            action,
            Action::Repeat(_)
                | Action::Lose(_)
                | Action::CrashBehind(_)
                | Action::Crash(_)
                | Action::Jump
                | Action::Pause
        )
    }
}
