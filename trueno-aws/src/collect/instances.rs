//! EC2 instances.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use trueno_core::error::Result;
use trueno_core::model::{Resource, ResourceKind};
use trueno_core::port::Operation;

use super::{Collector, Described, Page, Reader, needed, text, timestamp};
use crate::facts::{INSTANCE, InstanceFacts};
use crate::operation::ec2;

const DESCRIBE: Operation = ec2("DescribeInstances");

#[derive(Debug)]
pub(super) struct Instances;

#[async_trait]
impl Collector for Instances {
    fn kind(&self) -> ResourceKind {
        INSTANCE
    }

    fn operations(&self) -> &'static [Operation] {
        &[DESCRIBE]
    }

    async fn page(&self, reader: &Reader, token: Option<String>) -> Result<Page> {
        let answer = reader
            .ec2
            .describe_instances()
            // An instance that is hidden because a service manages it still uses its image (P8).
            .include_managed_resources(true)
            .max_results(reader.page_size)
            .set_next_token(token)
            .customize()
            .interceptor(reader.count())
            .send()
            .await
            .map_err(|error| reader.failed(DESCRIBE, &error))?;
        let instances = answer.reservations().iter().flat_map(|one| one.instances());
        let resources = instances.map(|instance| resource(reader, instance));
        Ok(Page::new(
            resources.collect::<Result<_>>()?,
            answer.next_token,
        ))
    }
}

fn resource(reader: &Reader, instance: &Instance) -> Result<Resource> {
    let state = needed(
        instance.state().and_then(|state| state.name()),
        "an instance's state",
    )?;
    // The reason stays as it was at the last transition, which for others was not a stop.
    let stopped = state == &InstanceStateName::Stopped;
    let instance_type = instance.instance_type().map(|t| t.as_str());
    let facts = InstanceFacts {
        state: state.as_str().to_owned(),
        stopped_at: instance
            .state_transition_reason()
            .filter(|_| stopped)
            .and_then(stop_time),
        instance_type: needed(text(instance_type), "an instance's type")?,
        image_id: text(instance.image_id().filter(|id| !id.is_empty())),
        platform_details: text(instance.platform_details()),
        tenancy: text(
            instance
                .placement()
                .and_then(|p| p.tenancy())
                .map(|t| t.as_str()),
        ),
        lifecycle: text(instance.instance_lifecycle().map(|l| l.as_str())),
        launched_at: instance.launch_time().and_then(timestamp),
        volume_ids: instance
            .block_device_mappings()
            .iter()
            .filter_map(|mapping| text(mapping.ebs().and_then(|ebs| ebs.volume_id())))
            .collect(),
    };
    let id = needed(instance.instance_id(), "an instance's id")?;
    reader.resource(
        id,
        Described {
            name: None,
            tags: instance.tags(),
            facts,
        },
    )
}

/// The time in `User initiated (2026-09-01 10:00:00 GMT)`. EC2 says GMT, emulators say UTC.
fn stop_time(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.rsplit_once('(')?;
    let (inside, _) = rest.split_once(')')?;
    let time = inside
        .strip_suffix(" GMT")
        .or_else(|| inside.strip_suffix(" UTC"))?;
    let time: DateTime = time.trim().parse().ok()?;
    time.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_stop_is_read_where_ec2_tells() {
        let time: Timestamp = "2026-09-01T10:00:00Z".parse().unwrap();
        assert_eq!(
            stop_time("User initiated (2026-09-01 10:00:00 GMT)"),
            Some(time)
        );
        assert_eq!(
            stop_time("User initiated (2026-09-01 10:00:00 UTC)"),
            Some(time)
        );
        for unknown in [
            "",
            "User initiated",
            "Server.InternalError",
            "User initiated (yesterday GMT)",
            "User initiated (2026-09-01 10:00:00 CET)",
            "User initiated (2026-13-01 10:00:00 GMT)",
            "User initiated (2026-09-01 10:00:00 GMT",
        ] {
            assert_eq!(stop_time(unknown), None, "{unknown}");
        }
    }
}
