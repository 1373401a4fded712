//! The queue over every organization's jobs: what waits, whose turn it is, and what may not begin.

mod lane;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{JobId, OrganizationId};
use trueno_core::model::{JobKind, OrganizationLimits};
use trueno_core::port::{QueueStats, WaitReason};
use trueno_core::state::cap;

use super::{JobRow, JobSpec};
use lane::{Lane, place};
use turns::Turns;

/// Every job that waits, in the order in which they go, and how many run. Holds no finished job, so
/// what a claim costs does not grow with history; nor with what waits, is paused or held back by a
/// cap, or with the number of organizations, but by the depth of a search tree.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    now: Timestamp,
    /// Jobs whose time has not come, by it.
    later: BTreeMap<(Timestamp, OrganizationId, JobId), Arc<JobSpec>>,
    /// One for each organization that ever had a job, limits or a pause.
    lanes: HashMap<OrganizationId, Lane>,
    turns: Turns,
    paused: HashSet<JobKind>,
    due: u64,
    running: u64,
    opened: bool,
}

impl Queue {
    /// It is `now`: what became due by then may begin.
    pub(crate) fn advance_to(&mut self, now: Timestamp) {
        self.now = now;
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let ((run_at, organization, job), spec) = first.remove_entry();
            self.due += 1;
            self.change(organization, |lane| {
                lane.add(&spec, place(&spec, run_at, job));
            });
        }
    }

    /// The job that goes next, of these kinds.
    pub(crate) fn next(&self, kinds: &[JobKind]) -> Option<(OrganizationId, JobId)> {
        let open = || kinds.iter().filter(|kind| !self.paused.contains(*kind));
        let organization = self.turns.next(open())?;
        let lane = self.lanes.get(&organization)?;
        open()
            .filter_map(|kind| lane.fronts.get(kind)?.places.first())
            .min()
            .map(|(_, job)| (organization, *job))
    }

    /// An organization had its turn.
    pub(crate) fn serve(&mut self, organization: OrganizationId) {
        let Self { lanes, turns, .. } = self;
        if let Some(lane) = lanes.get_mut(&organization) {
            turns.serve(lane);
            turns.follow(organization, lane);
        }
    }

    /// Follows a change of a job.
    pub(crate) fn replace(
        &mut self,
        organization: OrganizationId,
        job: JobId,
        before: Option<&Arc<JobRow>>,
        after: Option<&Arc<JobRow>>,
    ) {
        if let Some(row) = before {
            self.remove(organization, job, row);
        }
        if let Some(row) = after {
            self.insert(organization, job, row);
        }
    }

    fn insert(&mut self, organization: OrganizationId, job: JobId, row: &JobRow) {
        let run_at = row.state.run_at;
        match row.state.status {
            status if status.is_terminal() => {}
            status if cap::counts(status) => {
                self.running += 1;
                self.change(organization, |lane| {
                    lane.live += 1;
                    lane.begin(&row.spec);
                });
            }
            _ if run_at <= self.now => {
                self.due += 1;
                self.change(organization, |lane| {
                    lane.live += 1;
                    lane.add(&row.spec, place(&row.spec, run_at, job));
                });
            }
            _ => {
                self.later
                    .insert((run_at, organization, job), row.spec.clone());
                self.change(organization, |lane| lane.live += 1);
            }
        }
    }

    fn remove(&mut self, organization: OrganizationId, job: JobId, row: &JobRow) {
        let run_at = row.state.run_at;
        match row.state.status {
            status if status.is_terminal() => {}
            status if cap::counts(status) => {
                self.running -= 1;
                self.change(organization, |lane| {
                    lane.live -= 1;
                    lane.end(&row.spec);
                });
            }
            _ => {
                let waited = self.later.remove(&(run_at, organization, job)).is_some();
                self.due -= u64::from(!waited);
                self.change(organization, |lane| {
                    lane.live -= 1;
                    if !waited {
                        lane.take(&row.spec, place(&row.spec, run_at, job));
                    }
                });
            }
        }
    }

    /// Changes an organization's lane, and its turns with it.
    fn change(&mut self, organization: OrganizationId, change: impl FnOnce(&mut Lane)) {
        let lane = self.lanes.entry(organization).or_default();
        change(lane);
        self.opened |= self.turns.follow(organization, lane);
    }

    /// How much of the workers an organization gets.
    pub(crate) fn limits(&self, organization: OrganizationId) -> OrganizationLimits {
        self.lanes
            .get(&organization)
            .map(|lane| lane.limits)
            .unwrap_or_default()
    }

    pub(crate) fn set_limits(&mut self, organization: OrganizationId, limits: OrganizationLimits) {
        self.change(organization, |lane| lane.limits = limits);
    }

    pub(crate) fn pause_organization(&mut self, organization: OrganizationId, paused: bool) {
        self.change(organization, |lane| lane.is_paused = paused);
    }

    pub(crate) fn pause_kind(&mut self, kind: &JobKind, paused: bool) {
        if paused {
            self.paused.insert(kind.clone());
        } else {
            self.opened |= self.paused.remove(kind);
        }
    }

    /// Nothing is left of an erased organization, whose jobs are gone already.
    pub(crate) fn forget(&mut self, organization: OrganizationId) {
        self.lanes.remove(&organization);
    }

    /// Passes where an organization may have `more` jobs beside those that wait or run, and beside
    /// `drafted` ones that nobody else sees yet (fewer than none, where jobs ended unseen).
    /// Those are counted only where it has a quota.
    pub(crate) fn require_room(
        &self,
        organization: OrganizationId,
        drafted: impl FnOnce() -> i64,
        more: usize,
    ) -> Result<()> {
        let Some(lane) = self.lanes.get(&organization) else {
            return Ok(());
        };
        let Some(most) = lane.limits.max_live() else {
            return Ok(());
        };
        let live = lane.live.saturating_add_signed(drafted());
        if more == 0 || live.saturating_add(more as u64) <= u64::from(most) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Exhausted,
            format!(
                "the organization has {live} jobs waiting or running, and its quota is {most}: \
                 wait for some to end, or raise max_live"
            ),
        ))
    }

    /// What holds a job back that is due; `has_worker` says whether a worker that is there takes
    /// jobs of its kind.
    pub(crate) fn holds_back(
        &self,
        organization: OrganizationId,
        spec: &JobSpec,
        has_worker: bool,
    ) -> WaitReason {
        let lane = self.lanes.get(&organization);
        if self.paused.contains(&spec.kind) || lane.is_some_and(|lane| lane.is_paused) {
            return WaitReason::Paused;
        }
        if !has_worker {
            return WaitReason::NoWorker;
        }
        if let Some(max_running) = lane.and_then(Lane::full) {
            return WaitReason::OrganizationLimit { max_running };
        }
        if let (Some(lane), Some(concurrency)) = (lane, &spec.concurrency)
            && !cap::has_room(
                concurrency.limit(),
                lane.running_under(concurrency.key()).into(),
            )
        {
            let concurrency = concurrency.clone();
            return WaitReason::ConcurrencyLimit { concurrency };
        }
        WaitReason::Due
    }

    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            waiting: self.due + self.later.len() as u64,
            running: self.running,
        }
    }

    /// Whether something may begin that could not when this was asked last: a reason to wake
    /// workers.
    pub(crate) fn take_opened(&mut self) -> bool {
        std::mem::take(&mut self.opened)
    }
}
