//! Runs the checker: every reachable state for what must never be, and whether each of them leaves a
//! way to the end.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::json;
use stateright::{Checker, HasDiscoveries, Model};
use trueno_testkit::proof;

/// A model with an end that everything has to come to.
pub(crate) trait Ends: Model {
    /// Whether everything has come to its end.
    fn has_ended(&self, state: &Self::State) -> bool;

    /// Whether it is a fault or somebody's wish, which nothing may depend on.
    fn is_fault(action: &Self::Action) -> bool;
}

/// Fails where a state that must never be can be reached, where one that has to be possible is not,
/// or where a state has no way to the end. Prints and reports the figures.
pub(crate) fn prove<M>(name: &str, model: impl Fn() -> M)
where
    M: Ends + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = model().checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    let depth = checker.max_depth();
    drop(checker);
    let graph = Graph::of(&model());
    assert_eq!(graph.states(), states, "both looked at the same states");
    if let Some(stuck) = graph.stuck() {
        panic!("{name}: no way to the end without a fault from {stuck:#?}");
    }
    println!("{name}: {states} states, {steps} steps, {depth} deep");
    let figures = json!({ "setup": name, "states": states, "steps": steps, "depth": depth });
    proof::report("model", &figures);
}

/// Fails unless the checker finds a way to break `property`.
pub(crate) fn breaks<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.discovery(property);
    let states = checker.unique_state_count();
    let path = path.unwrap_or_else(|| panic!("not found: {property} ({states} states)"));
    let actions = path.into_actions();
    println!(
        "{property}: broken after {} steps: {actions:?}",
        actions.len()
    );
}

/// Fails unless there is a state without a way to the end.
pub(crate) fn strands<M>(model: M)
where
    M: Ends,
    M::State: Clone + Debug + Hash,
{
    let graph = Graph::of(&model);
    let stuck = graph.stuck().expect("no state is stuck");
    println!("stuck, of {} states: {stuck:?}", graph.states());
}

/// Every state that can be reached, and the steps between them that are no faults.
///
/// Where each state has a way to the end along such steps, a run in which faults cease and no step
/// that is possible again and again is put off for ever (strong fairness) comes to the end: the
/// states are finitely many, so a run that did not would stay among some from which it never took
/// the way that is there.
struct Graph<S> {
    /// Some state to show for each number.
    ended: Vec<bool>,
    /// From where one comes to each state without a fault: (to, from), sorted.
    back: Vec<(u32, u32)>,
    /// Its path's last step: how to come to it.
    first: Vec<Option<S>>,
}

/// How many states are kept to be shown; beyond them only their numbers are.
const SHOWN: usize = 200_000;

impl<S: Clone + Hash> Graph<S> {
    fn of<M: Ends<State = S>>(model: &M) -> Self {
        let mut known: HashMap<u64, u32> = HashMap::new();
        let mut graph = Self {
            ended: Vec::new(),
            back: Vec::new(),
            first: Vec::new(),
        };
        let mut queue = VecDeque::new();
        let mut number = |state: S, graph: &mut Self, queue: &mut VecDeque<(u32, S)>| {
            let next = u32::try_from(known.len()).unwrap();
            *known.entry(hash(&state)).or_insert_with(|| {
                graph.ended.push(model.has_ended(&state));
                graph
                    .first
                    .push((graph.first.len() < SHOWN).then(|| state.clone()));
                queue.push_back((next, state));
                next
            })
        };
        for state in model.init_states() {
            number(state, &mut graph, &mut queue);
        }
        let mut actions = Vec::new();
        while let Some((from, state)) = queue.pop_front() {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let fault = M::is_fault(&action);
                let Some(next) = model.next_state(&state, action) else {
                    continue;
                };
                let to = number(next, &mut graph, &mut queue);
                if !fault {
                    graph.back.push((to, from));
                }
            }
        }
        graph.back.sort_unstable();
        graph.back.dedup();
        graph
    }

    fn states(&self) -> usize {
        self.ended.len()
    }

    /// A state from which the end cannot be reached.
    fn stuck(&self) -> Option<&Option<S>> {
        let mut reaches = self.ended.clone();
        let mut queue: Vec<u32> = (0..).take(self.states()).collect();
        queue.retain(|state| reaches[*state as usize]);
        while let Some(to) = queue.pop() {
            let begin = self.back.partition_point(|(state, _)| *state < to);
            let before = self.back[begin..]
                .iter()
                .take_while(|(state, _)| *state == to);
            for (_, from) in before {
                if !std::mem::replace(&mut reaches[*from as usize], true) {
                    queue.push(*from);
                }
            }
        }
        let stuck = reaches.iter().position(|reaches| !reaches)?;
        Some(&self.first[stuck])
    }
}

fn hash(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
