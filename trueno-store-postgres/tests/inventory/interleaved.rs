//! Scans of one account side by side, in random order, against a model that remembers everything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use trueno_core::id::ScanId;
use trueno_core::model::{CoverageStatus, Resource};
use trueno_core::port::ResourceFilter;
use trueno_testkit::fixtures::{self, RunningScan};

use crate::{AT, Account, account, assert_consistent};

const KINDS: [&str; 2] = ["ec2.address", "ec2.volume"];

/// A resource's kind and id.
type Key = (usize, usize);

#[derive(Default)]
struct Model {
    resources: BTreeMap<Key, Known>,
    /// What each scan saw.
    seen: BTreeMap<ScanId, BTreeSet<Key>>,
    /// Who looked at a kind completely, and after whom others have looked at it since.
    complete: BTreeSet<(usize, ScanId)>,
    overtaken: BTreeSet<(usize, ScanId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    state: u64,
    last_scan: ScanId,
    gone: bool,
}

impl Model {
    fn put(&mut self, scan: ScanId, key: Key, state: u64) {
        let known = Known {
            state,
            last_scan: scan,
            gone: false,
        };
        self.resources.insert(key, known);
        self.seen.entry(scan).or_default().insert(key);
        self.overtake(scan, key.0);
    }

    fn overtake(&mut self, scan: ScanId, kind: usize) {
        let others = self.complete.iter().filter(|done| **done != (kind, scan));
        self.overtaken.extend(others.filter(|(of, _)| *of == kind));
    }

    fn complete(&mut self, scan: ScanId, kind: usize) {
        let seen = self.seen.entry(scan).or_default();
        for (key, known) in &mut self.resources {
            if key.0 == kind && !seen.contains(key) {
                known.gone = true;
            }
        }
        self.overtake(scan, kind);
        self.complete.insert((kind, scan));
    }

    /// A scan that looked completely looks so again only while nobody else has looked in between: its
    /// job's second attempt does, and no two jobs scan an account at once.
    fn may_complete(&self, scan: ScanId, kind: usize) -> bool {
        !self.overtaken.contains(&(kind, scan))
    }
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn resource((kind, id): Key, state: u64) -> Resource {
    let mut resource = fixtures::resource(KINDS[kind], AT, &format!("id-{id:02}"));
    resource.attributes = json!({ "state": state });
    resource
}

async fn put(account: &Account, run: &RunningScan, resources: Vec<Resource>) {
    account
        .world
        .ingest(&run.lease, async |ingest| {
            ingest.put_resources(resources).await
        })
        .await
        .unwrap();
}

async fn end_look(account: &Account, run: &RunningScan, kind: usize, status: CoverageStatus) {
    let read = fixtures::coverage(fixtures::task(KINDS[kind], AT), status);
    account
        .world
        .ingest(&run.lease, async |ingest| {
            ingest.put_coverage(vec![read]).await
        })
        .await
        .unwrap();
}

/// Checks every list that tells who saw what.
async fn assert_same(account: &Account, model: &Model, what: &str) {
    let mut found = BTreeMap::new();
    for (gone, filter) in [
        (false, ResourceFilter::default()),
        (true, ResourceFilter::default().gone()),
    ] {
        for record in account.list(filter).await {
            let reference = &record.resource.reference;
            let kind = KINDS
                .iter()
                .position(|kind| *kind == reference.kind.as_str());
            let key = (kind.unwrap(), reference.native_id[3..].parse().unwrap());
            assert_eq!(record.gone_at.is_some(), gone, "{what}");
            assert!(record.last_seen_at >= record.first_seen_at, "{what}");
            let known = Known {
                state: record.resource.attributes["state"].as_u64().unwrap(),
                last_scan: record.last_scan,
                gone,
            };
            found.insert(key, known);
        }
    }
    assert_eq!(found, model.resources, "{what}");
    for scan in model.seen.keys() {
        let filter = ResourceFilter::default().with_scan(*scan);
        let there = |known: &&Known| known.last_scan == *scan && !known.gone;
        let wanted = model.resources.values().filter(there).count();
        assert_eq!(
            account.list(filter).await.len(),
            wanted,
            "{what}: of {scan}"
        );
    }
}

async fn interleaved(seed: u64) {
    let mut random = Random(seed);
    let account = account().await;
    let mut model = Model::default();
    // Numbers on both sides of the bound between two sightings.
    put(&account, &account.run, vec![resource((1, 0), 0)]).await;
    model.put(account.run.scan, (1, 0), 0);
    account
        .database
        .execute("update trueno.inventory set next_ordinal = 4092")
        .await;
    let next = async || {
        let (tenant, of) = (&account.tenant, account.run.account.clone());
        account.world.running_scan_of(tenant, of).await
    };
    let mut runs = [next().await, next().await, next().await];
    for step in 0..60 {
        let nth = random.below(runs.len());
        let (run, kind) = (&runs[nth], random.below(KINDS.len()));
        let what = format!("seed {seed}, step {step}");
        match random.below(10) {
            0..=5 => {
                let mut seen = BTreeMap::new();
                for _ in 0..=random.below(8) {
                    let key = (random.below(KINDS.len()), random.below(9));
                    // Mostly as it was.
                    let state = match model.resources.get(&key) {
                        Some(known) if random.below(4) > 0 => known.state,
                        _ => random.below(3) as u64,
                    };
                    seen.insert(key, state);
                }
                let resources = seen.iter().map(|(key, state)| resource(*key, *state));
                put(&account, run, resources.collect()).await;
                for (key, state) in seen {
                    model.put(run.scan, key, state);
                }
            }
            6..=7 if model.may_complete(run.scan, kind) => {
                let status = [CoverageStatus::Complete, CoverageStatus::NotEnabled];
                end_look(&account, run, kind, status[random.below(2)]).await;
                model.complete(run.scan, kind);
            }
            6..=8 => end_look(&account, run, kind, CoverageStatus::Throttled).await,
            _ => {
                account.world.complete(run).await;
                runs[nth] = next().await;
            }
        }
        assert_same(&account, &model, &what).await;
        assert_consistent(&account.database).await;
    }
}

#[tokio::test]
async fn scans_side_by_side_know_what_each_saw() {
    for seed in [1, 2] {
        println!("seed {seed}");
        interleaved(seed).await;
    }
}
