//! EBS snapshots that the account owns.

use async_trait::async_trait;
use aws_sdk_ec2::types::Snapshot;
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text, timestamp};
use crate::facts::{SNAPSHOT, SnapshotFacts};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeSnapshots");

/// How the descriptions begin that AWS gives a copy: the console's for a copied snapshot, and
/// CopyImage's for the snapshots of the new image.
const OF_COPIES: [&str; 2] = ["[Copied snap-", "Copied for "];

#[derive(Debug)]
pub(super) struct Snapshots;

#[async_trait]
impl Collector for Snapshots {
    fn kind(&self) -> ResourceKind {
        SNAPSHOT
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_snapshots()
            // Without an owner AWS lists every public snapshot of the region.
            .owner_ids("self")
            .max_results(reader.page_size)
            .set_next_token(token)
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let own = answer.snapshots().iter().filter(|snapshot| {
            snapshot
                .owner_id()
                .is_none_or(|owner| owner == reader.account.as_str())
        });
        let resources = own.map(|snapshot| resource(reader, snapshot));
        Ok(Page::new(
            resources.collect::<Result<_>>()?,
            answer.next_token,
        ))
    }
}

fn is_of_copy(description: &str) -> bool {
    OF_COPIES
        .iter()
        .any(|beginning| description.starts_with(beginning))
}

fn resource(reader: &Reader, snapshot: &Snapshot) -> Result<Resource> {
    let started_at = snapshot.start_time().and_then(timestamp);
    let facts = SnapshotFacts {
        state: needed(
            text(snapshot.state().map(|state| state.as_str())),
            "a snapshot's state",
        )?,
        volume_id: text(snapshot.volume_id().filter(|id| !id.is_empty())),
        copied: snapshot.description().is_some_and(is_of_copy),
        volume_size_gib: needed(snapshot.volume_size(), "a snapshot's volume size")?.into(),
        full_size_bytes: snapshot.full_snapshot_size_in_bytes(),
        storage_tier: text(snapshot.storage_tier().map(|tier| tier.as_str())),
        started_at: needed(started_at, "a snapshot's start time")?,
    };
    let id = needed(snapshot.snapshot_id(), "a snapshot's id")?;
    reader.resource(
        id,
        Described {
            name: None,
            tags: snapshot.tags(),
            facts,
        },
    )
}
