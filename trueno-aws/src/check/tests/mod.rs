//! Each check through the engine, as a scan runs it: hit, miss and boundary, with amounts as
//! literals from the price table of 2026-11-01.

mod golden;
mod instances;
mod network;
mod properties;
mod snapshots;
mod totals;
mod volumes;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use trueno_core::check::{CoverageMap, Engine, Evaluation, Relations};
use trueno_core::model::{
    AccountNumber, Coverage, CoverageStatus, FindingDraft, Resource, ResourceKind, ResourceRef,
    TaskKey,
};
use trueno_core::money::Saving;

use crate::facts::*;
use crate::price::PriceTable;

const US: &str = "us-east-1";
/// A region without prices.
const UNPRICED: &str = "sa-east-1";

fn now() -> Timestamp {
    "2026-11-15T00:00:00Z".parse().unwrap()
}

/// `days` before the as-of moment, and `seconds` later than that.
fn ago(days: i64, seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(days * 86_400 - seconds)
}

fn account() -> AccountNumber {
    "123456789012".parse().unwrap()
}

fn engine(settings: &[&str]) -> Engine {
    let prices = std::sync::Arc::new(PriceTable::builtin().unwrap());
    let mut engine = Engine::new(super::all(), prices).unwrap();
    for setting in settings {
        engine.set(setting).unwrap();
    }
    engine
}

fn resource<F: Facts>(id: &str, region: &str, facts: &F) -> Resource {
    broken(F::KIND, id, region, facts.to_attributes().unwrap())
}

fn broken(kind: ResourceKind, id: &str, region: &str, attributes: Value) -> Resource {
    Resource {
        reference: ResourceRef {
            kind,
            region: region.parse().unwrap(),
            native_id: id.to_owned(),
        },
        name: None,
        tags: BTreeMap::new(),
        attributes,
    }
}

/// Every kind completely read, in the regions of the resources.
fn coverage(resources: &[Resource]) -> CoverageMap {
    let kinds = [
        VOLUME,
        INSTANCE,
        SNAPSHOT,
        IMAGE,
        ADDRESS,
        NETWORK_INTERFACE,
    ];
    let all: Vec<Coverage> = resources
        .iter()
        .flat_map(|resource| kinds.iter().map(move |kind| (resource, kind)))
        .map(|(resource, kind)| {
            let mut coverage = Coverage::begin(TaskKey {
                service: "ec2".into(),
                region: resource.reference.region.clone(),
                kind: kind.clone(),
            });
            coverage.status = CoverageStatus::Complete;
            coverage
        })
        .collect();
    CoverageMap::new(&all)
}

/// What all checks say of a whole account.
fn scan(engine: &Engine, resources: &[Resource]) -> Vec<Evaluation> {
    scan_at(engine, resources, now())
}

fn scan_at(engine: &Engine, resources: &[Resource], now: Timestamp) -> Vec<Evaluation> {
    let mut relations = Relations::default();
    for resource in resources {
        engine.relate(resource, &mut relations);
    }
    let coverage = coverage(resources);
    resources
        .iter()
        .flat_map(|one| engine.evaluate(&account(), one, &relations, &coverage, now))
        .collect()
}

fn found(evaluations: Vec<Evaluation>) -> Vec<FindingDraft> {
    let found = evaluations.into_iter().filter_map(|one| match one {
        Evaluation::Found(finding) => Some(*finding),
        _ => None,
    });
    found.collect()
}

/// What one check says of the first of the resources.
fn look_with(settings: &[&str], check: &str, resources: &[Resource]) -> Evaluation {
    let reference = &resources[0].reference;
    let key = format!(
        "{check}/123456789012/{}/{}",
        reference.region, reference.native_id
    );
    let mut about = scan(&engine(settings), resources)
        .into_iter()
        .filter(|evaluation| match evaluation {
            Evaluation::Found(finding) => finding.key == key,
            Evaluation::Clear { key: of } | Evaluation::Undetermined { key: of, .. } => *of == key,
        });
    let one = about.next().expect("the check looks at the resource");
    assert!(about.next().is_none(), "{check} looked twice");
    one
}

fn look(check: &str, resources: &[Resource]) -> Evaluation {
    look_with(&[], check, resources)
}

#[track_caller]
fn finding(evaluation: Evaluation) -> FindingDraft {
    match evaluation {
        Evaluation::Found(finding) => *finding,
        other => panic!("a finding was expected, not {other:?}"),
    }
}

/// The saving of a finding, `None` where unknown.
#[track_caller]
fn saving(evaluation: Evaluation) -> Option<i64> {
    match finding(evaluation).monthly_saving {
        Saving::Known { amount, .. } => Some(amount.micros),
        Saving::Unknown => None,
    }
}

#[track_caller]
fn assert_clear(evaluation: Evaluation) {
    assert!(
        matches!(evaluation, Evaluation::Clear { .. }),
        "{evaluation:?}"
    );
}

#[track_caller]
fn reason(evaluation: Evaluation) -> String {
    match evaluation {
        Evaluation::Undetermined { reason, .. } => reason,
        other => panic!("undetermined was expected, not {other:?}"),
    }
}

fn volume(volume_type: &str, size_gib: i64) -> VolumeFacts {
    VolumeFacts {
        state: "available".into(),
        volume_type: volume_type.into(),
        size_gib,
        iops: None,
        throughput_mibps: None,
        created_at: ago(100, 0),
        snapshot_id: None,
        instance_ids: Vec::new(),
    }
}

fn instance(instance_type: &str) -> InstanceFacts {
    InstanceFacts {
        state: "running".into(),
        stopped_at: None,
        instance_type: instance_type.into(),
        image_id: Some("ami-1".into()),
        platform_details: Some("Linux/UNIX".into()),
        tenancy: Some("default".into()),
        lifecycle: None,
        launched_at: Some(ago(400, 0)),
        volume_ids: Vec::new(),
    }
}

fn stopped(at: Option<Timestamp>) -> InstanceFacts {
    InstanceFacts {
        state: "stopped".into(),
        stopped_at: at,
        ..instance("m5.large")
    }
}

fn snapshot(volume_id: &str, started_at: Timestamp) -> SnapshotFacts {
    SnapshotFacts {
        state: "completed".into(),
        volume_id: Some(volume_id.into()),
        copied: false,
        volume_size_gib: 100,
        full_size_bytes: None,
        storage_tier: Some("standard".into()),
        started_at,
    }
}

fn image(created_at: Option<Timestamp>, snapshots: &[(&str, Option<i64>)]) -> ImageFacts {
    let snapshots = snapshots.iter().map(|(id, size_gib)| ImageSnapshot {
        snapshot_id: (*id).to_owned(),
        size_gib: *size_gib,
    });
    ImageFacts {
        state: "available".into(),
        public: false,
        created_at,
        last_launched_at: None,
        snapshots: snapshots.collect(),
    }
}

#[test]
fn facts_that_are_not_understood_are_undetermined_for_every_check() {
    for (kind, checks) in [
        (VOLUME, 4),
        (INSTANCE, 2),
        (SNAPSHOT, 2),
        (IMAGE, 1),
        (ADDRESS, 1),
        (NETWORK_INTERFACE, 1),
    ] {
        let evaluations = scan(&engine(&[]), &[broken(kind.clone(), "x-1", US, json!([1]))]);
        assert_eq!(evaluations.len(), checks, "{kind}");
        for evaluation in evaluations {
            assert!(reason(evaluation).contains("not understood"), "{kind}");
        }
    }
}
