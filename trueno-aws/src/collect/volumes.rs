//! EBS volumes.

use async_trait::async_trait;
use aws_sdk_ec2::types::Volume;
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text, timestamp};
use crate::facts::{VOLUME, VolumeFacts};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeVolumes");

#[derive(Debug)]
pub(super) struct Volumes;

#[async_trait]
impl Collector for Volumes {
    fn kind(&self) -> ResourceKind {
        VOLUME
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_volumes()
            // A volume that is hidden because a service manages it is still not absent (P8).
            .include_managed_resources(true)
            .max_results(reader.page_size)
            .set_next_token(token)
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let resources = answer
            .volumes()
            .iter()
            .map(|volume| resource(reader, volume));
        Ok(Page::new(
            resources.collect::<Result<_>>()?,
            answer.next_token,
        ))
    }
}

fn resource(reader: &Reader, volume: &Volume) -> Result<Resource> {
    let facts = VolumeFacts {
        state: needed(
            text(volume.state().map(|state| state.as_str())),
            "a volume's state",
        )?,
        volume_type: needed(
            text(volume.volume_type().map(|t| t.as_str())),
            "a volume's type",
        )?,
        size_gib: needed(volume.size(), "a volume's size")?.into(),
        iops: volume.iops().map(Into::into),
        throughput_mibps: volume.throughput().map(Into::into),
        created_at: needed(
            volume.create_time().and_then(timestamp),
            "a volume's creation time",
        )?,
        snapshot_id: text(volume.snapshot_id().filter(|id| !id.is_empty())),
        instance_ids: volume
            .attachments()
            .iter()
            .filter_map(|a| text(a.instance_id()))
            .collect(),
    };
    let id = needed(volume.volume_id(), "a volume's id")?;
    reader.resource(
        id,
        Described {
            name: None,
            tags: volume.tags(),
            facts,
        },
    )
}
