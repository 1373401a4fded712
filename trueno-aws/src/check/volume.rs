//! Volumes whose type is dearer than it need be.

use serde_json::json;
use trueno_core::check::{Check, CheckInfo, Look, Parameter, Relations, Verdict};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Resource, Severity};

use super::evidence::Evidence;
use super::verdict;
use super::volume_price::{Configuration, GP3_INCLUDED_IOPS, GP3_INCLUDED_MIBPS, volume_facts};
use crate::facts::{VOLUME, VolumeFacts};

const GENERAL_PURPOSE: &str =
    "https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html";
/// The most IOPS that a gp3 volume is planned with here. Newer volumes reach more, at first not in
/// every region.
const GP3_MAX_IOPS: i64 = 16_000;
/// The largest gp3 volume that is planned with here, in GiB.
const GP3_MAX_GIB: i64 = 16_384;
/// The most throughput that is planned for in exchange for provisioned IOPS, in MiB/s.
const IO1_MAX_MIBPS: i64 = 500;

/// gp2 volumes that cost less as gp3 of the same baseline IOPS.
#[derive(Debug)]
pub(super) struct Gp2;

static GP2: CheckInfo = CheckInfo {
    id: "ec2.volume.gp2",
    version: 1,
    title: "The volume is of type gp2 and would cost less as gp3",
    source: GENERAL_PURPOSE,
    severity: Severity::Low,
    subject: VOLUME,
    related: &[],
    // 3,000 IOPS, the least of a gp3 volume, carry 750 MiB/s: up to there any target can be made.
    parameters: &[Parameter {
        name: "target_throughput_mibps",
        default: GP3_INCLUDED_MIBPS,
        min: 0,
        max: 750,
    }],
};

impl Check for Gp2 {
    fn info(&self) -> &CheckInfo {
        &GP2
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(volume_facts(resource).and_then(|facts| {
            if facts.volume_type != "gp2" {
                return Ok(Verdict::NotApplicable);
            }
            // The baseline of gp2: 3 IOPS per GiB.
            let iops = facts.size_gib.saturating_mul(3).clamp(100, GP3_MAX_IOPS);
            let throughput = look
                .parameters
                .get("target_throughput_mibps")
                .max(GP3_INCLUDED_MIBPS);
            let target = Configuration::gp3(facts.size_gib, iops, throughput);
            cheaper(resource, look, &facts, &target, Evidence::new())
        }))
    }
}

/// io1 and io2 volumes whose IOPS gp3 reaches for less.
#[derive(Debug)]
pub(super) struct ProvisionedIops;

static PROVISIONED_IOPS: CheckInfo = CheckInfo {
    id: "ec2.volume.provisioned-iops",
    version: 1,
    title: "The volume is of type io1 or io2 with IOPS that a gp3 volume reaches for less",
    source: GENERAL_PURPOSE,
    severity: Severity::Medium,
    subject: VOLUME,
    related: &[],
    parameters: &[Parameter {
        name: "max_iops",
        default: GP3_MAX_IOPS,
        min: 100,
        max: GP3_MAX_IOPS,
    }],
};

impl Check for ProvisionedIops {
    fn info(&self) -> &CheckInfo {
        &PROVISIONED_IOPS
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(volume_facts(resource).and_then(|facts| {
            if !matches!(facts.volume_type.as_str(), "io1" | "io2") {
                return Ok(Verdict::NotApplicable);
            }
            let iops = facts.iops.ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "the volume does not say its IOPS")
            })?;
            let max_iops = look.parameters.get("max_iops");
            if iops > max_iops || facts.size_gib > GP3_MAX_GIB {
                return Ok(Verdict::Pass);
            }
            let throughput = (iops / 4).clamp(GP3_INCLUDED_MIBPS, IO1_MAX_MIBPS);
            let target = Configuration::gp3(facts.size_gib, iops, throughput);
            let evidence = Evidence::new().with("max_iops", max_iops);
            cheaper(resource, look, &facts, &target, evidence)
        }))
    }
}

/// A finding where `target` costs less than the volume, or where that cannot be told for want of a
/// price.
fn cheaper(
    resource: &Resource,
    look: &Look<'_>,
    facts: &VolumeFacts,
    target: &Configuration<'_>,
    evidence: Evidence,
) -> Result<Verdict> {
    let region = &resource.reference.region;
    let now = Configuration::of(facts).monthly(look, region)?;
    let saving = now.minus(target.monthly(look, region)?)?;
    if saving.saves_nothing() {
        return Ok(Verdict::Pass);
    }
    let target = json!({
        "volume_type": target.volume_type,
        "size_gib": target.size_gib,
        // What a gp3 volume of fewer would be given.
        "iops": target.iops.map(|iops| iops.max(GP3_INCLUDED_IOPS)),
        "throughput_mibps": target.throughput_mibps,
    });
    Ok(evidence
        .with("state", facts.state.as_str())
        .with("volume_type", facts.volume_type.as_str())
        .with("size_gib", facts.size_gib)
        .with_some("iops", facts.iops)
        .with("target", target)
        .finding(resource, saving.into_saving()))
}
