//! The names of what is priced, in one place: the table is validated against them, and checks ask
//! for them.

use trueno_core::money::PriceUnit;

/// A stopped instance.
pub(crate) const STOPPED_INSTANCE: &str = "ec2.instance.stopped";
/// An elastic network interface.
pub(crate) const NETWORK_INTERFACE: &str = "ec2.network-interface";
/// A public IPv4 address.
pub(crate) const PUBLIC_IPV4: &str = "ec2.address.public-ipv4";
/// Snapshots in the standard tier.
pub(crate) const SNAPSHOT: &str = "ec2.snapshot.standard";

const STORAGE: &[&str] = &["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"];
const IOPS: &[&str] = &["gp3", "io1", "io2"];
const THROUGHPUT: &[&str] = &["gp3"];
const LINUX: &str = "ec2.instance.linux.";

/// Storage of volumes of a type.
pub(crate) fn storage(volume_type: &str) -> String {
    format!("ec2.volume.{volume_type}.storage")
}

/// IOPS of volumes of a type.
pub(crate) fn iops(volume_type: &str) -> String {
    format!("ec2.volume.{volume_type}.iops")
}

/// Throughput of volumes of a type.
pub(crate) fn throughput(volume_type: &str) -> String {
    format!("ec2.volume.{volume_type}.throughput")
}

/// A Linux instance on demand with shared tenancy.
pub(crate) fn linux_instance(instance_type: &str) -> String {
    format!("{LINUX}{instance_type}")
}

/// What a SKU must be priced per: the guard against a monthly price that is read as an hourly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// One of ours, always priced per this unit.
    As(PriceUnit),
    /// Not ours: any unit.
    Foreign,
    /// It has our prefix, and no check asks for it.
    Nothing,
}

pub(super) fn known(sku: &str) -> Known {
    if !sku.starts_with("ec2.") {
        return Known::Foreign;
    }
    let unit = match sku {
        STOPPED_INSTANCE | NETWORK_INTERFACE | PUBLIC_IPV4 => Some(PriceUnit::Hour),
        SNAPSHOT => Some(PriceUnit::GibMonth),
        _ => instance(sku).or_else(|| volume(sku)),
    };
    unit.map_or(Known::Nothing, Known::As)
}

fn instance(sku: &str) -> Option<PriceUnit> {
    let (family, size) = sku.strip_prefix(LINUX)?.split_once('.')?;
    let named = !family.is_empty() && !size.is_empty() && !size.contains('.');
    named.then_some(PriceUnit::Hour)
}

fn volume(sku: &str) -> Option<PriceUnit> {
    let (volume_type, dimension) = sku.strip_prefix("ec2.volume.")?.split_once('.')?;
    let (types, unit) = match dimension {
        "storage" => (STORAGE, PriceUnit::GibMonth),
        "iops" => (IOPS, PriceUnit::IopsMonth),
        "throughput" => (THROUGHPUT, PriceUnit::MibpsMonth),
        _ => return None,
    };
    types.contains(&volume_type).then_some(unit)
}
