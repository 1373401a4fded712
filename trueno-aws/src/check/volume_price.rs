//! What a volume costs in a month.

use trueno_core::check::Look;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Region, Resource};

use super::monthly::Monthly;
use crate::facts::{Facts, VolumeFacts};
use crate::price::sku;

/// IOPS that every gp3 volume has without charge.
/// Source: <https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>.
pub(super) const GP3_INCLUDED_IOPS: i64 = 3_000;
/// MiB/s that every gp3 volume has without charge. Source: as above.
pub(super) const GP3_INCLUDED_MIBPS: i64 = 125;
/// IOPS of io2 above this are priced in cheaper tiers, which the table does not have.
/// Source: <https://aws.amazon.com/ebs/pricing/>.
const IO2_FIRST_TIER_IOPS: i64 = 32_000;

/// What a volume's price depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration<'a> {
    pub(super) volume_type: &'a str,
    pub(super) size_gib: i64,
    pub(super) iops: Option<i64>,
    pub(super) throughput_mibps: Option<i64>,
}

impl<'a> Configuration<'a> {
    pub(super) fn of(facts: &'a VolumeFacts) -> Self {
        Self {
            volume_type: &facts.volume_type,
            size_gib: facts.size_gib,
            iops: facts.iops,
            throughput_mibps: facts.throughput_mibps,
        }
    }

    pub(super) const fn gp3(size_gib: i64, iops: i64, throughput_mibps: i64) -> Self {
        Self {
            volume_type: "gp3",
            size_gib,
            iops: Some(iops),
            throughput_mibps: Some(throughput_mibps),
        }
    }

    /// The full price, unknown where a price or a quantity is.
    pub(super) fn monthly(&self, look: &Look<'_>, region: &Region) -> Result<Monthly> {
        let of = |sku: &str, quantity: i64| Monthly::of(look, region, sku, quantity);
        let storage = of(&sku::storage(self.volume_type), self.size_gib)?;
        match (self.volume_type, self.iops) {
            ("gp2" | "st1" | "sc1" | "standard", _) => Ok(storage),
            ("gp3", iops) => {
                // A gp3 volume made without these has what is included.
                let more = |provisioned: Option<i64>, included: i64| {
                    provisioned.unwrap_or(included).max(included) - included
                };
                let iops = more(iops, GP3_INCLUDED_IOPS);
                let throughput = more(self.throughput_mibps, GP3_INCLUDED_MIBPS);
                storage
                    .plus(of(&sku::iops("gp3"), iops)?)?
                    .plus(of(&sku::throughput("gp3"), throughput)?)
            }
            ("io1", Some(iops)) => storage.plus(of(&sku::iops("io1"), iops)?),
            ("io2", Some(iops)) if iops <= IO2_FIRST_TIER_IOPS => {
                storage.plus(of(&sku::iops("io2"), iops)?)
            }
            _ => Ok(Monthly::Unknown),
        }
    }
}

/// The facts of a volume, refused where a quantity makes no sense.
pub(super) fn volume_facts(resource: &Resource) -> Result<VolumeFacts> {
    let facts = VolumeFacts::of(resource)?;
    let negative = |quantity: Option<i64>| quantity.is_some_and(|quantity| quantity < 0);
    if facts.size_gib < 1 || negative(facts.iops) || negative(facts.throughput_mibps) {
        let problem = "the volume's size, IOPS or throughput makes no sense";
        return Err(Error::new(ErrorKind::Corrupt, problem));
    }
    Ok(facts)
}
