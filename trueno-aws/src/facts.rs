//! What the collectors say of each kind of resource: the shapes of `Resource::attributes`.
//!
//! A collector writes one of these, a check reads it back; both go through [`Facts`], so that the
//! two cannot disagree about a name. Times are RFC 3339; sizes are GiB, throughput is MiB/s, as EC2
//! has them.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Resource, ResourceKind};

/// EC2 instance.
pub const INSTANCE: ResourceKind = ResourceKind::known("ec2.instance");
/// EBS volume.
pub const VOLUME: ResourceKind = ResourceKind::known("ec2.volume");
/// EBS snapshot owned by the account.
pub const SNAPSHOT: ResourceKind = ResourceKind::known("ec2.snapshot");
/// Machine image owned by the account.
pub const IMAGE: ResourceKind = ResourceKind::known("ec2.image");
/// Elastic IP address.
pub const ADDRESS: ResourceKind = ResourceKind::known("ec2.address");
/// Elastic network interface.
pub const NETWORK_INTERFACE: ResourceKind = ResourceKind::known("ec2.network-interface");

/// The facts of one kind of resource.
pub trait Facts: Serialize + DeserializeOwned {
    /// The kind.
    const KIND: ResourceKind;

    /// The facts as a resource's attributes.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] where they cannot be written as JSON.
    fn to_attributes(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "facts cannot be written as JSON").with_source(source)
        })
    }

    /// The facts of a resource.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where its attributes have another shape.
    fn of(resource: &Resource) -> Result<Self> {
        Self::deserialize(&resource.attributes).map_err(|source| {
            let message = format!("the attributes of {} are not understood", Self::KIND);
            Error::new(ErrorKind::Corrupt, message).with_source(source)
        })
    }
}

macro_rules! facts {
    ($($name:ident => $kind:ident),+) => {
        $(impl Facts for $name {
            const KIND: ResourceKind = $kind;
        })+
    };
}

facts!(
    InstanceFacts => INSTANCE,
    VolumeFacts => VOLUME,
    SnapshotFacts => SNAPSHOT,
    ImageFacts => IMAGE,
    AddressFacts => ADDRESS,
    NetworkInterfaceFacts => NETWORK_INTERFACE
);

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceFacts {
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    /// When it stopped: parsed from EC2's state transition reason; `None` where that does not tell.
    pub stopped_at: Option<Timestamp>,
    /// Such as `m5.large`.
    pub instance_type: String,
    /// The image it was launched from.
    pub image_id: Option<String>,
    /// Such as `Linux/UNIX` or `Windows`.
    pub platform_details: Option<String>,
    /// `default`, `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// `spot` or `scheduled`; `None` for on-demand.
    pub lifecycle: Option<String>,
    /// When it was launched.
    pub launched_at: Option<Timestamp>,
    /// Its volumes.
    pub volume_ids: Vec<String>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFacts {
    /// `creating`, `available`, `in-use`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// Such as `gp3`.
    pub volume_type: String,
    /// GiB.
    pub size_gib: i64,
    /// Provisioned or baseline IOPS.
    pub iops: Option<i64>,
    /// MiB/s, for gp3.
    pub throughput_mibps: Option<i64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The snapshot it was made from.
    pub snapshot_id: Option<String>,
    /// The instances it is attached to.
    pub instance_ids: Vec<String>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// `pending`, `completed`, `error`, `recoverable` or `recovering`.
    pub state: String,
    /// The volume it was made of. Means nothing for a copy, which has an arbitrary one, mostly
    /// `vol-ffffffff`.
    pub volume_id: Option<String>,
    /// Whether its description says that it is a copy of another snapshot. `false` tells little: who
    /// copies may write another description.
    #[serde(default)]
    pub copied: bool,
    /// GiB of the volume, an upper bound of what the snapshot stores.
    pub volume_size_gib: i64,
    /// Bytes of a full copy of its blocks, where EC2 tells.
    pub full_size_bytes: Option<i64>,
    /// `standard` or `archive`.
    pub storage_tier: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// `available`, `pending`, `deregistered`, `disabled` and others.
    pub state: String,
    /// Whether everybody may launch it.
    pub public: bool,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When an instance was last launched from it, where EC2 tells.
    pub last_launched_at: Option<Timestamp>,
    /// Its snapshots.
    pub snapshots: Vec<ImageSnapshot>,
}

/// One snapshot of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSnapshot {
    /// Its id.
    pub snapshot_id: String,
    /// GiB of the volume that the image makes of it.
    pub size_gib: Option<i64>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFacts {
    /// The address itself.
    pub public_ip: Option<String>,
    /// What associates it with something.
    pub association_id: Option<String>,
    /// The instance it is associated with.
    pub instance_id: Option<String>,
    /// The interface it is associated with.
    pub network_interface_id: Option<String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterfaceFacts {
    /// `available`, `associated`, `attaching`, `in-use` or `detaching`.
    pub status: String,
    /// Whether an AWS service manages it.
    pub requester_managed: bool,
    /// Such as `interface` or `nat_gateway`.
    pub interface_type: Option<String>,
}
