//! Whatever one organization does, what another one is answered stays the same to the byte (P1).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking and prints its figures"
)]

#[path = "../common/mod.rs"]
mod common;
mod leaky;

use common::Memory;
use leaky::{Leak, Leaky};
use trueno_testkit::harness::StoreHarness;
use trueno_testkit::noninterference::{Difference, Figures, Neighbour, Transcript, run};
use trueno_testkit::proof;

/// Workers that share the seeds.
const WORKERS: u32 = 2;

/// Seeds in which a canary has to be heard at least once.
const CANARY_SEEDS: u64 = 40;

/// B's transcript on a store of its own.
async fn transcript(harness: impl StoreHarness, seed: u64, neighbour: Neighbour) -> Transcript {
    run(&harness, seed, neighbour).await
}

/// Ids and the clock are injected: the transcripts are compared with their moments.
async fn compare(first: u64, nth: impl Iterator<Item = u32>) -> Figures {
    let mut figures = Figures::default();
    for nth in nth {
        let seed = first.wrapping_add(nth.into());
        let with = transcript(Memory::new().await, seed, Neighbour::Busy).await;
        let without = transcript(Memory::new().await, seed, Neighbour::Absent).await;
        if let Some(difference) = Difference::between(with.exact(), without.exact()) {
            panic!("TRUENO_TEST_SEED={seed}: {difference}");
        }
        figures.add(&with);
    }
    figures
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn what_b_is_answered_does_not_depend_on_a() {
    let (first, interleavings) = (proof::seed(), proof::count(5_000));
    let figures = std::thread::scope(|scope| {
        let worker = |mine: u32| {
            let seeds = (0..interleavings).filter(move |nth| nth % WORKERS == mine);
            scope.spawn(move || block_on(compare(first, seeds)))
        };
        let workers: Vec<_> = (0..WORKERS).map(worker).collect();
        let mut all = Figures::default();
        for worker in workers {
            all.merge(worker.join().unwrap());
        }
        all
    });
    assert_eq!(figures.never_given(), Vec::<&str>::new());
    println!(
        "noninterference: trueno-store-memory: {}",
        figures.to_json()
    );
    proof::report("noninterference memory", &figures.to_json());
}

/// The same seed gives the same transcript: otherwise a difference would say nothing.
#[tokio::test]
async fn a_run_can_be_replayed() {
    for neighbour in [Neighbour::Busy, Neighbour::Absent] {
        let once = transcript(Memory::new().await, 7, neighbour).await;
        let again = transcript(Memory::new().await, 7, neighbour).await;
        assert_eq!(once, again);
        let other = transcript(Memory::new().await, 8, neighbour).await;
        assert_ne!(once, other);
    }
}

/// A store with a planted leak is found out by the steps that touch on it.
#[tokio::test]
async fn every_planted_leak_shows() {
    for (leak, told_by) in [
        (Leak::CountsEverybodysFindings, "count_findings"),
        (Leak::AccountIdsAreGlobal, "cloud_account.connected"),
        (Leak::LetsStrangersIn, "reach.organization"),
    ] {
        let mut heard = 0;
        let mut telling = 0;
        for seed in 0..CANARY_SEEDS {
            let with = transcript(Leaky::new(leak).await, seed, Neighbour::Busy).await;
            let without = transcript(Leaky::new(leak).await, seed, Neighbour::Absent).await;
            let Some(difference) = Difference::between(with.exact(), without.exact()) else {
                continue;
            };
            heard += 1;
            telling += u32::from(difference.with.is_some_and(|line| line.contains(told_by)));
        }
        println!("canary: {leak:?}: heard in {heard} of {CANARY_SEEDS} interleavings");
        assert!(
            telling > 0,
            "{leak:?} does not show in {told_by}: heard {heard} times"
        );
    }
}
