//! Snapshots that nothing needs.
//!
//! What deleting one saves is unknown: snapshots are incremental, and EC2 does not say how much of
//! one no other needs. The evidence has an upper bound, the whole volume at the snapshot price.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Resource, Severity};
use trueno_core::money::Saving;

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::{age, relation, verdict};
use crate::facts::{Facts, IMAGE, ImageFacts, SNAPSHOT, SnapshotFacts, VOLUME};
use crate::price::sku;

const MIN_AGE: &str = "min_age_days";

/// Old snapshots that no image needs.
#[derive(Debug)]
pub(super) struct Old;

static OLD: CheckInfo = CheckInfo {
    id: "ec2.snapshot.old",
    version: 1,
    title: "The snapshot is old and no image of the account needs it",
    // AWS Thrifty, ebs_snapshot_age_max_days: 90 days.
    source: "https://github.com/turbot/steampipe-mod-aws-thrifty",
    severity: Severity::Low,
    subject: SNAPSHOT,
    related: &[IMAGE],
    parameters: &[age::days(MIN_AGE, 90)],
};

impl Check for Old {
    fn info(&self) -> &CheckInfo {
        &OLD
    }

    fn relate(&self, image: &Resource, relations: &mut Relations) {
        relation::note_snapshots_of(image, relations);
    }

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(snapshot_facts(resource).and_then(|facts| {
            if let Some(kept) = kept(resource, look, &facts) {
                return Ok(kept);
            }
            unneeded(resource, look, facts)
        }))
    }
}

/// Snapshots of volumes that are gone, that no image needs.
#[derive(Debug)]
pub(super) struct Orphaned;

static ORPHANED: CheckInfo = CheckInfo {
    id: "ec2.snapshot.orphaned",
    version: 1,
    title: "The snapshot's volume is gone and no image of the account needs the snapshot",
    // Obsolete snapshots: 30 days.
    source: "https://blog.dxcloudsuite.io/aws-obsolete-snapshots/",
    severity: Severity::Low,
    subject: SNAPSHOT,
    related: &[VOLUME, IMAGE],
    parameters: &[age::days(MIN_AGE, 30)],
};

impl Check for Orphaned {
    fn info(&self) -> &CheckInfo {
        &ORPHANED
    }

    fn relate(&self, resource: &Resource, relations: &mut Relations) {
        if resource.reference.kind == IMAGE {
            relation::note_snapshots_of(resource, relations);
        } else {
            relation::note_volume(resource, relations);
        }
    }

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(snapshot_facts(resource).and_then(|facts| {
            if facts.copied || facts.volume_id.as_deref().is_some_and(is_no_volume) {
                return Ok(Verdict::NotApplicable);
            }
            let region = &resource.reference.region;
            let exists = |id: &String| relation::volume_exists(look.relations, region, id);
            if facts.volume_id.as_ref().is_some_and(exists) {
                return Ok(Verdict::Pass);
            }
            if let Some(kept) = kept(resource, look, &facts) {
                return Ok(kept);
            }
            if facts.volume_id.is_none() {
                let reason = "the snapshot does not say which volume it was made of";
                return Ok(Verdict::Undetermined(reason.to_owned()));
            }
            unneeded(resource, look, facts)
        }))
    }
}

/// Whether EC2 means no volume by this id: `vol-` and nothing but `f`, as long as ids are or were.
///
/// Which id a copy has is not documented, only that it is arbitrary and not to be used:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html>.
fn is_no_volume(id: &str) -> bool {
    id.strip_prefix("vol-")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte == b'f'))
}

/// The verdict on a snapshot that is too young, not complete or needed by an image, or of which
/// that cannot be told.
fn kept(resource: &Resource, look: &Look<'_>, facts: &SnapshotFacts) -> Option<Verdict> {
    let (region, id) = (&resource.reference.region, &resource.reference.native_id);
    if facts.state != "completed"
        || !age::reached(look.now, facts.started_at, look.parameters.get(MIN_AGE))
        || relation::is_of_image(look.relations, region, id)
    {
        return Some(Verdict::Pass);
    }
    let image = relation::unreadable::<ImageFacts>(look.relations, region)?;
    let reason = format!("whether image {image} needs the snapshot is not known");
    Some(Verdict::Undetermined(reason))
}

fn unneeded(resource: &Resource, look: &Look<'_>, facts: SnapshotFacts) -> Result<Verdict> {
    // The price is that of the standard tier, which is where a snapshot is unless it says otherwise.
    let standard = facts.storage_tier.as_deref().unwrap_or("standard") == "standard";
    let region = &resource.reference.region;
    let bound = if standard {
        Monthly::of(look, region, sku::SNAPSHOT, facts.volume_size_gib)?
    } else {
        Monthly::Unknown
    };
    Ok(Evidence::new()
        .with("state", facts.state)
        .with(MIN_AGE, look.parameters.get(MIN_AGE))
        .with("started_at", facts.started_at.to_string())
        .with("volume_size_gib", facts.volume_size_gib)
        .with_some("volume_id", facts.volume_id)
        .with_some("full_size_bytes", facts.full_size_bytes)
        .with_some("storage_tier", facts.storage_tier)
        .with_upper_bound(bound)
        .finding(resource, Saving::Unknown))
}

fn snapshot_facts(resource: &Resource) -> Result<SnapshotFacts> {
    let facts = SnapshotFacts::of(resource)?;
    if facts.volume_size_gib < 0 {
        let problem = "the snapshot's size makes no sense";
        return Err(Error::new(ErrorKind::Corrupt, problem));
    }
    Ok(facts)
}
