//! Machine images that the account owns.

use async_trait::async_trait;
use aws_sdk_ec2::types::{BlockDeviceMapping, Image};
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text};
use crate::facts::{IMAGE, ImageFacts, ImageSnapshot};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeImages");

#[derive(Debug)]
pub(super) struct Images;

#[async_trait]
impl Collector for Images {
    fn kind(&self) -> ResourceKind {
        IMAGE
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_images()
            .owners("self")
            // Both still hold their snapshots, which would otherwise look like nobody's.
            .include_deprecated(true)
            .include_disabled(true)
            .max_results(reader.page_size)
            .set_next_token(token)
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let own = answer.images().iter().filter(|image| {
            image
                .owner_id()
                .is_none_or(|owner| owner == reader.account.as_str())
        });
        let resources = own.map(|image| resource(reader, image));
        Ok(Page::new(
            resources.collect::<Result<_>>()?,
            answer.next_token,
        ))
    }
}

fn resource(reader: &Reader, image: &Image) -> Result<Resource> {
    // Both times are text in EC2's model; one that nobody can read is a time that nobody knows.
    let facts = ImageFacts {
        state: needed(
            text(image.state().map(|state| state.as_str())),
            "an image's state",
        )?,
        public: image.public().unwrap_or(false),
        created_at: image.creation_date().and_then(|time| time.parse().ok()),
        last_launched_at: image
            .last_launched_time()
            .and_then(|time| time.parse().ok()),
        snapshots: image
            .block_device_mappings()
            .iter()
            .filter_map(snapshot)
            .collect(),
    };
    let id = needed(image.image_id(), "an image's id")?;
    let name = text(image.name().filter(|name| !name.is_empty()));
    reader.resource(
        id,
        Described {
            name,
            tags: image.tags(),
            facts,
        },
    )
}

fn snapshot(mapping: &BlockDeviceMapping) -> Option<ImageSnapshot> {
    let ebs = mapping.ebs()?;
    let snapshot_id = text(ebs.snapshot_id().filter(|id| !id.is_empty()))?;
    Some(ImageSnapshot {
        snapshot_id,
        size_gib: ebs.volume_size().map(Into::into),
    })
}
