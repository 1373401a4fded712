//! What checks note of other resources. Several checks note the same, in the same words.

use jiff::Timestamp;
use trueno_core::check::Relations;
use trueno_core::model::{Region, Resource};

use crate::facts::{Facts, ImageFacts, InstanceFacts};

const INSTANCE_STOPPED: &str = "instance.stopped";
const IMAGE_IN_USE: &str = "image.in-use";
const SNAPSHOT_OF_IMAGE: &str = "snapshot.of-image";
const VOLUME: &str = "volume";
/// By kind: the id of a resource whose facts were not understood. Whether it refers to another
/// cannot be told.
const UNREADABLE: &str = "unreadable";

const NOT_STOPPED: &str = "no";
const SINCE_UNKNOWN: &str = "unknown";

/// What is known of an instance's stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not stopped.
    NotStopped,
    /// Stopped since then.
    Since(Timestamp),
    /// It was not seen, its facts were not understood, or it does not say since when.
    Unclear,
}

/// Notes whether and since when an instance is stopped.
pub(super) fn note_stop(instance: &Resource, relations: &mut Relations) {
    let note = match InstanceFacts::of(instance) {
        Ok(facts) if facts.state != "stopped" => NOT_STOPPED.to_owned(),
        Ok(InstanceFacts {
            stopped_at: Some(at),
            ..
        }) => at.to_string(),
        Ok(_) | Err(_) => SINCE_UNKNOWN.to_owned(),
    };
    let reference = &instance.reference;
    relations.note(
        INSTANCE_STOPPED,
        &reference.region,
        &reference.native_id,
        &note,
    );
}

pub(super) fn stop(relations: &Relations, region: &Region, instance_id: &str) -> Stop {
    match relations.get(INSTANCE_STOPPED, region, instance_id) {
        Some(NOT_STOPPED) => Stop::NotStopped,
        Some(since) => since.parse().map_or(Stop::Unclear, Stop::Since),
        None => Stop::Unclear,
    }
}

/// Notes the image that an instance was launched from, unless the instance is gone for good.
pub(super) fn note_image_in_use(instance: &Resource, relations: &mut Relations) {
    match InstanceFacts::of(instance) {
        Ok(facts) if facts.state == "terminated" => {}
        Ok(facts) => {
            let reference = &instance.reference;
            if let Some(image_id) = &facts.image_id {
                relations.note(
                    IMAGE_IN_USE,
                    &reference.region,
                    image_id,
                    &reference.native_id,
                );
            }
        }
        Err(_) => note_unreadable(instance, relations),
    }
}

pub(super) fn image_in_use(relations: &Relations, region: &Region, image_id: &str) -> bool {
    relations.contains(IMAGE_IN_USE, region, image_id)
}

/// Notes the snapshots that an image is made of.
pub(super) fn note_snapshots_of(image: &Resource, relations: &mut Relations) {
    let Ok(facts) = ImageFacts::of(image) else {
        return note_unreadable(image, relations);
    };
    let reference = &image.reference;
    for snapshot in facts.snapshots {
        relations.note(
            SNAPSHOT_OF_IMAGE,
            &reference.region,
            &snapshot.snapshot_id,
            &reference.native_id,
        );
    }
}

pub(super) fn is_of_image(relations: &Relations, region: &Region, snapshot_id: &str) -> bool {
    relations.contains(SNAPSHOT_OF_IMAGE, region, snapshot_id)
}

/// Notes that a volume exists, whatever its facts.
pub(super) fn note_volume(volume: &Resource, relations: &mut Relations) {
    let reference = &volume.reference;
    relations.note(VOLUME, &reference.region, &reference.native_id, "");
}

pub(super) fn volume_exists(relations: &Relations, region: &Region, volume_id: &str) -> bool {
    relations.contains(VOLUME, region, volume_id)
}

fn note_unreadable(resource: &Resource, relations: &mut Relations) {
    let reference = &resource.reference;
    relations.note(
        UNREADABLE,
        &reference.region,
        reference.kind.as_str(),
        &reference.native_id,
    );
}

/// The id of a resource of the kind whose facts were not understood, where there is one.
pub(super) fn unreadable<'a, F: Facts>(
    relations: &'a Relations,
    region: &Region,
) -> Option<&'a str> {
    relations.get(UNREADABLE, region, F::KIND.as_str())
}
