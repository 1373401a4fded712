use serde_json::json;

use super::*;

const STOPPED: &str = "ec2.instance.stopped";
const PREVIOUS: &str = "ec2.instance.previous-generation";

fn at(region: &str, facts: &InstanceFacts) -> [Resource; 1] {
    [resource("i-1", region, facts)]
}

#[test]
fn an_instance_stopped_for_thirty_days_is_found_and_saves_nothing() {
    let seen = finding(look(STOPPED, &at(US, &stopped(Some(ago(30, 0))))));
    let Saving::Known { amount, origin } = &seen.monthly_saving else {
        panic!("that a stopped instance is free is known");
    };
    assert_eq!(amount.micros, 0);
    assert_eq!(
        origin.source,
        "https://aws.amazon.com/ec2/pricing/on-demand/"
    );
    assert_eq!(seen.conflict_group.as_deref(), Some("instance/i-1"));
    assert_eq!(
        serde_json::to_value(&seen.evidence).unwrap(),
        json!({
            "state": "stopped", "instance_type": "m5.large", "volume_ids": [],
            "stopped_at": "2026-10-16T00:00:00Z", "min_stopped_days": 30
        })
    );
    let elsewhere = at(UNPRICED, &stopped(Some(ago(30, 0))));
    assert_eq!(saving(look(STOPPED, &elsewhere)), Some(0));
}

#[test]
fn an_instance_that_runs_or_stopped_lately_is_no_finding() {
    assert_clear(look(STOPPED, &at(US, &stopped(Some(ago(30, 1))))));
    assert_clear(look(STOPPED, &at(US, &stopped(Some(ago(-1, 0))))));
    for state in ["running", "stopping", "terminated"] {
        let facts = InstanceFacts {
            state: state.into(),
            ..stopped(Some(ago(60, 0)))
        };
        assert_clear(look(STOPPED, &at(US, &facts)));
    }
    let sooner = ["ec2.instance.stopped.min_stopped_days=10"];
    let ten = at(US, &stopped(Some(ago(10, 0))));
    assert_eq!(saving(look_with(&sooner, STOPPED, &ten)), Some(0));
}

#[test]
fn an_instance_that_does_not_say_when_it_stopped_is_undetermined() {
    let reason = reason(look(STOPPED, &at(US, &stopped(None))));
    assert_eq!(
        reason,
        "EC2 does not say since when the instance is stopped"
    );
}

#[test]
fn a_previous_generation_saves_the_hourly_difference_730_times() {
    for (region, instance_type, micros) in [
        (US, "m4.large", 2_920_000),
        (US, "m4.xlarge", 5_840_000),
        (US, "c4.large", 10_950_000),
        (US, "c4.xlarge", 21_170_000),
        (US, "r4.large", 5_110_000),
        (US, "t2.micro", 876_000),
        ("eu-west-1", "m4.large", 2_920_000),
        ("eu-west-1", "c4.large", 12_410_000),
        ("eu-west-1", "t2.micro", 876_000),
    ] {
        let seen = look(PREVIOUS, &at(region, &instance(instance_type)));
        assert_eq!(saving(seen), Some(micros), "{instance_type} in {region}");
    }
    let evidence = finding(look(PREVIOUS, &at(US, &instance("m4.large")))).evidence;
    assert_eq!(
        serde_json::to_value(evidence).unwrap(),
        json!({
            "state": "running", "instance_type": "m4.large", "successor": "m5.large",
            "platform_details": "Linux/UNIX", "tenancy": "default"
        })
    );
}

#[test]
fn a_previous_generation_without_a_list_price_is_found_without_amount() {
    let m4 = || instance("m4.large");
    let unpriced = [
        instance("m4.2xlarge"),
        instance("i2.xlarge"),
        InstanceFacts {
            platform_details: Some("Windows".into()),
            ..m4()
        },
        InstanceFacts {
            platform_details: None,
            ..m4()
        },
        InstanceFacts {
            tenancy: Some("dedicated".into()),
            ..m4()
        },
        InstanceFacts {
            tenancy: None,
            ..m4()
        },
        InstanceFacts {
            lifecycle: Some("spot".into()),
            ..m4()
        },
    ];
    for facts in unpriced {
        assert_eq!(saving(look(PREVIOUS, &at(US, &facts))), None, "{facts:?}");
    }
    assert_eq!(saving(look(PREVIOUS, &at(UNPRICED, &m4()))), None);
}

#[test]
fn what_has_no_successor_of_its_size_or_does_not_run_is_no_finding() {
    for instance_type in [
        "m5.large",
        "t3.micro",
        "m3.medium",
        "m1.small",
        "c4.8xlarge",
        "x",
    ] {
        assert_clear(look(PREVIOUS, &at(US, &instance(instance_type))));
    }
    let facts = InstanceFacts {
        instance_type: "m4.large".into(),
        ..stopped(Some(ago(1, 0)))
    };
    assert_clear(look(PREVIOUS, &at(US, &facts)));
}

#[test]
fn a_successor_that_does_not_cost_less_is_no_finding() {
    let m5 = |micros: i64| {
        format!(
            r#"{{"format": 1, "currency": "USD", "prices": [{{
            "sku": "ec2.instance.linux.m5.large", "unit": "hour", "regions": ["us-east-1"],
            "price_micros": {micros}, "source": "https://example.com/", "as_of": "2026-11-02"
        }}]}}"#
        )
    };
    let findings = |micros: i64| {
        let overrides = PriceTable::parse(&m5(micros)).unwrap();
        let prices = PriceTable::builtin().unwrap().with_overrides(overrides);
        let engine = Engine::new(crate::check::all(), std::sync::Arc::new(prices)).unwrap();
        found(scan(&engine, &at(US, &instance("m4.large")))).len()
    };
    assert_eq!(findings(99_999), 1);
    assert_eq!(findings(100_000), 0);
    assert_eq!(findings(100_001), 0);
}
