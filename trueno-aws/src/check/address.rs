//! Addresses that nothing uses.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::model::{Resource, Severity};

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::verdict;
use crate::facts::{ADDRESS, AddressFacts, Facts};
use crate::price::sku;

/// Elastic IP addresses that are associated with nothing.
#[derive(Debug)]
pub(super) struct Unassociated;

static UNASSOCIATED: CheckInfo = CheckInfo {
    id: "ec2.address.unassociated",
    version: 1,
    title: "The Elastic IP address is associated with nothing",
    // AWS Config, eip-attached.
    source: "https://docs.aws.amazon.com/config/latest/developerguide/eip-attached.html",
    severity: Severity::Medium,
    subject: ADDRESS,
    related: &[],
    parameters: &[],
};

impl Check for Unassociated {
    fn info(&self) -> &CheckInfo {
        &UNASSOCIATED
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(AddressFacts::of(resource).and_then(|facts| {
            let uses = [
                &facts.association_id,
                &facts.instance_id,
                &facts.network_interface_id,
            ];
            // EC2 may answer with an empty id where it means none.
            let used = |id: &Option<String>| id.as_ref().is_some_and(|id| !id.is_empty());
            if uses.into_iter().any(used) {
                return Ok(Verdict::Pass);
            }
            let price = Monthly::of(look, &resource.reference.region, sku::PUBLIC_IPV4, 1)?;
            Ok(Evidence::new()
                .with("associated", false)
                .with_some("public_ip", facts.public_ip)
                .finding(resource, price.into_saving()))
        }))
    }
}
