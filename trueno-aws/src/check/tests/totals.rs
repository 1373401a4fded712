use trueno_core::check::totals;
use trueno_core::money::Currency;

use super::*;

#[test]
fn what_is_found_twice_of_a_volume_is_saved_once() {
    let findings = found(scan(
        &engine(&[]),
        &[resource("vol-1", US, &volume("gp2", 100))],
    ));
    let mut checks: Vec<&str> = findings.iter().map(|one| one.check.as_str()).collect();
    checks.sort_unstable();
    assert_eq!(checks, ["ec2.volume.gp2", "ec2.volume.unattached"]);
    let totals = totals(&findings).unwrap();
    assert_eq!(totals.monthly_saving_micros, 10_000_000);
    assert_eq!((totals.findings, totals.unknown_prices), (2, 0));
}

#[test]
fn an_account_adds_up_to_the_best_of_each_resource() {
    let on_stopped = VolumeFacts {
        state: "in-use".into(),
        instance_ids: vec!["i-1".into()],
        ..volume("gp2", 50)
    };
    let account = [
        // 10,000,000, of which 2,000,000 as gp3.
        resource("vol-1", US, &volume("gp2", 100)),
        // The same id in another region is another volume: 11,000,000.
        resource("vol-1", "eu-west-1", &volume("gp2", 100)),
        // Two findings of unknown amount.
        resource("vol-1", UNPRICED, &volume("gp2", 100)),
        // 5,000,000, of which 1,000,000 as gp3.
        resource("vol-2", US, &on_stopped),
        // 0 by itself.
        resource("i-1", US, &stopped(Some(ago(40, 0)))),
        // 2,920,000.
        resource("i-2", US, &instance("m4.large")),
        // Old and orphaned, of unknown amount both.
        resource("snap-1", US, &snapshot("vol-9", ago(100, 0))),
    ];
    let findings = found(scan(&engine(&[]), &account));
    let totals = totals(&findings).unwrap();
    assert_eq!(totals.findings, 12);
    assert_eq!(totals.unknown_prices, 4);
    assert_eq!(totals.monthly_saving_micros, 28_920_000);
    assert_eq!(totals.currency, Currency::Usd);
}
