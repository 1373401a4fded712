use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::model::{
    AccountNumber, Coverage, CoverageStatus, FindingDraft, Region, ResourceRef, TaskKey,
};
use crate::money::{Currency, Money, PriceSource, Quote};

const DISK: ResourceKind = ResourceKind::known("toy.disk");
const HOST: ResourceKind = ResourceKind::known("toy.host");

/// Finds disks of at least `min_size` that no host has noted.
#[derive(Debug)]
struct Loose;

static LOOSE: CheckInfo = CheckInfo {
    id: "toy.disk.loose",
    version: 3,
    title: "The disk is loose",
    source: "test",
    severity: Severity::Medium,
    subject: DISK,
    related: &[HOST],
    parameters: &[Parameter {
        name: "min_size",
        default: 10,
        min: 1,
        max: 100,
    }],
};

impl Check for Loose {
    fn info(&self) -> &CheckInfo {
        &LOOSE
    }

    fn relate(&self, host: &Resource, relations: &mut Relations) {
        assert_eq!(host.reference.kind, HOST, "only related kinds are shown");
        let disk = host.attributes["disk"].as_str().unwrap();
        relations.note("disk.of-host", &host.reference.region, disk, "");
    }

    fn evaluate(&self, disk: &Resource, look: &Look<'_>) -> Verdict {
        let (region, id) = (&disk.reference.region, &disk.reference.native_id);
        let Some(size) = disk.attributes["size"].as_i64() else {
            return Verdict::Undetermined("the disk has no size".into());
        };
        if size < look.parameters.get("min_size")
            || look.relations.contains("disk.of-host", region, id)
        {
            return Verdict::Pass;
        }
        let mut evidence = Map::new();
        evidence.insert("size".into(), size.into());
        Verdict::Finding {
            evidence,
            monthly_saving: Saving::Unknown,
            conflict_group: Some(format!("disk/{id}")),
        }
    }
}

/// Has nothing to say of any host.
#[derive(Debug)]
struct Silent;

static SILENT: CheckInfo = CheckInfo {
    id: "toy.host.silent",
    version: 1,
    title: "The host is silent",
    source: "test",
    severity: Severity::Low,
    subject: HOST,
    related: &[],
    parameters: &[],
};

impl Check for Silent {
    fn info(&self) -> &CheckInfo {
        &SILENT
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {
        unreachable!("it has no related kind");
    }

    fn evaluate(&self, _: &Resource, _: &Look<'_>) -> Verdict {
        Verdict::NotApplicable
    }
}

#[derive(Debug)]
struct NoPrices;

impl PriceBook for NoPrices {
    fn quote(&self, _: &str, _: &Region) -> Quote {
        Quote::Unknown
    }
}

fn engine() -> Engine {
    Engine::new(vec![Arc::new(Loose), Arc::new(Silent)], Arc::new(NoPrices)).unwrap()
}

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn account(number: &str) -> AccountNumber {
    number.parse().unwrap()
}

fn resource(kind: ResourceKind, id: &str, at: &str, attributes: Value) -> Resource {
    Resource {
        reference: ResourceRef {
            kind,
            region: region(at),
            native_id: id.into(),
        },
        name: Some(format!("name of {id}")),
        tags: BTreeMap::from([("team".into(), "red".into())]),
        attributes,
    }
}

fn disk(id: &str, at: &str) -> Resource {
    resource(DISK, id, at, json!({"size": 10}))
}

fn coverage(status: &[(ResourceKind, &str, CoverageStatus)]) -> CoverageMap {
    let coverage: Vec<Coverage> = status
        .iter()
        .map(|(kind, at, status)| {
            let mut coverage = Coverage::begin(TaskKey {
                service: "toy".into(),
                region: region(at),
                kind: kind.clone(),
            });
            coverage.status = *status;
            coverage
        })
        .collect();
    CoverageMap::new(&coverage)
}

fn complete(at: &str) -> CoverageMap {
    coverage(&[
        (DISK, at, CoverageStatus::Complete),
        (HOST, at, CoverageStatus::Complete),
    ])
}

fn look(engine: &Engine, of: &Resource, relations: &Relations, seen: &CoverageMap) -> Evaluation {
    let account = account("123456789012");
    let mut all = engine.evaluate(&account, of, relations, seen, Timestamp::UNIX_EPOCH);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn found(engine: &Engine, of: &Resource) -> FindingDraft {
    let seen = complete(of.reference.region.as_str());
    match look(engine, of, &Relations::default(), &seen) {
        Evaluation::Found(finding) => *finding,
        other => panic!("a finding was expected, not {other:?}"),
    }
}

#[test]
fn a_finding_carries_what_its_check_and_resource_say() {
    let engine = engine();
    let finding = found(&engine, &disk("d-1", "one"));
    assert_eq!(finding.key, "toy.disk.loose/123456789012/one/d-1");
    assert_eq!(
        (finding.check.as_str(), finding.check_version),
        ("toy.disk.loose", 3)
    );
    assert_eq!(finding.severity, Severity::Medium);
    assert_eq!(finding.resource, disk("d-1", "one").reference);
    assert_eq!(finding.name.as_deref(), Some("name of d-1"));
    assert_eq!(finding.tags["team"], "red");
    assert_eq!(finding.evidence["size"], 10);
    assert_eq!(finding.conflict_group.as_deref(), Some("disk/d-1"));
    assert_eq!(
        finding.parameters_hash,
        Parameters::defaults(LOOSE.parameters).hash()
    );
}

#[test]
fn what_was_noted_of_a_host_counts_in_its_region_only() {
    let engine = engine();
    let mut relations = Relations::default();
    engine.relate(
        &resource(HOST, "h-1", "one", json!({"disk": "d-1"})),
        &mut relations,
    );
    // A kind that no check relates to is shown to none.
    engine.relate(&disk("d-1", "two"), &mut relations);
    let seen = |at| look(&engine, &disk("d-1", at), &relations, &complete(at));
    let key = "toy.disk.loose/123456789012/one/d-1".to_owned();
    assert_eq!(seen("one"), Evaluation::Clear { key });
    assert!(matches!(seen("two"), Evaluation::Found(_)));
}

#[test]
fn a_related_kind_that_was_not_completely_read_is_undetermined() {
    for status in CoverageStatus::ALL {
        let seen = coverage(&[
            (DISK, "one", CoverageStatus::Complete),
            (HOST, "one", *status),
        ]);
        // The same for what would be found, what would pass and what cannot be told.
        for attributes in [json!({"size": 10}), json!({"size": 1}), json!({})] {
            let disk = resource(DISK, "d-1", "one", attributes);
            let seen = look(&engine(), &disk, &Relations::default(), &seen);
            let Evaluation::Undetermined { key, reason } = seen else {
                assert!(status.is_complete(), "{status}: {seen:?}");
                continue;
            };
            assert_eq!(key, "toy.disk.loose/123456789012/one/d-1");
            if !status.is_complete() {
                assert_eq!(reason, "toy.host in one was not completely read");
            }
        }
    }
}

#[test]
fn a_kind_that_was_read_elsewhere_or_never_planned_was_not_seen() {
    let elsewhere = coverage(&[
        (DISK, "one", CoverageStatus::Complete),
        (HOST, "two", CoverageStatus::Complete),
    ]);
    let seen = look(
        &engine(),
        &disk("d-1", "one"),
        &Relations::default(),
        &elsewhere,
    );
    assert!(matches!(seen, Evaluation::Undetermined { .. }), "{seen:?}");
    assert!(elsewhere.is_complete(&HOST, &region("two")));
    assert!(!elsewhere.is_complete(&HOST, &region("one")));
    assert!(!CoverageMap::default().is_complete(&DISK, &region("one")));
}

#[test]
fn what_was_seen_counts_though_others_of_its_kind_were_not() {
    let partial = coverage(&[
        (DISK, "one", CoverageStatus::Throttled),
        (HOST, "one", CoverageStatus::Complete),
    ]);
    let seen = look(
        &engine(),
        &disk("d-1", "one"),
        &Relations::default(),
        &partial,
    );
    assert!(matches!(seen, Evaluation::Found(_)), "{seen:?}");
}

#[test]
fn what_a_check_cannot_tell_stays_undetermined_and_what_does_not_apply_is_clear() {
    let engine = engine();
    let nothing = Relations::default();
    let sizeless = resource(DISK, "d-1", "one", json!({}));
    let Evaluation::Undetermined { reason, .. } =
        look(&engine, &sizeless, &nothing, &complete("one"))
    else {
        panic!("undetermined was expected");
    };
    assert_eq!(reason, "the disk has no size");
    let host = resource(HOST, "h-1", "one", json!({}));
    let seen = look(&engine, &host, &nothing, &complete("one"));
    let key = "toy.host.silent/123456789012/one/h-1".to_owned();
    assert_eq!(seen, Evaluation::Clear { key });
}

#[test]
fn two_checks_of_one_id_are_refused() {
    let checks: Vec<Arc<dyn Check>> = vec![Arc::new(Loose), Arc::new(Silent), Arc::new(Loose)];
    let error = Engine::new(checks, Arc::new(NoPrices)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.to_string(), "two checks have the id toy.disk.loose");
}

#[test]
fn an_override_changes_verdict_and_hash() {
    let mut engine = engine();
    let before = found(&engine, &disk("d-1", "one"));
    engine.set("toy.disk.loose.min_size=11").unwrap();
    let nothing = Relations::default();
    let seen = look(&engine, &disk("d-1", "one"), &nothing, &complete("one"));
    assert!(matches!(seen, Evaluation::Clear { .. }), "{seen:?}");
    let larger = resource(DISK, "d-1", "one", json!({"size": 11}));
    assert_ne!(
        found(&engine, &larger).parameters_hash,
        before.parameters_hash
    );
    engine.set("toy.disk.loose.min_size=10").unwrap();
    assert_eq!(found(&engine, &disk("d-1", "one")), before);
}

#[test]
fn an_override_that_means_nothing_is_refused_with_what_is_allowed() {
    let mut engine = engine();
    for (assignment, message) in [
        (
            "toy.disk.loose.min_size",
            "parameter override: \"toy.disk.loose.min_size\" has not the form CHECK.PARAMETER=VALUE",
        ),
        (
            "min_size=3",
            "parameter override: \"min_size=3\" has not the form CHECK.PARAMETER=VALUE",
        ),
        (
            "toy.disk.lose.min_size=3",
            "parameter override: no check \"toy.disk.lose\"; there are toy.disk.loose, \
             toy.host.silent",
        ),
        (
            "toy.disk.loose.max_size=3",
            "toy.disk.loose.max_size: no such parameter; this check has min_size",
        ),
        (
            "toy.host.silent.min_size=3",
            "toy.host.silent.min_size: no such parameter; this check has none",
        ),
    ] {
        let error = engine.set(assignment).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), message);
    }
    for value in [
        "0",
        "101",
        "-3",
        "ten",
        "",
        "1.5",
        " 3",
        "9223372036854775808",
    ] {
        let error = engine
            .set(&format!("toy.disk.loose.min_size={value}"))
            .unwrap_err();
        let message = "toy.disk.loose.min_size: needs a whole number from 1 to 100";
        assert_eq!(error.to_string(), message, "{value:?}");
    }
    // What was refused changed nothing.
    found(&engine, &disk("d-1", "one"));
}

#[test]
fn a_finding_is_resolved_by_a_complete_look_that_does_not_find_it() {
    let engine = engine();
    let standing = found(&engine, &disk("d-1", "one"));
    let unseen = |_: &mut Reconciliation| ();
    assert!(resolves(&standing, &engine, &complete("one"), unseen));
    assert!(!resolves(&standing, &engine, &complete("two"), unseen));
    for (disks, hosts) in [
        (CoverageStatus::Denied, CoverageStatus::Complete),
        (CoverageStatus::Complete, CoverageStatus::Throttled),
        (CoverageStatus::Reading, CoverageStatus::Complete),
    ] {
        let partial = coverage(&[(DISK, "one", disks), (HOST, "one", hosts)]);
        assert!(
            !resolves(&standing, &engine, &partial, unseen),
            "{disks} {hosts}"
        );
    }
    // A region that is not enabled holds nothing: that is a complete look.
    let gone = coverage(&[
        (DISK, "one", CoverageStatus::NotEnabled),
        (HOST, "one", CoverageStatus::NotEnabled),
    ]);
    assert!(resolves(&standing, &engine, &gone, unseen));
}

/// Whether a look that came to `outcome` resolves a finding that stood.
fn resolves(
    standing: &FindingDraft,
    engine: &Engine,
    coverage: &CoverageMap,
    outcome: impl Fn(&mut Reconciliation),
) -> bool {
    let mut look = Reconciliation::default();
    look.stands(standing, engine, coverage);
    outcome(&mut look);
    look.resolved() == [standing.key.clone()]
}

#[test]
fn a_finding_that_was_found_or_could_not_be_told_stays() {
    let engine = engine();
    let standing = found(&engine, &disk("d-1", "one"));
    let all = complete("one");
    let key = &standing.key;
    assert!(!resolves(&standing, &engine, &all, |look| look.found(key)));
    assert!(!resolves(&standing, &engine, &all, |look| look.undetermined(key)));
    let another = "toy.disk.loose/123456789012/one/d-2";
    assert!(resolves(&standing, &engine, &all, |look| look.found(another)));
}

#[test]
fn a_check_that_no_longer_exists_resolves_nothing() {
    let standing = found(&engine(), &disk("d-1", "one"));
    let without = Engine::new(vec![Arc::new(Silent)], Arc::new(NoPrices)).unwrap();
    assert!(!resolves(&standing, &without, &complete("one"), |_| ()));
}

/// A finding of `micros`, `None` for unknown, in a group, `""` for none.
fn priced(number: &str, at: &str, group: &str, micros: Option<i64>) -> FindingDraft {
    let mut draft = found(&engine(), &disk("d-1", at));
    draft.key = format!("toy.disk.loose/{}/{at}/d-1", account(number));
    draft.conflict_group = (!group.is_empty()).then(|| group.to_owned());
    draft.monthly_saving = match micros {
        None => Saving::Unknown,
        Some(micros) => Saving::Known {
            amount: Money::usd_micros(micros),
            origin: PriceSource {
                source: "test".into(),
                as_of: jiff::civil::date(2026, 11, 1),
            },
        },
    };
    draft
}

const ONE: &str = "111111111111";
const TWO: &str = "222222222222";

#[test]
fn of_each_group_the_largest_known_saving_counts() {
    let findings = [
        priced(ONE, "one", "disk/d-1", Some(30)),
        priced(ONE, "one", "disk/d-1", Some(700)),
        priced(ONE, "one", "disk/d-1", Some(500)),
        priced(ONE, "one", "disk/d-1", None),
        // The same name in another region or account is another resource.
        priced(ONE, "two", "disk/d-1", Some(40)),
        priced(TWO, "one", "disk/d-1", Some(2)),
        priced(ONE, "one", "disk/d-2", None),
        // Without a group each counts.
        priced(ONE, "one", "", Some(10_000)),
        priced(ONE, "one", "", Some(10_000)),
        priced(ONE, "one", "", None),
    ];
    let expected = Totals {
        findings: 10,
        monthly_saving_micros: 20_742,
        currency: Currency::Usd,
        unknown_prices: 3,
    };
    assert_eq!(totals(&findings).unwrap(), expected);
    // In whatever order.
    assert_eq!(totals(findings.iter().rev()).unwrap(), expected);
}

#[test]
fn nothing_adds_up_to_nothing_and_too_much_is_refused() {
    let none = totals([]).unwrap();
    assert_eq!(
        (
            none.findings,
            none.monthly_saving_micros,
            none.unknown_prices
        ),
        (0, 0, 0)
    );
    let most = [
        priced(ONE, "one", "", Some(i64::MAX)),
        priced(ONE, "one", "disk/d-1", Some(1)),
    ];
    assert_eq!(totals(&most).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(totals(&most[..1]).unwrap().monthly_saving_micros, i64::MAX);
}
