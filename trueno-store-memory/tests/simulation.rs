//! Processors and schedulers over the store in a storm of faults, seed by seed. `TRUENO_SEED=… cargo test -p
//! trueno-store-memory --test simulation` plays one run again, with its transcript.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figures"
)]

#[path = "simulation/planted.rs"]
mod planted;
#[path = "simulation/planted_ticks.rs"]
mod planted_ticks;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use trueno_core::clock::SharedClock;
use trueno_core::id::IdSource;
use trueno_store_memory::MemoryStore;
use trueno_testkit::proof;
use trueno_testkit::simulation::{Parts, Run, simulate};

fn memory(clock: SharedClock, ids: IdSource) -> Parts {
    let store = Arc::new(MemoryStore::new(clock, ids));
    Parts {
        queue: store.clone(),
        store: store.clone(),
        schedules: store,
    }
}

/// Fails unless one of the first seeds shows what is wrong with these parts, in these words.
fn finds(words: &str, wrong: impl Fn(Parts) -> Parts) {
    for seed in 0..50 {
        let run = simulate(seed, |clock, ids| wrong(memory(clock, ids)));
        if run.broken.iter().any(|broken| broken.contains(words)) {
            assert!(run.to_string().ends_with(&format!("TRUENO_SEED={seed}")));
            return;
        }
    }
    panic!("{words:?} was not found");
}

/// The runs of some seeds: their figures, and those that broke something.
fn play(seeds: impl Iterator<Item = u64>) -> (BTreeMap<&'static str, u64>, Vec<Run>) {
    let (mut figures, mut broken) = (BTreeMap::new(), Vec::new());
    for seed in seeds {
        let run = simulate(seed, memory);
        for (name, count) in &run.figures {
            *figures.entry(*name).or_default() += count;
        }
        if !run.broken.is_empty() {
            broken.push(run);
        }
    }
    (figures, broken)
}

#[test]
fn nothing_is_lost_doubled_or_stuck_whatever_the_seed() {
    if let Ok(seed) = std::env::var("TRUENO_SEED") {
        let run = simulate(seed.parse().expect("TRUENO_SEED is a decimal u64"), memory);
        println!("{run}");
        assert!(run.broken.is_empty(), "{:#?}", run.broken);
        return;
    }
    let (first, count) = (proof::seed(), u64::from(proof::count(10_000)));
    let seeds = move |nth| {
        (0..count)
            .map(move |n| first.wrapping_add(n))
            .skip(nth)
            .step_by(2)
    };
    let halves = std::thread::scope(|scope| {
        let halves = [0, 1].map(|nth| scope.spawn(move || play(seeds(nth))));
        halves.map(|half| half.join().unwrap())
    });
    let (mut figures, mut broken) = (BTreeMap::<&str, u64>::new(), Vec::new());
    for (of_half, bad) in halves {
        for (name, count) in of_half {
            *figures.entry(name).or_default() += count;
        }
        broken.extend(bad);
    }
    println!("{count} seeds: {figures:?}");
    if let Some(run) = broken.first() {
        panic!("{run}\n{} of {count} seeds broke something", broken.len());
    }
    for wanted in [
        "jobs",
        "succeeded",
        "dead",
        "cancelled",
        "crashes",
        "clock jumps",
        "ticks fired",
        "ticks given up",
        "crashes with ticks read and not fired",
    ] {
        assert!(
            figures.get(wanted).is_some_and(|n| *n > 0),
            "no {wanted}: it tried nothing"
        );
    }
    let figures = json!({ "seeds": count, "first seed": first, "runs": figures });
    proof::report("simulation", &figures);
}

#[test]
fn a_seed_replays_to_the_same_transcript() {
    for seed in 0..20 {
        let (one, other) = (simulate(seed, memory), simulate(seed, memory));
        assert!(one.transcript.len() > 20, "something happens");
        let differs = one
            .transcript
            .iter()
            .zip(&other.transcript)
            .position(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed} takes another way");
        assert_eq!(one, other);
    }
    assert_ne!(
        simulate(1, memory).transcript,
        simulate(2, memory).transcript
    );
}
