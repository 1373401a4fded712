//! Network interfaces that nothing uses.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::model::{Resource, Severity};

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::verdict;
use crate::facts::{Facts, NETWORK_INTERFACE, NetworkInterfaceFacts};
use crate::price::sku;

/// Interfaces attached to nothing. They cost nothing; they hold addresses and security groups.
#[derive(Debug)]
pub(super) struct Detached;

static DETACHED: CheckInfo = CheckInfo {
    id: "ec2.network-interface.detached",
    version: 1,
    title: "The network interface is attached to nothing",
    source: "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html",
    severity: Severity::Informational,
    subject: NETWORK_INTERFACE,
    related: &[],
    parameters: &[],
};

impl Check for Detached {
    fn info(&self) -> &CheckInfo {
        &DETACHED
    }

    fn relate(&self, _: &Resource, _: &mut Relations) {}

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(NetworkInterfaceFacts::of(resource).and_then(|facts| {
            // The service that manages one also removes it.
            if facts.status != "available" || facts.requester_managed {
                return Ok(Verdict::Pass);
            }
            let price = Monthly::of(look, &resource.reference.region, sku::NETWORK_INTERFACE, 1)?;
            Ok(Evidence::new()
                .with("status", facts.status)
                .with("requester_managed", facts.requester_managed)
                .with_some("interface_type", facts.interface_type)
                .finding(resource, price.into_saving()))
        }))
    }
}
