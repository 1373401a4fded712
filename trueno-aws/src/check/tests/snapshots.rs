use serde_json::json;

use super::*;

const OLD: &str = "ec2.snapshot.old";
const ORPHANED: &str = "ec2.snapshot.orphaned";
const UNUSED: &str = "ec2.image.unused";

fn at(region: &str, facts: &SnapshotFacts) -> Resource {
    resource("snap-1", region, facts)
}

fn taken(started_at: Timestamp) -> Resource {
    at(US, &snapshot("vol-1", started_at))
}

#[test]
fn an_old_snapshot_is_found_with_an_upper_bound_and_no_amount() {
    let seen = finding(look(OLD, &[taken(ago(90, 0))]));
    assert_eq!(seen.monthly_saving, Saving::Unknown);
    assert_eq!(seen.conflict_group.as_deref(), Some("snapshot/snap-1"));
    assert_eq!(
        serde_json::to_value(seen.evidence).unwrap(),
        json!({
            "state": "completed", "volume_id": "vol-1", "volume_size_gib": 100,
            "storage_tier": "standard", "started_at": "2026-08-17T00:00:00Z",
            "min_age_days": 90,
            "upper_bound_micros": 5_000_000, "upper_bound_currency": "USD",
            "upper_bound_source": "https://aws.amazon.com/ebs/pricing/",
            "upper_bound_as_of": "2026-11-01"
        })
    );
}

#[test]
fn an_upper_bound_needs_a_price() {
    let facts = snapshot("vol-1", ago(100, 0));
    let elsewhere = finding(look(OLD, &[at(UNPRICED, &facts)]));
    assert!(!elsewhere.evidence.contains_key("upper_bound_micros"));
    let archived = SnapshotFacts {
        storage_tier: Some("archive".into()),
        ..facts
    };
    let archived = finding(look(OLD, &[at(US, &archived)]));
    assert!(!archived.evidence.contains_key("upper_bound_micros"));
}

#[test]
fn a_snapshot_is_old_from_ninety_days_on() {
    assert_clear(look(OLD, &[taken(ago(90, 1))]));
    assert_clear(look(OLD, &[taken(ago(-1, 0))]));
    let setting = ["ec2.snapshot.old.min_age_days=30"];
    finding(look_with(&setting, OLD, &[taken(ago(30, 0))]));
    assert_clear(look_with(&setting, OLD, &[taken(ago(30, 1))]));
    let pending = SnapshotFacts {
        state: "pending".into(),
        ..snapshot("vol-1", ago(100, 0))
    };
    assert_clear(look(OLD, &[at(US, &pending)]));
}

#[test]
fn a_snapshot_that_an_image_of_the_region_needs_is_kept() {
    let of_image = |region| {
        let facts = image(Some(ago(5, 0)), &[("snap-0", None), ("snap-1", Some(100))]);
        resource("ami-1", region, &facts)
    };
    for check in [OLD, ORPHANED] {
        assert_clear(look(check, &[taken(ago(100, 0)), of_image(US)]));
        finding(look(check, &[taken(ago(100, 0)), of_image(UNPRICED)]));
    }
}

#[test]
fn an_image_that_is_not_understood_leaves_its_region_undetermined() {
    let unreadable = |region| broken(IMAGE, "ami-9", region, json!({}));
    for check in [OLD, ORPHANED] {
        let seen = look(check, &[taken(ago(100, 0)), unreadable(US)]);
        assert!(reason(seen).contains("ami-9"));
        // What is too young or in another region is not concerned.
        assert_clear(look(check, &[taken(ago(1, 0)), unreadable(US)]));
        finding(look(check, &[taken(ago(100, 0)), unreadable(UNPRICED)]));
    }
}

#[test]
fn a_snapshot_whose_volume_is_gone_is_orphaned_from_thirty_days_on() {
    let seen = finding(look(ORPHANED, &[taken(ago(30, 0))]));
    assert_eq!(seen.monthly_saving, Saving::Unknown);
    assert_eq!(seen.evidence["upper_bound_micros"], 5_000_000);
    assert_clear(look(ORPHANED, &[taken(ago(30, 1))]));
    let setting = ["ec2.snapshot.orphaned.min_age_days=31"];
    assert_clear(look_with(&setting, ORPHANED, &[taken(ago(30, 0))]));
}

#[test]
fn a_snapshot_whose_volume_exists_is_not_orphaned() {
    let here = resource("vol-1", US, &volume("gp3", 100));
    assert_clear(look(ORPHANED, &[taken(ago(100, 0)), here]));
    // That a volume exists does not hang on its facts being understood.
    let broken = broken(VOLUME, "vol-1", US, json!(null));
    assert_clear(look(ORPHANED, &[taken(ago(100, 0)), broken]));
    let elsewhere = resource("vol-1", UNPRICED, &volume("gp3", 100));
    finding(look(ORPHANED, &[taken(ago(100, 0)), elsewhere]));
}

#[test]
fn a_copy_has_no_volume_to_lose() {
    let concerns_only_age = |facts: &SnapshotFacts| {
        let copy = at(US, facts);
        assert_clear(look(ORPHANED, std::slice::from_ref(&copy)));
        finding(look(OLD, &[copy]));
    };
    for id in ["vol-ffffffff", "vol-fffffffffffffffff", "vol-f"] {
        concerns_only_age(&snapshot(id, ago(100, 0)));
    }
    // A copy's volume id is arbitrary, whatever it looks like.
    concerns_only_age(&SnapshotFacts {
        copied: true,
        ..snapshot("vol-1", ago(100, 0))
    });
    for id in [
        "vol-",
        "vol-fffffff0",
        "vol-fffffffe",
        "ffffffff",
        "VOL-ffffffff",
    ] {
        finding(look(ORPHANED, &[at(US, &snapshot(id, ago(100, 0)))]));
    }
}

#[test]
fn facts_that_say_nothing_of_copies_are_understood() {
    let mut old = taken(ago(100, 0));
    old.attributes.as_object_mut().unwrap().remove("copied");
    finding(look(ORPHANED, &[old]));
}

#[test]
fn a_snapshot_that_does_not_name_its_volume_is_undetermined() {
    let unsaid = SnapshotFacts {
        volume_id: None,
        ..snapshot("", ago(100, 0))
    };
    let unsaid = at(US, &unsaid);
    assert!(reason(look(ORPHANED, std::slice::from_ref(&unsaid))).contains("which volume"));
    finding(look(OLD, &[unsaid]));
}

#[test]
fn a_snapshot_whose_size_makes_no_sense_is_undetermined() {
    let facts = SnapshotFacts {
        volume_size_gib: -1,
        ..snapshot("vol-1", ago(100, 0))
    };
    assert!(reason(look(OLD, &[at(US, &facts)])).contains("makes no sense"));
}

fn ami(facts: &ImageFacts) -> Resource {
    resource("ami-1", US, facts)
}

#[test]
fn an_unused_image_is_found_with_an_upper_bound_and_no_amount() {
    let facts = image(
        Some(ago(90, 0)),
        &[("snap-1", Some(8)), ("snap-2", Some(100))],
    );
    let seen = finding(look(UNUSED, &[ami(&facts)]));
    assert_eq!(seen.monthly_saving, Saving::Unknown);
    assert_eq!(seen.conflict_group.as_deref(), Some("image/ami-1"));
    assert_eq!(
        serde_json::to_value(seen.evidence).unwrap(),
        json!({
            "state": "available", "public": false, "created_at": "2026-08-17T00:00:00Z",
            "min_age_days": 90, "snapshot_ids": ["snap-1", "snap-2"],
            "snapshots_gib": 108,
            "upper_bound_micros": 5_400_000, "upper_bound_currency": "USD",
            "upper_bound_source": "https://aws.amazon.com/ebs/pricing/",
            "upper_bound_as_of": "2026-11-01"
        })
    );
    let unsized_one = image(Some(ago(90, 0)), &[("snap-1", None)]);
    let seen = finding(look(UNUSED, &[ami(&unsized_one)]));
    assert!(!seen.evidence.contains_key("upper_bound_micros"));
}

#[test]
fn an_image_is_old_from_ninety_days_on() {
    assert_clear(look(UNUSED, &[ami(&image(Some(ago(90, 1)), &[]))]));
    assert_clear(look(UNUSED, &[ami(&image(Some(ago(-1, 0)), &[]))]));
    let setting = ["ec2.image.unused.min_age_days=10"];
    finding(look_with(
        &setting,
        UNUSED,
        &[ami(&image(Some(ago(10, 0)), &[]))],
    ));
    let unsaid = ami(&image(None, &[]));
    assert!(reason(look(UNUSED, &[unsaid])).contains("when the image was created"));
}

#[test]
fn an_image_that_is_public_or_not_available_is_no_finding() {
    let old = || image(Some(ago(100, 0)), &[]);
    let public = ImageFacts {
        public: true,
        ..old()
    };
    assert_clear(look(UNUSED, &[ami(&public)]));
    let pending = ImageFacts {
        state: "pending".into(),
        ..old()
    };
    assert_clear(look(UNUSED, &[ami(&pending)]));
}

#[test]
fn an_image_is_used_by_any_instance_of_its_region_that_is_not_terminated() {
    let by = |region, state: &str| {
        let facts = InstanceFacts {
            state: state.into(),
            ..instance("m5.large")
        };
        let image = ami(&image(Some(ago(100, 0)), &[]));
        look(UNUSED, &[image, resource("i-1", region, &facts)])
    };
    for state in ["pending", "running", "stopping", "stopped", "shutting-down"] {
        assert_clear(by(US, state));
    }
    finding(by(US, "terminated"));
    finding(by(UNPRICED, "running"));
    let unreadable = [
        ami(&image(Some(ago(100, 0)), &[])),
        broken(INSTANCE, "i-9", US, json!("?")),
    ];
    assert!(reason(look(UNUSED, &unreadable)).contains("i-9"));
}
