//! Ids, versions and parameters are part of the interface: they are in keys of findings, in
//! `--set` and in dashboards. Raise a version whenever the same facts would give another verdict.

use super::engine;

const GOLDEN: &str = "\
ec2.address.unassociated v1 medium ec2.address [] []
ec2.image.unused v1 low ec2.image [ec2.instance] [min_age_days=90 (0..=3650)]
ec2.instance.previous-generation v1 low ec2.instance [] []
ec2.instance.stopped v1 low ec2.instance [] [min_stopped_days=30 (0..=3650)]
ec2.network-interface.detached v1 informational ec2.network-interface [] []
ec2.snapshot.old v1 low ec2.snapshot [ec2.image] [min_age_days=90 (0..=3650)]
ec2.snapshot.orphaned v1 low ec2.snapshot [ec2.volume, ec2.image] [min_age_days=30 (0..=3650)]
ec2.volume.gp2 v1 low ec2.volume [] [target_throughput_mibps=125 (0..=750)]
ec2.volume.on-stopped-instance v1 medium ec2.volume [ec2.instance] [min_stopped_days=30 (0..=3650)]
ec2.volume.provisioned-iops v1 medium ec2.volume [] [max_iops=16000 (100..=16000)]
ec2.volume.unattached v1 medium ec2.volume [] [min_age_days=7 (0..=3650)]";

#[test]
fn ids_versions_and_parameters_are_these() {
    let engine = engine(&[]);
    let mut lines: Vec<String> = engine
        .checks()
        .map(|check| {
            let info = check.info();
            let related: Vec<&str> = info.related.iter().map(|kind| kind.as_str()).collect();
            let parameters: Vec<String> = info
                .parameters
                .iter()
                .map(|p| format!("{}={} ({}..={})", p.name, p.default, p.min, p.max))
                .collect();
            format!(
                "{} v{} {} {} [{}] [{}]",
                info.id,
                info.version,
                info.severity,
                info.subject,
                related.join(", "),
                parameters.join(", ")
            )
        })
        .collect();
    lines.sort_unstable();
    assert_eq!(lines.join("\n"), GOLDEN);
}

#[test]
fn every_check_says_what_it_finds_and_where_its_threshold_is_published() {
    for check in engine(&[]).checks() {
        let info = check.info();
        assert!(info.source.starts_with("https://"), "{}", info.id);
        assert!(info.title.starts_with("The "), "{}", info.id);
        for parameter in info.parameters {
            let bounds = parameter.min..=parameter.max;
            assert!(bounds.contains(&parameter.default), "{}", info.id);
        }
    }
}
