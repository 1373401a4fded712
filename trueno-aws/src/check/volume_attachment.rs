//! Volumes that nothing uses.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::error::Result;
use trueno_core::model::{Resource, Severity};

use super::evidence::Evidence;
use super::relation::{self, Stop};
use super::volume_price::{Configuration, volume_facts};
use super::{age, verdict};
use crate::facts::{INSTANCE, VOLUME, VolumeFacts};

const MIN_AGE: &str = "min_age_days";
const MIN_STOPPED: &str = "min_stopped_days";

/// Volumes that have been there for a while and are attached to nothing.
///
/// EC2 does not say since when a volume is unattached, so its age stands in for that.
#[derive(Debug)]
pub(super) struct Unattached;

static UNATTACHED: CheckInfo = CheckInfo {
    id: "ec2.volume.unattached",
    version: 1,
    title: "The volume is attached to no instance",
    // Trusted Advisor, underutilized EBS volumes: 7 days.
    source: "https://docs.aws.amazon.com/awssupport/latest/user/cost-optimization-checks.html",
    severity: Severity::Medium,
    subject: VOLUME,
    related: &[],
    parameters: &[age::days(MIN_AGE, 7)],
};

impl Check for Unattached {
    fn info(&self) -> &CheckInfo {
        &UNATTACHED
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(volume_facts(resource).and_then(|facts| {
            let min_age = look.parameters.get(MIN_AGE);
            let unattached = facts.state == "available";
            if !unattached || !age::reached(look.now, facts.created_at, min_age) {
                return Ok(Verdict::Pass);
            }
            let evidence = Evidence::new()
                .with(MIN_AGE, min_age)
                .with("created_at", facts.created_at.to_string());
            whole_price(resource, look, &facts, evidence)
        }))
    }
}

/// Volumes whose instances have all been stopped for a while.
#[derive(Debug)]
pub(super) struct OnStoppedInstance;

static ON_STOPPED_INSTANCE: CheckInfo = CheckInfo {
    id: "ec2.volume.on-stopped-instance",
    version: 1,
    title: "The volume is attached to instances that have all been stopped for a while",
    // AWS Config, ec2-stopped-instance: 30 days.
    source: "https://docs.aws.amazon.com/config/latest/developerguide/ec2-stopped-instance.html",
    severity: Severity::Medium,
    subject: VOLUME,
    related: &[INSTANCE],
    parameters: &[age::days(MIN_STOPPED, 30)],
};

impl Check for OnStoppedInstance {
    fn info(&self) -> &CheckInfo {
        &ON_STOPPED_INSTANCE
    }

    fn relate(&self, instance: &Resource, relations: &mut Relations) {
        relation::note_stop(instance, relations);
    }

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(volume_facts(resource).and_then(|facts| {
            if facts.state != "in-use" || facts.instance_ids.is_empty() {
                return Ok(Verdict::Pass);
            }
            let min_stopped = look.parameters.get(MIN_STOPPED);
            let region = &resource.reference.region;
            let mut latest = None;
            let mut unclear = None;
            for id in &facts.instance_ids {
                match relation::stop(look.relations, region, id) {
                    Stop::Since(at) if age::reached(look.now, at, min_stopped) => {
                        latest = latest.max(Some(at));
                    }
                    // One instance that may use it is enough, whatever is unclear of others.
                    Stop::NotStopped | Stop::Since(_) => return Ok(Verdict::Pass),
                    Stop::Unclear => unclear = Some(id),
                }
            }
            if let Some(id) = unclear {
                let reason =
                    format!("whether and since when instance {id} is stopped is not known");
                return Ok(Verdict::Undetermined(reason));
            }
            let mut instance_ids = facts.instance_ids.clone();
            instance_ids.sort_unstable();
            let evidence = Evidence::new()
                .with(MIN_STOPPED, min_stopped)
                .with("instance_ids", instance_ids)
                .with_some("stopped_at", latest.map(|at| at.to_string()));
            whole_price(resource, look, &facts, evidence)
        }))
    }
}

/// A finding that saves all that the volume costs.
fn whole_price(
    resource: &Resource,
    look: &Look<'_>,
    facts: &VolumeFacts,
    evidence: Evidence,
) -> Result<Verdict> {
    let price = Configuration::of(facts).monthly(look, &resource.reference.region)?;
    Ok(evidence
        .with("state", facts.state.as_str())
        .with("volume_type", facts.volume_type.as_str())
        .with("size_gib", facts.size_gib)
        .with_some("iops", facts.iops)
        .with_some("throughput_mibps", facts.throughput_mibps)
        .finding(resource, price.into_saving()))
}
