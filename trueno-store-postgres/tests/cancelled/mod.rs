//! Futures that are dropped half-way leave nothing on a connection, and no half of a change (P1, P2).
#![allow(
    dead_code,
    reason = "shared by several test programs, none of which uses all of it"
)]

pub(crate) mod canaries;
mod checks;
mod knife;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use knife::Knife;
use serde_json::json;
use trueno_testkit::fixtures::World;
use trueno_testkit::proof;
use worker::{Fate, Worker};

use crate::support::way::Way;

/// After each batch everything is looked at.
const BATCHES: u32 = 10;

/// As many as work at the same time: fewer than the pools have connections, since a lost one would
/// not be missed otherwise.
const WORKERS: u32 = 4;

/// Cuts off `full` futures that begin, ask or commit, or a tenth of them, and some whole calls.
pub(crate) async fn nothing_is_left_behind(way: Way, proof: &str, full: u32) {
    let (count, seed) = (proof::count(full), proof::seed());
    let harness = way.harness().await;
    let database = harness.database.borrowed();
    let world = Arc::new(World::new(harness).await);
    checks::watch(&database).await;
    let mut knives: Vec<Knife> = (0..u64::from(WORKERS))
        .map(|nth| Knife::new(seed.wrapping_add(nth)))
        .collect();
    let wanted = count.div_ceil(BATCHES * WORKERS);
    let mut undecided = (0, 0);
    for _ in 0..BATCHES {
        let working = knives.drain(..).enumerate().map(|(nth, mut knife)| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut worker = Worker::new(world, nth).await;
                worker.work(&mut knife, wanted).await;
                (worker, knife)
            })
        });
        let mut workers = Vec::new();
        for done in join_all(working.collect::<Vec<_>>()).await {
            let (worker, knife) = done.expect("a worker does its work");
            workers.push(worker);
            knives.push(knife);
        }
        checks::nothing_is_open(&database, checks::LOOKS).await;
        checks::no_context_is_left(&database, &world, way.connections()).await;
        for worker in &workers {
            checks::changes_are_whole(&database, worker).await;
            checks::ends_are_told_truly(worker).await;
            let commits = worker.changes.iter().map(|(_, fate)| fate);
            let commits = commits.chain(worker.ends.iter().map(|end| &end.fate));
            undecided.0 += commits.filter(|fate| **fate == Fate::Either).count();
            undecided.1 += worker.changes.len() + worker.ends.len();
        }
        world.forget_staged().await;
    }
    let mut cut: BTreeMap<&str, u32> = BTreeMap::new();
    for (kind, count) in knives.iter().flat_map(|knife| &knife.cut) {
        *cut.entry(kind).or_default() += count;
    }
    let cancelled: u32 = knives.iter().map(Knife::steps).sum();
    assert!(cancelled >= count, "{cancelled} of {count}");
    for stage in ["begin", "query", "commit", "call"] {
        let of_stage = |(kind, _): &(&&str, &u32)| kind.starts_with(stage);
        let of_stage: u32 = cut.iter().filter(of_stage).map(|(_, count)| count).sum();
        assert!(of_stage > 0, "no {stage} was cut off: {cut:?}");
    }
    proof::report(
        proof,
        &json!({ "seed": seed, "cancelled": cancelled, "cancelled_by_kind": cut, "changes": undecided.1,
            "cut_at_commit": undecided.0 }),
    );
}
