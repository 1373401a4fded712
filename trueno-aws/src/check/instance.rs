//! Instances that are stopped.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::model::{Resource, Severity};

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::{age, verdict};
use crate::facts::{Facts, INSTANCE, InstanceFacts};
use crate::price::sku;

const MIN_STOPPED: &str = "min_stopped_days";

/// Instances that have been stopped for a while. A stopped instance is not charged; what is, its
/// volumes, another check finds.
#[derive(Debug)]
pub(super) struct Stopped;

static STOPPED: CheckInfo = CheckInfo {
    id: "ec2.instance.stopped",
    version: 1,
    title: "The instance has been stopped for a while",
    // AWS Config, ec2-stopped-instance: 30 days.
    source: "https://docs.aws.amazon.com/config/latest/developerguide/ec2-stopped-instance.html",
    severity: Severity::Low,
    subject: INSTANCE,
    related: &[],
    parameters: &[age::days(MIN_STOPPED, 30)],
};

impl Check for Stopped {
    fn info(&self) -> &CheckInfo {
        &STOPPED
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(InstanceFacts::of(resource).and_then(|facts| {
            if facts.state != "stopped" {
                return Ok(Verdict::Pass);
            }
            let Some(stopped_at) = facts.stopped_at else {
                let reason = "EC2 does not say since when the instance is stopped";
                return Ok(Verdict::Undetermined(reason.to_owned()));
            };
            let min_stopped = look.parameters.get(MIN_STOPPED);
            if !age::reached(look.now, stopped_at, min_stopped) {
                return Ok(Verdict::Pass);
            }
            let region = &resource.reference.region;
            let saving = Monthly::of(look, region, sku::STOPPED_INSTANCE, 1)?;
            Ok(Evidence::new()
                .with("state", facts.state)
                .with("instance_type", facts.instance_type)
                .with("stopped_at", stopped_at.to_string())
                .with(MIN_STOPPED, min_stopped)
                .with("volume_ids", facts.volume_ids)
                .finding(resource, saving.into_saving()))
        }))
    }
}
