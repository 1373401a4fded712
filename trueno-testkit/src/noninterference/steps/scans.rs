//! Requests of scans, and what a scan of either side finds.

use rand::RngExt as _;
use serde_json::json;
use trueno_core::access::Action;
use trueno_core::id::{JobId, ScanId};
use trueno_core::model::{
    Coverage, CoverageStatus, FindingDraft, JobPayload, NewJob, NewScan, Resource, ScanKind,
    ScanProgress, Severity,
};
use trueno_core::money::Saving;

use super::{Life, Stage};
use crate::fixtures::{coverage, finding, region, resource, saving, task};
use crate::noninterference::names::Thing;

// Kinds, regions, native ids and checks are the same in both organizations; few, and some more likely
// than others, so that the two meet under the same keys.
const KINDS: [&str; 2] = ["ec2.snapshot", "ec2.volume"];
pub(super) const REGIONS: [&str; 3] = ["eu-west-1", "eu-west-1", "us-east-1"];
const NATIVE_IDS: [&str; 6] = ["vol-0", "vol-0", "vol-0", "vol-1", "vol-1", "vol-2"];
pub(super) const CHECKS: [&str; 3] = [
    "ec2.volume.unattached",
    "ec2.volume.unattached",
    "ec2.volume.gp2",
];

/// One batch of a scan.
pub(super) struct Harvest {
    pub(super) tasks: u64,
    pub(super) resources: Vec<Resource>,
    pub(super) coverage: Vec<Coverage>,
    pub(super) findings: Vec<FindingDraft>,
    pub(super) resolved: Vec<String>,
    pub(super) progress: Option<ScanProgress>,
}

impl Life {
    /// The scan and its job, in one unit of work.
    pub(super) async fn request_scan(&mut self, stage: &Stage<'_>) {
        let owner = self.users[0];
        let Some(scope) = self.scope_of(stage, owner, Action::Scan).await else {
            return;
        };
        let account = self.one_of(&self.accounts.clone(), Thing::Account);
        let (id, job): (ScanId, JobId) = (self.fresh(Thing::Scan), self.fresh(Thing::Job));
        let payload = JobPayload {
            version: 1,
            body: json!({ "scan": id, "of": self.names.side.label() }),
        };
        let new_job = NewJob::new(job, self.names.scan_kind(), payload)
            .unwrap()
            .with_dedupe_key(&account.to_string())
            .unwrap();
        let new = NewScan {
            id,
            account,
            job,
            kind: ScanKind::Inventory,
        };
        let requested = self
            .change(stage, "scan.requested", &scope, async |unit| {
                let enqueued = unit.enqueue(vec![new_job]).await?;
                Ok((enqueued, unit.insert_scan(new).await?))
            })
            .await;
        if requested {
            self.scans.push(id);
            self.jobs.push(job);
        }
    }

    /// What the next batch of a scan brings.
    pub(super) fn harvest(&mut self) -> Harvest {
        let resources = (0..self.rng.random_range(0..4)).map(|_| self.resource());
        let resources = resources.collect();
        let coverage = (0..self.rng.random_range(0..3)).map(|_| self.coverage());
        let coverage = coverage.collect();
        let findings = (0..self.rng.random_range(1..4)).map(|_| self.finding());
        let findings = findings.collect();
        let resolved = (0..self.rng.random_range(0..3)).map(|_| self.finding().key);
        let resolved = resolved.collect();
        let progress = self.chance(0.3).then(|| ScanProgress {
            tasks: 4,
            tasks_done: self.pick(&[1, 2, 3]),
            resources: self.pick(&[5, 6]),
        });
        Harvest {
            tasks: self.pick(&[3, 4]),
            resources,
            coverage,
            findings,
            resolved,
            progress,
        }
    }

    fn resource(&mut self) -> Resource {
        let (kind, place) = (self.pick(&KINDS), self.pick(&REGIONS));
        let mut resource = resource(kind, place, self.pick(&NATIVE_IDS));
        resource.name = self.chance(0.8).then(|| self.text("Volume"));
        let team = self.names.side.label().to_owned();
        resource.tags.insert("team".to_owned(), team);
        resource
    }

    fn coverage(&mut self) -> Coverage {
        let (kind, place) = (self.pick(&KINDS), self.pick(&REGIONS));
        let status = if self.chance(0.5) {
            CoverageStatus::Complete
        } else {
            self.pick(CoverageStatus::ALL)
        };
        coverage(task(kind, place), status)
    }

    /// What a check says of a volume: under the same key in both organizations.
    pub(super) fn finding(&mut self) -> FindingDraft {
        let native_id = self.pick(&NATIVE_IDS);
        let mut draft = finding(native_id);
        draft.check = self.pick(&CHECKS).to_owned();
        draft.resource.region = region(self.pick(&REGIONS));
        let place = &draft.resource.region;
        draft.key = format!("{}/111122223333/{place}/{native_id}", draft.check);
        draft.name = Some(self.text("Volume"));
        let team = self.names.side.label().to_owned();
        draft.tags.insert("team".to_owned(), team);
        draft.severity = self.pick(Severity::ALL);
        draft.monthly_saving = if self.chance(0.8) {
            saving(self.pick(&[0, 1_000_000, 2_000_000, 3_000_000]))
        } else {
            Saving::Unknown
        };
        // Groups of either side's own making bear the same names.
        let group = self.pick(&["group/0", "group/1"]);
        draft.conflict_group = self.chance(0.7).then(|| group.to_owned());
        draft
    }
}
