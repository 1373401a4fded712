//! Whatever the facts, no check panics, the same facts give the same verdict, what is found again
//! later is found as it was, and no known saving is above what the resource costs.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

const HOURS: i128 = 730;

/// What a volume costs in us-east-1, worked out apart from the checks. `None` where unknown.
fn volume_price(facts: &VolumeFacts) -> Option<i128> {
    let size = i128::from(facts.size_gib);
    let iops = facts.iops.map(i128::from);
    let throughput = facts.throughput_mibps.map_or(125, i128::from);
    Some(match facts.volume_type.as_str() {
        "gp2" => size * 100_000,
        "gp3" => {
            let over = (iops.unwrap_or(3_000) - 3_000).max(0);
            size * 80_000 + over * 5_000 + (throughput - 125).max(0) * 40_000
        }
        "io1" => size * 125_000 + iops? * 65_000,
        "io2" if iops? <= 32_000 => size * 125_000 + iops? * 65_000,
        "st1" => size * 45_000,
        "sc1" => size * 15_000,
        "standard" => size * 50_000,
        _ => return None,
    })
}

/// What a Linux instance costs in us-east-1, where its price is listed.
fn instance_price(facts: &InstanceFacts) -> Option<i128> {
    let hourly = match facts.instance_type.as_str() {
        "m4.large" | "c4.large" => 100_000,
        "m4.xlarge" => 200_000,
        "c4.xlarge" => 199_000,
        "r4.large" => 133_000,
        "r4.xlarge" => 266_000,
        "t2.micro" => 11_600,
        _ => return None,
    };
    Some(hourly * HOURS)
}

/// The most that any check may say is saved. `None` where no amount may be named at all.
fn most(resource: &Resource) -> Option<i128> {
    match resource.reference.kind.as_str() {
        "ec2.volume" => volume_price(&VolumeFacts::of(resource).ok()?),
        "ec2.instance" => match InstanceFacts::of(resource).ok()? {
            facts if facts.state == "stopped" => Some(0),
            facts => instance_price(&facts),
        },
        "ec2.address" => Some(5_000 * HOURS),
        "ec2.network-interface" => Some(0),
        _ => None,
    }
}

/// Mostly plausible numbers, now and then one at an edge.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 0_i64..70_000,
        2 => prop::sample::select(vec![0, 1, 100, 125, 500, 3_000, 16_000, 16_001, 16_384, 32_001]),
        1 => any::<i64>(),
    ]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        9 => (-200_i64..4_000, -1_i64..=1).prop_map(|(days, seconds)| ago(days, seconds)),
        1 => prop::sample::select(vec![Timestamp::MIN, Timestamp::MAX]),
    ]
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(words).prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

fn maybe<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.7, of)
}

const INSTANCES: &[&str] = &["i-1", "i-2", "i-3"];
const VOLUMES: &[&str] = &["vol-1", "vol-2", "vol-ffffffff"];
const SNAPSHOTS: &[&str] = &["snap-1", "snap-2"];
const IMAGES: &[&str] = &["ami-1", "ami-2"];

fn volumes() -> impl Strategy<Value = Resource> {
    let states = word(&["available", "in-use", "creating"]);
    let types = word(&["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"]);
    let instances = prop::collection::vec(word(INSTANCES), 0..3);
    (
        word(VOLUMES),
        (states, types, instances),
        (number(), maybe(number()), maybe(number()), moment()),
    )
        .prop_map(|(id, (state, volume_type, instance_ids), numbers)| {
            let (size_gib, iops, throughput_mibps, created_at) = numbers;
            let facts = VolumeFacts {
                state,
                volume_type,
                size_gib,
                iops,
                throughput_mibps,
                created_at,
                snapshot_id: None,
                instance_ids,
            };
            resource(&id, US, &facts)
        })
}

fn instances() -> impl Strategy<Value = Resource> {
    let types = word(&[
        "m4.large",
        "m4.xlarge",
        "c4.large",
        "c4.xlarge",
        "r4.large",
        "r4.xlarge",
        "t2.micro",
        "m5.large",
        "m4.10xlarge",
        "m3.medium",
    ]);
    (
        word(INSTANCES),
        word(&["running", "stopped", "terminated"]),
        types,
        (maybe(moment()), maybe(word(IMAGES))),
        (
            maybe(word(&["Linux/UNIX", "Windows"])),
            maybe(word(&["default", "dedicated"])),
            maybe(Just("spot".to_owned())),
        ),
    )
        .prop_map(|(id, state, instance_type, (stopped_at, image_id), kind)| {
            let (platform_details, tenancy, lifecycle) = kind;
            let facts = InstanceFacts {
                state,
                stopped_at,
                instance_type,
                image_id,
                platform_details,
                tenancy,
                lifecycle,
                launched_at: None,
                volume_ids: Vec::new(),
            };
            resource(&id, US, &facts)
        })
}

fn snapshots() -> impl Strategy<Value = Resource> {
    let tier = maybe(word(&["standard", "archive"]));
    (
        word(SNAPSHOTS),
        word(&["completed", "pending"]),
        (maybe(word(VOLUMES)), any::<bool>()),
        (number(), tier, moment()),
    )
        .prop_map(
            |(id, state, (volume_id, copied), (volume_size_gib, storage_tier, started_at))| {
                let facts = SnapshotFacts {
                    state,
                    volume_id,
                    copied,
                    volume_size_gib,
                    full_size_bytes: None,
                    storage_tier,
                    started_at,
                };
                resource(&id, US, &facts)
            },
        )
}

fn images() -> impl Strategy<Value = Resource> {
    let parts = prop::collection::vec((word(SNAPSHOTS), maybe(number())), 0..4);
    (
        word(IMAGES),
        word(&["available", "pending"]),
        any::<bool>(),
        maybe(moment()),
        parts,
    )
        .prop_map(|(id, state, public, created_at, parts)| {
            let snapshots = parts
                .into_iter()
                .map(|(snapshot_id, size_gib)| ImageSnapshot {
                    snapshot_id,
                    size_gib,
                });
            let facts = ImageFacts {
                state,
                public,
                created_at,
                last_launched_at: None,
                snapshots: snapshots.collect(),
            };
            resource(&id, US, &facts)
        })
}

fn network() -> impl Strategy<Value = Resource> {
    let id = || maybe(word(&["", "x-1"]));
    let address = (id(), id(), id()).prop_map(|(association_id, instance_id, interface_id)| {
        let facts = AddressFacts {
            public_ip: None,
            association_id,
            instance_id,
            network_interface_id: interface_id,
        };
        resource("eipalloc-1", US, &facts)
    });
    let interface =
        (word(&["available", "in-use"]), any::<bool>()).prop_map(|(status, requester_managed)| {
            let facts = NetworkInterfaceFacts {
                status,
                requester_managed,
                interface_type: None,
            };
            resource("eni-1", US, &facts)
        });
    prop_oneof![address, interface]
}

/// A resource, now and then with an attribute lost or of another type.
fn resources() -> impl Strategy<Value = Resource> {
    let sound = prop_oneof![
        4 => volumes(),
        3 => instances(),
        3 => snapshots(),
        2 => images(),
        1 => network(),
    ];
    (
        sound,
        prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<bool>())),
    )
        .prop_map(|(mut resource, damage)| {
            if let (Some((at, lose)), Value::Object(facts)) = (damage, &mut resource.attributes) {
                spoil(facts, at, lose);
            }
            resource
        })
}

fn spoil(facts: &mut Map<String, Value>, at: prop::sample::Index, lose: bool) {
    let name = facts.keys().nth(at.index(facts.len())).cloned().unwrap();
    if lose {
        facts.remove(&name);
    } else {
        facts.insert(name, json!({"unforeseen": true}));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_saving_is_above_the_price_whatever_the_facts(
        account in prop::collection::vec(resources(), 1..12),
    ) {
        let engine = engine(&[]);
        let evaluations = scan(&engine, &account);
        prop_assert_eq!(&evaluations, &scan(&engine, &account));
        for finding in found(evaluations) {
            let Some(amount) = finding.monthly_saving.amount() else { continue };
            // Ids are drawn from few: one may stand for several resources.
            let same = |one: &&Resource| one.reference == finding.resource;
            let most = account.iter().filter(same).filter_map(most).max();
            let Some(most) = most else {
                return Err(TestCaseError::fail(format!("an amount out of nothing: {finding:?}")));
            };
            prop_assert!(amount.micros >= 0, "{finding:?}");
            prop_assert!(i128::from(amount.micros) <= most, "{finding:?} above {most}");
        }
    }

    /// A finding that counted days would be another one every day, for whoever works on it.
    #[test]
    fn what_is_found_again_later_is_found_as_it_was(
        account in prop::collection::vec(resources(), 1..12),
        hours in 1_i64..2_000,
    ) {
        let engine = engine(&[]);
        let later = now() + SignedDuration::from_hours(hours);
        let both = scan(&engine, &account).into_iter().zip(scan_at(&engine, &account, later));
        for (before, after) in both {
            if let (Evaluation::Found(before), Evaluation::Found(after)) = (before, after) {
                prop_assert_eq!(before, after);
            }
        }
    }
}
