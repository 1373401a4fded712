//! The checks of EC2: pure functions over [`facts`](crate::facts), relations and prices.
//!
//! | check | finds | saves |
//! |---|---|---|
//! | `ec2.volume.unattached` | volumes that have been there for a while and are attached to nothing | the volume's price |
//! | `ec2.volume.gp2` | gp2 volumes that cost less as gp3 | the difference |
//! | `ec2.volume.provisioned-iops` | io1 and io2 volumes whose IOPS gp3 reaches for less | the difference |
//! | `ec2.volume.on-stopped-instance` | volumes whose instances have all been stopped for a while | the volume's price |
//! | `ec2.instance.stopped` | instances that have been stopped for a while | nothing by themselves |
//! | `ec2.instance.previous-generation` | running instances whose successor of the same size costs less | the difference |
//! | `ec2.address.unassociated` | Elastic IP addresses that are associated with nothing | the address's price |
//! | `ec2.snapshot.old` | old snapshots that no image needs | unknown |
//! | `ec2.snapshot.orphaned` | snapshots of volumes that are gone, that no image needs | unknown |
//! | `ec2.image.unused` | old images that no instance was launched from | unknown |
//! | `ec2.network-interface.detached` | interfaces attached to nothing | nothing |
//!
//! Rules that all of them keep:
//! - A day is 86,400 s. A threshold of N days is met at an age of exactly N days. What is dated
//!   after the as-of moment has no age and meets no threshold, not even one of 0 days.
//! - Facts that are not understood are [`Undetermined`](trueno_core::check::Verdict::Undetermined),
//!   and so is what depends on them (P8).
//! - A price that is needed and not known makes the saving
//!   [`Unknown`](trueno_core::money::Saving::Unknown), never 0 (P9). Where a cheaper form is what a
//!   check finds, a known saving of 0 or less is no finding, an unknown one is.
//! - All findings of one resource share a conflict group, so that a total counts the best of them.
//! - Savings are [estimates](crate::price): list prices of on-demand use.
//!
//! What a saving of unknown size cannot be more than is in the evidence, as `upper_bound_micros`
//! with `upper_bound_currency`, `upper_bound_source` and `upper_bound_as_of`, where that price is
//! known.

mod address;
mod age;
mod evidence;
mod generation;
mod image;
mod instance;
mod monthly;
mod network_interface;
mod relation;
mod snapshot;
#[cfg(test)]
mod tests;
mod volume;
mod volume_attachment;
mod volume_price;

use std::sync::Arc;

use trueno_core::check::{Check, Verdict};
use trueno_core::error::Result;

/// Every check of this crate, with its default parameters still to be set by the engine.
#[must_use]
pub fn all() -> Vec<Arc<dyn Check>> {
    vec![
        Arc::new(volume_attachment::Unattached),
        Arc::new(volume::Gp2),
        Arc::new(volume::ProvisionedIops),
        Arc::new(volume_attachment::OnStoppedInstance),
        Arc::new(instance::Stopped),
        Arc::new(generation::PreviousGeneration),
        Arc::new(address::Unassociated),
        Arc::new(snapshot::Old),
        Arc::new(snapshot::Orphaned),
        Arc::new(image::Unused),
        Arc::new(network_interface::Detached),
    ]
}

/// What a check makes of facts that are not understood, or amounts that do not fit: it cannot tell.
fn verdict(judged: Result<Verdict>) -> Verdict {
    judged.unwrap_or_else(|error| Verdict::Undetermined(error.to_string()))
}
