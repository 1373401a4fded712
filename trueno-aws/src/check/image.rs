//! Images that nothing uses.

use trueno_core::check::{Check, CheckInfo, Look, Relations, Verdict};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::{Resource, Severity};
use trueno_core::money::Saving;

use super::evidence::Evidence;
use super::monthly::Monthly;
use super::{age, relation, verdict};
use crate::facts::{Facts, IMAGE, INSTANCE, ImageFacts, InstanceFacts};
use crate::price::sku;

const MIN_AGE: &str = "min_age_days";

/// Old images that no instance was launched from.
///
/// What removing one saves is unknown, as with snapshots: the evidence has an upper bound. Instances
/// of other accounts and regions, launch templates and scaling groups are not looked at, hence a low
/// severity.
#[derive(Debug)]
pub(super) struct Unused;

static UNUSED: CheckInfo = CheckInfo {
    id: "ec2.image.unused",
    version: 1,
    title: "The image is old and no instance in its region was launched from it",
    // Cloudaware, image-unused: 90 days.
    source: "https://ce.prod.cloudaware.com/ce/ca/aws/ec2/image-unused",
    severity: Severity::Low,
    subject: IMAGE,
    related: &[INSTANCE],
    parameters: &[age::days(MIN_AGE, 90)],
};

impl Check for Unused {
    fn info(&self) -> &CheckInfo {
        &UNUSED
    }

    fn relate(&self, instance: &Resource, relations: &mut Relations) {
        relation::note_image_in_use(instance, relations);
    }

    fn evaluate(&self, resource: &Resource, look: &Look<'_>) -> Verdict {
        verdict(ImageFacts::of(resource).and_then(|facts| {
            let (region, id) = (&resource.reference.region, &resource.reference.native_id);
            if facts.state != "available"
                || facts.public
                || relation::image_in_use(look.relations, region, id)
            {
                return Ok(Verdict::Pass);
            }
            let Some(created_at) = facts.created_at else {
                let reason = "EC2 does not say when the image was created";
                return Ok(Verdict::Undetermined(reason.to_owned()));
            };
            let min_age = look.parameters.get(MIN_AGE);
            if !age::reached(look.now, created_at, min_age) {
                return Ok(Verdict::Pass);
            }
            if let Some(instance) = relation::unreadable::<InstanceFacts>(look.relations, region) {
                let reason = format!("whether instance {instance} uses the image is not known");
                return Ok(Verdict::Undetermined(reason));
            }
            let size_gib = size(&facts)?;
            let bound = match size_gib {
                Some(size_gib) => Monthly::of(look, region, sku::SNAPSHOT, size_gib)?,
                None => Monthly::Unknown,
            };
            let snapshot_ids: Vec<String> = facts
                .snapshots
                .into_iter()
                .map(|snapshot| snapshot.snapshot_id)
                .collect();
            let launched_at = facts.last_launched_at.map(|at| at.to_string());
            Ok(Evidence::new()
                .with("state", facts.state)
                .with("public", facts.public)
                .with(MIN_AGE, min_age)
                .with("created_at", created_at.to_string())
                .with_some("last_launched_at", launched_at)
                .with("snapshot_ids", snapshot_ids)
                .with_some("snapshots_gib", size_gib)
                .with_upper_bound(bound)
                .finding(resource, Saving::Unknown))
        }))
    }
}

/// GiB of all snapshots together, where each says its own.
fn size(facts: &ImageFacts) -> Result<Option<i64>> {
    let mut sum = 0_i64;
    for snapshot in &facts.snapshots {
        let Some(size_gib) = snapshot.size_gib else {
            return Ok(None);
        };
        sum = sum
            .checked_add(size_gib)
            .filter(|_| size_gib >= 0)
            .ok_or_else(|| {
                let problem = "the sizes of the image's snapshots make no sense";
                Error::new(ErrorKind::Corrupt, problem)
            })?;
    }
    Ok(Some(sum))
}
