//! Jobs that wait, in the order in which they go, organization by organization.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use trueno_core::id::{JobId, OrganizationId};
use trueno_core::model::{JobKind, JobStatus};

use super::JobRow;

/// Jobs of one organization by kind and, within it, by priority (larger first). Within a priority,
/// those that are due come first: a claim looks at one job per kind and priority.
type Lane = BTreeMap<JobKind, BTreeMap<Reverse<i16>, BTreeSet<(Timestamp, JobId)>>>;

/// Every job that waits. Holds no finished job and no organization without one that waits, so a
/// claim's cost does not grow with history.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lanes: BTreeMap<OrganizationId, Lane>,
    /// The organization that was served last: the next claim begins after it.
    served: Option<OrganizationId>,
}

impl Waiting {
    /// The organizations with jobs that wait, the one whose turn it is first.
    pub(crate) fn turns(&self) -> Vec<OrganizationId> {
        let Some(served) = self.served else {
            return self.lanes.keys().copied().collect();
        };
        let after = self
            .lanes
            .range((Bound::Excluded(served), Bound::Unbounded));
        let around = self.lanes.range(..=served);
        after
            .chain(around)
            .map(|(organization, _)| *organization)
            .collect()
    }

    /// An organization had its turn.
    pub(crate) fn serve(&mut self, organization: OrganizationId) {
        self.served = Some(organization);
    }

    /// The job of an organization that goes next, of these kinds.
    pub(crate) fn next(
        &self,
        organization: OrganizationId,
        kinds: &[JobKind],
        now: Timestamp,
    ) -> Option<JobId> {
        let lane = self.lanes.get(&organization)?;
        kinds
            .iter()
            .filter_map(|kind| {
                lane.get(kind)?.iter().find_map(|(priority, jobs)| {
                    let (run_at, job) = jobs.first()?;
                    (*run_at <= now).then_some((*priority, *run_at, *job))
                })
            })
            .min()
            .map(|(_, _, job)| job)
    }

    /// How many wait that are due, and how many for their time.
    pub(crate) fn counts(&self, now: Timestamp) -> (u64, u64) {
        let buckets = self
            .lanes
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(BTreeMap::values);
        buckets.fold((0, 0), |(due, scheduled), jobs| {
            let ready = jobs.iter().take_while(|(run_at, _)| *run_at <= now).count();
            (due + ready as u64, scheduled + (jobs.len() - ready) as u64)
        })
    }

    /// Follows a change of a job.
    pub(crate) fn replace(
        &mut self,
        organization: OrganizationId,
        job: JobId,
        before: Option<&Arc<JobRow>>,
        after: Option<&Arc<JobRow>>,
    ) {
        if let Some(row) = before.filter(|row| waits(row)) {
            self.remove(organization, job, row);
        }
        if let Some(row) = after.filter(|row| waits(row)) {
            let lane = self.lanes.entry(organization).or_default();
            let priorities = lane.entry(row.spec.kind.clone()).or_default();
            let jobs = priorities.entry(Reverse(row.spec.priority)).or_default();
            jobs.insert((row.state.run_at, job));
        }
    }

    fn remove(&mut self, organization: OrganizationId, job: JobId, row: &JobRow) {
        let Some(lane) = self.lanes.get_mut(&organization) else {
            return;
        };
        let Some(priorities) = lane.get_mut(&row.spec.kind) else {
            return;
        };
        let priority = Reverse(row.spec.priority);
        let Some(jobs) = priorities.get_mut(&priority) else {
            return;
        };
        jobs.remove(&(row.state.run_at, job));
        if jobs.is_empty() {
            priorities.remove(&priority);
        }
        if priorities.is_empty() {
            lane.remove(&row.spec.kind);
        }
        if lane.is_empty() {
            self.lanes.remove(&organization);
        }
    }
}

fn waits(row: &JobRow) -> bool {
    matches!(row.state.status, JobStatus::Queued | JobStatus::Failed)
}
