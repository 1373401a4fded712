//! Instances of a previous generation.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::error::Result;
use trueno_core::model::{Region, Resource, Severity};

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::verdict;
use crate::facts::{Facts, INSTANCE, InstanceFacts};
use crate::price::sku;

/// Running instances whose successor of the same size costs less.
#[derive(Debug)]
pub(super) struct PreviousGeneration;

static PREVIOUS_GENERATION: CheckInfo = CheckInfo {
    id: "ec2.instance.previous-generation",
    version: 1,
    title: "The instance is of a previous generation, and its successor of the same size costs less",
    source: "https://aws.amazon.com/ec2/previous-generation/",
    severity: Severity::Low,
    subject: INSTANCE,
    related: &[],
    parameters: &[],
};

/// Sizes of the successors. Source: <https://aws.amazon.com/ec2/instance-types/>.
const M5_R5: &[&str] = &[
    "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "metal",
];
const C5: &[&str] = &[
    "large", "xlarge", "2xlarge", "4xlarge", "9xlarge", "12xlarge", "18xlarge", "24xlarge", "metal",
];
const T3: &[&str] = &[
    "nano", "micro", "small", "medium", "large", "xlarge", "2xlarge",
];
const I3: &[&str] = &[
    "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge", "metal",
];

/// The first generation that followed and runs the same software, so not one of another processor
/// architecture.
fn successor_family(family: &str) -> Option<(&'static str, &'static [&'static str])> {
    match family {
        "m1" | "m3" | "m4" => Some(("m5", M5_R5)),
        "c1" | "c3" | "c4" => Some(("c5", C5)),
        "m2" | "r3" | "r4" => Some(("r5", M5_R5)),
        "t1" | "t2" => Some(("t3", T3)),
        "i2" => Some(("i3", I3)),
        _ => None,
    }
}

/// The successor of a type at the same size, where there is one.
fn successor(instance_type: &str) -> Option<String> {
    let (family, size) = instance_type.split_once('.')?;
    let (successor, sizes) = successor_family(family)?;
    sizes.contains(&size).then(|| format!("{successor}.{size}"))
}

impl Check for PreviousGeneration {
    fn info(&self) -> &CheckInfo {
        &PREVIOUS_GENERATION
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(InstanceFacts::of(resource).and_then(|facts| {
            if facts.state != "running" {
                return Ok(Verdict::Pass);
            }
            let Some(successor) = successor(&facts.instance_type) else {
                return Ok(Verdict::NotApplicable);
            };
            let saving = saving(look, &resource.reference.region, &facts, &successor)?;
            if saving.saves_nothing() {
                return Ok(Verdict::Pass);
            }
            Ok(Evidence::new()
                .with("state", facts.state)
                .with("instance_type", facts.instance_type)
                .with("successor", successor)
                .with_some("platform_details", facts.platform_details)
                .with_some("tenancy", facts.tenancy)
                .with_some("lifecycle", facts.lifecycle)
                .finding(resource, saving.into_saving()))
        }))
    }
}

/// The difference of the list prices, which only Linux on demand with shared tenancy has here. What
/// does not say what it is may be another.
fn saving(
    look: &Look<'_>,
    region: &Region,
    facts: &InstanceFacts,
    successor: &str,
) -> Result<Monthly> {
    let priced = facts.platform_details.as_deref() == Some("Linux/UNIX")
        && facts.tenancy.as_deref() == Some("default")
        && facts.lifecycle.is_none();
    if !priced {
        return Ok(Monthly::Unknown);
    }
    let hourly =
        |instance_type: &str| Monthly::of(look, region, &sku::linux_instance(instance_type), 1);
    hourly(&facts.instance_type)?.minus(hourly(successor)?)
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn a_successor_has_the_same_size_or_there_is_none() {
        for (old, new) in [
            ("m1.xlarge", Some("m5.xlarge")),
            ("m2.4xlarge", Some("r5.4xlarge")),
            ("m3.large", Some("m5.large")),
            ("m4.16xlarge", Some("m5.16xlarge")),
            ("c1.xlarge", Some("c5.xlarge")),
            ("c3.4xlarge", Some("c5.4xlarge")),
            ("r3.8xlarge", Some("r5.8xlarge")),
            ("t1.micro", Some("t3.micro")),
            ("t2.nano", Some("t3.nano")),
            ("i2.8xlarge", Some("i3.8xlarge")),
            ("m1.small", None),
            ("m1.medium", None),
            ("m3.medium", None),
            ("m4.10xlarge", None),
            ("c1.medium", None),
            ("c4.8xlarge", None),
            ("m5.large", None),
            ("m4", None),
            ("m40.large", None),
            ("", None),
        ] {
            assert_eq!(successor(old).as_deref(), new, "{old}");
        }
    }
}
