use serde_json::json;
use trueno_core::error::ErrorKind;

use super::*;

const UNATTACHED: &str = "ec2.volume.unattached";
const GP2: &str = "ec2.volume.gp2";
const PROVISIONED: &str = "ec2.volume.provisioned-iops";
const ON_STOPPED: &str = "ec2.volume.on-stopped-instance";

fn at(region: &str, facts: &VolumeFacts) -> [Resource; 1] {
    [resource("vol-1", region, facts)]
}

fn unattached(facts: &VolumeFacts) -> Evaluation {
    look(UNATTACHED, &at(US, facts))
}

#[test]
fn an_unattached_volume_saves_its_whole_price() {
    let with = |volume_type, size, iops, throughput_mibps| VolumeFacts {
        iops,
        throughput_mibps,
        ..volume(volume_type, size)
    };
    for (facts, us, eu) in [
        (with("gp2", 100, Some(300), None), 10_000_000, 11_000_000),
        (with("gp3", 100, None, None), 8_000_000, 8_800_000),
        (
            with("gp3", 100, Some(3_000), Some(125)),
            8_000_000,
            8_800_000,
        ),
        // 8,000,000 + 1,000 x 5,000 + 125 x 40,000; 8,800,000 + 1,000 x 5,500 + 125 x 44,000
        (
            with("gp3", 100, Some(4_000), Some(250)),
            18_000_000,
            19_800_000,
        ),
        // 12,500,000 + 1,000 x 65,000; 13,800,000 + 1,000 x 72,000
        (with("io1", 100, Some(1_000), None), 77_500_000, 85_800_000),
        // 12,500,000 + 32,000 x 65,000; 13,800,000 + 32,000 x 72,000
        (
            with("io2", 100, Some(32_000), None),
            2_092_500_000,
            2_317_800_000,
        ),
        (with("st1", 500, None, None), 22_500_000, 25_000_000),
        (with("sc1", 500, None, None), 7_500_000, 8_400_000),
        (with("standard", 10, None, None), 500_000, 550_000),
    ] {
        assert_eq!(
            saving(look(UNATTACHED, &at(US, &facts))),
            Some(us),
            "{facts:?}"
        );
        let europe = at("eu-west-1", &facts);
        assert_eq!(saving(look(UNATTACHED, &europe)), Some(eu), "{facts:?}");
    }
}

#[test]
fn an_unattached_volume_of_unknown_price_is_found_without_amount() {
    let gp2 = volume("gp2", 100);
    assert_eq!(saving(look(UNATTACHED, &at(UNPRICED, &gp2))), None);
    for (volume_type, iops) in [("io2", Some(32_001)), ("io1", None), ("gp4", None)] {
        let facts = VolumeFacts {
            iops,
            ..volume(volume_type, 100)
        };
        assert_eq!(saving(unattached(&facts)), None, "{facts:?}");
    }
}

#[test]
fn a_volume_is_unattached_for_long_from_seven_days_on() {
    let created = |created_at| VolumeFacts {
        created_at,
        ..volume("gp2", 100)
    };
    assert_eq!(saving(unattached(&created(ago(7, 0)))), Some(10_000_000));
    assert_clear(unattached(&created(ago(7, 1))));
    assert_clear(unattached(&created(ago(0, 1))));
    for state in ["in-use", "creating", "deleting", "error"] {
        assert_clear(unattached(&VolumeFacts {
            state: state.into(),
            ..volume("gp2", 100)
        }));
    }
}

#[test]
fn the_threshold_can_be_set_and_shows_in_the_finding() {
    let young = VolumeFacts {
        created_at: ago(3, 0),
        ..volume("gp2", 100)
    };
    let setting = ["ec2.volume.unattached.min_age_days=3"];
    let three = finding(look_with(&setting, UNATTACHED, &at(US, &young)));
    assert_eq!(
        serde_json::to_value(&three.evidence).unwrap(),
        json!({
            "state": "available", "volume_type": "gp2", "size_gib": 100,
            "min_age_days": 3, "created_at": "2026-11-12T00:00:00Z"
        })
    );
    let seven = finding(unattached(&volume("gp2", 100)));
    assert_ne!(three.parameters_hash, seven.parameters_hash);

    // Not even a threshold of none is met by what is yet to be.
    let none = ["ec2.volume.unattached.min_age_days=0"];
    let created = |created_at| VolumeFacts {
        created_at,
        ..volume("gp2", 100)
    };
    finding(look_with(&none, UNATTACHED, &at(US, &created(now()))));
    assert_clear(look_with(&none, UNATTACHED, &at(US, &created(ago(0, 1)))));

    let error = engine(&[])
        .set("ec2.volume.unattached.min_age_days=3651")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("from 0 to 3650"), "{error}");
}

#[test]
fn a_saving_carries_the_source_and_day_of_its_price() {
    let Saving::Known { origin, .. } = finding(unattached(&volume("gp2", 100))).monthly_saving
    else {
        panic!("the price is known");
    };
    assert_eq!(origin.source, "https://aws.amazon.com/ebs/pricing/");
    assert_eq!(origin.as_of, jiff::civil::date(2026, 11, 1));
}

#[test]
fn prices_of_two_sources_are_both_named_with_the_older_day() {
    let agreed = r#"{"format": 1, "currency": "USD", "prices": [{
        "sku": "ec2.volume.gp3.storage", "unit": "gib_month", "regions": ["us-east-1"],
        "price_micros": 70000, "source": "https://example.com/agreement", "as_of": "2026-10-01"
    }]}"#;
    let prices = PriceTable::builtin()
        .unwrap()
        .with_overrides(PriceTable::parse(agreed).unwrap());
    let engine = Engine::new(crate::check::all(), std::sync::Arc::new(prices)).unwrap();
    let findings = found(scan(&engine, &at(US, &volume("gp2", 100))));
    let gp2 = findings.iter().find(|one| one.check == GP2).unwrap();
    let Saving::Known { amount, origin } = &gp2.monthly_saving else {
        panic!("the price is known");
    };
    assert_eq!(amount.micros, 3_000_000);
    let both = "https://aws.amazon.com/ebs/pricing/, https://example.com/agreement";
    assert_eq!(origin.source, both);
    assert_eq!(origin.as_of, jiff::civil::date(2026, 10, 1));
}

#[test]
fn gp2_saves_the_difference_to_gp3_of_the_same_baseline() {
    for (size, us) in [
        (1, 20_000),
        (33, 660_000),
        (100, 2_000_000),
        (1_000, 20_000_000),
        // Above 1,000 GiB the baseline of gp2 is above what gp3 includes: 3 x 5,000 more.
        (1_001, 20_005_000),
        (5_334, 41_680_000),
        // The baseline ends at 16,000 IOPS: 16,384 x 20,000 - 13,000 x 5,000.
        (16_384, 262_680_000),
    ] {
        let facts = volume("gp2", size);
        assert_eq!(saving(look(GP2, &at(US, &facts))), Some(us), "{size} GiB");
    }
    let facts = volume("gp2", 100);
    assert_eq!(saving(look(GP2, &at("eu-west-1", &facts))), Some(2_200_000));
    assert_eq!(saving(look(GP2, &at(UNPRICED, &facts))), None);
}

#[test]
fn gp2_is_found_in_any_state_and_other_types_are_not() {
    for state in ["available", "in-use", "creating"] {
        let facts = VolumeFacts {
            state: state.into(),
            ..volume("gp2", 100)
        };
        assert_eq!(saving(look(GP2, &at(US, &facts))), Some(2_000_000));
    }
    for volume_type in ["gp3", "io1", "io2", "st1", "sc1", "standard"] {
        assert_clear(look(GP2, &at(US, &volume(volume_type, 100))));
    }
}

#[test]
fn gp2_that_would_not_cost_less_is_no_finding() {
    // 100 GiB save 2,000,000: 50 MiB/s more cost as much, 49 leave 40,000.
    let look = |throughput: i64, region: &str| {
        let setting = format!("ec2.volume.gp2.target_throughput_mibps={throughput}");
        look_with(&[&setting], GP2, &at(region, &volume("gp2", 100)))
    };
    assert_eq!(saving(look(174, US)), Some(40_000));
    assert_clear(look(175, US));
    assert_clear(look(250, US));
    assert_eq!(saving(look(250, UNPRICED)), None);
    // A target of less than what gp3 includes saves no more.
    assert_eq!(saving(look(0, US)), Some(2_000_000));
}

#[test]
fn the_evidence_of_gp2_names_the_target() {
    let facts = VolumeFacts {
        iops: Some(300),
        ..volume("gp2", 100)
    };
    let evidence = finding(look(GP2, &at(US, &facts))).evidence;
    let expected = json!({
        "state": "available", "volume_type": "gp2", "size_gib": 100, "iops": 300,
        "target": {"volume_type": "gp3", "size_gib": 100, "iops": 3_000, "throughput_mibps": 125}
    });
    assert_eq!(serde_json::to_value(evidence).unwrap(), expected);
}

fn provisioned(volume_type: &str, size: i64, iops: i64) -> VolumeFacts {
    VolumeFacts {
        state: "in-use".into(),
        iops: Some(iops),
        ..volume(volume_type, size)
    }
}

#[test]
fn provisioned_iops_save_the_difference_to_gp3_of_the_same_iops() {
    for (facts, us) in [
        // 500 x 125,000 + 8,000 x 65,000 - (500 x 80,000 + 5,000 x 5,000 + 375 x 40,000)
        (provisioned("io1", 500, 8_000), 502_500_000),
        (provisioned("io2", 500, 8_000), 502_500_000),
        // 100 x 45,000 + 500 x 65,000; 125 MiB/s are included up to 503 IOPS
        (provisioned("io1", 100, 500), 37_000_000),
        (provisioned("io1", 100, 503), 37_195_000),
        (provisioned("io1", 100, 504), 37_220_000),
        // 500 x 45,000 + 2,000 x 65,000 - 375 x 40,000; no more than 500 MiB/s from here on
        (provisioned("io1", 500, 2_000), 137_500_000),
        (provisioned("io1", 500, 2_004), 137_760_000),
        // 500 x 45,000 + 16,000 x 65,000 - (13,000 x 5,000 + 375 x 40,000)
        (provisioned("io1", 500, 16_000), 982_500_000),
        (provisioned("io2", 16_384, 3_000), 917_280_000),
    ] {
        let seen = saving(look(PROVISIONED, &at(US, &facts)));
        assert_eq!(seen, Some(us), "{facts:?}");
    }
    // 500 x 50,000 + 8,000 x 72,000 - (5,000 x 5,500 + 375 x 44,000)
    let europe = at("eu-west-1", &provisioned("io1", 500, 8_000));
    assert_eq!(saving(look(PROVISIONED, &europe)), Some(557_000_000));
    let unpriced = at(UNPRICED, &provisioned("io1", 500, 8_000));
    assert_eq!(saving(look(PROVISIONED, &unpriced)), None);
}

#[test]
fn provisioned_iops_that_gp3_does_not_reach_are_no_finding() {
    assert_clear(look(PROVISIONED, &at(US, &provisioned("io1", 500, 16_001))));
    assert_clear(look(
        PROVISIONED,
        &at(US, &provisioned("io2", 16_385, 3_000)),
    ));
    assert_clear(look(PROVISIONED, &at(US, &provisioned("gp3", 500, 3_000))));
    let setting = ["ec2.volume.provisioned-iops.max_iops=8000"];
    let set = |iops| {
        look_with(
            &setting,
            PROVISIONED,
            &at(US, &provisioned("io1", 500, iops)),
        )
    };
    assert_clear(set(8_001));
    assert_eq!(finding(set(8_000)).evidence["max_iops"], 8_000);
}

#[test]
fn provisioned_iops_that_are_not_told_are_undetermined() {
    let reason = reason(look(PROVISIONED, &at(US, &volume("io1", 500))));
    assert_eq!(reason, "the volume does not say its IOPS");
}

#[test]
fn quantities_that_make_no_sense_are_undetermined() {
    let wrong = [
        volume("gp2", 0),
        volume("gp2", -8),
        provisioned("io1", 8, -1),
        VolumeFacts {
            throughput_mibps: Some(-1),
            ..volume("gp3", 8)
        },
    ];
    for facts in wrong {
        assert!(
            reason(unattached(&facts)).contains("makes no sense"),
            "{facts:?}"
        );
    }
    let huge = unattached(&volume("gp2", i64::MAX));
    assert!(reason(huge).contains("too large"));
}

/// A 100 GiB gp2 volume attached to instances, and what the account knows of those.
fn attached(instances: &[(&str, InstanceFacts)]) -> Vec<Resource> {
    let facts = VolumeFacts {
        state: "in-use".into(),
        instance_ids: instances.iter().map(|(id, _)| (*id).to_owned()).collect(),
        ..volume("gp2", 100)
    };
    let mut all = vec![resource("vol-1", US, &facts)];
    all.extend(instances.iter().map(|(id, facts)| resource(id, US, facts)));
    all
}

fn on_stopped(instances: &[(&str, InstanceFacts)]) -> Evaluation {
    look(ON_STOPPED, &attached(instances))
}

#[test]
fn a_volume_on_an_instance_stopped_for_thirty_days_saves_its_whole_price() {
    let seen = finding(on_stopped(&[("i-1", stopped(Some(ago(30, 0))))]));
    assert_eq!(seen.monthly_saving.amount().unwrap().micros, 10_000_000);
    assert_eq!(
        serde_json::to_value(seen.evidence).unwrap(),
        json!({
            "state": "in-use", "volume_type": "gp2", "size_gib": 100, "instance_ids": ["i-1"],
            "stopped_at": "2026-10-16T00:00:00Z", "min_stopped_days": 30
        })
    );
    assert_clear(on_stopped(&[("i-1", stopped(Some(ago(30, 1))))]));
    assert_clear(on_stopped(&[("i-1", stopped(Some(ago(-1, 0))))]));
    assert_clear(on_stopped(&[("i-1", instance("m5.large"))]));
    let setting = ["ec2.volume.on-stopped-instance.min_stopped_days=31"];
    let thirty = attached(&[("i-1", stopped(Some(ago(30, 0))))]);
    assert_clear(look_with(&setting, ON_STOPPED, &thirty));
}

#[test]
fn a_volume_of_several_instances_is_found_when_all_are_stopped_for_long() {
    let long = || stopped(Some(ago(60, 0)));
    let seen = finding(on_stopped(&[
        ("i-2", long()),
        ("i-1", stopped(Some(ago(40, 0)))),
    ]));
    assert_eq!(seen.evidence["instance_ids"], json!(["i-1", "i-2"]));
    assert_eq!(seen.evidence["stopped_at"], ago(40, 0).to_string());
    assert_clear(on_stopped(&[
        ("i-1", long()),
        ("i-2", instance("m5.large")),
    ]));
    assert_clear(on_stopped(&[
        ("i-1", long()),
        ("i-2", stopped(Some(ago(2, 0)))),
    ]));
    // One that may use it decides, whatever is not known of another.
    assert_clear(on_stopped(&[
        ("i-1", stopped(None)),
        ("i-2", instance("m5.large")),
    ]));
    assert!(reason(on_stopped(&[("i-1", long()), ("i-2", stopped(None))])).contains("i-2"));
}

#[test]
fn a_volume_on_an_instance_that_is_not_understood_is_undetermined() {
    let mut all = attached(&[("i-1", stopped(Some(ago(60, 0))))]);
    all[1].attributes = json!({"state": 1});
    assert!(reason(look(ON_STOPPED, &all)).contains("i-1"));
    // Neither was it seen at all, nor in the volume's own region.
    assert!(reason(look(ON_STOPPED, &all[..1])).contains("i-1"));
    all[1] = resource("i-1", UNPRICED, &stopped(Some(ago(60, 0))));
    assert!(reason(look(ON_STOPPED, &all)).contains("i-1"));
}

#[test]
fn a_volume_that_no_instance_has_is_not_on_a_stopped_one() {
    assert_clear(look(ON_STOPPED, &at(US, &volume("gp2", 100))));
    assert_clear(on_stopped(&[]));
}
