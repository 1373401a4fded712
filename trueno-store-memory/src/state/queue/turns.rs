//! Whose turn it is: start-time fair queueing over the organizations.
//! Source of the method: Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996.

use std::collections::{BTreeSet, HashMap};

use trueno_core::id::OrganizationId;
use trueno_core::model::JobKind;

use super::lane::Lane;

/// A moment of virtual time, in which an organization of weight 1 begins one job per [`JOB`].
pub(super) type Tag = u128;

/// What one job costs an organization of weight 1. So large that no weight divides it badly.
const JOB: Tag = 1 << 32;

/// The organizations that have something to begin, by kind: the one with the smallest tag goes
/// first. A claim looks at one organization per kind, however many there are.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_kind: HashMap<JobKind, BTreeSet<(Tag, OrganizationId)>>,
    /// The largest tag that was served.
    time: Tag,
}

impl Turns {
    /// The organization whose turn it is, of those with jobs of these kinds.
    pub(super) fn next<'a>(
        &self,
        kinds: impl Iterator<Item = &'a JobKind>,
    ) -> Option<OrganizationId> {
        kinds
            .filter_map(|kind| self.by_kind.get(kind)?.first())
            .min()
            .map(|(_, organization)| *organization)
    }

    /// An organization began a job: it goes back by what that costs it. One that had nothing to
    /// begin for a while begins again at the present: nobody saves up turns.
    pub(super) fn serve(&mut self, lane: &mut Lane) {
        self.time = self.time.max(lane.tag);
        lane.tag = self.time + JOB / Tag::from(lane.limits.weight());
    }

    /// Follows a change of an organization's lane. Answers whether it has turns that it did not
    /// have.
    pub(super) fn follow(&mut self, organization: OrganizationId, lane: &mut Lane) -> bool {
        let may_begin = !lane.is_paused && lane.full().is_none();
        let tag = may_begin.then_some(lane.tag);
        let mut opened = false;
        lane.fronts.retain(|kind, front| {
            let turn = tag.filter(|_| !front.places.is_empty());
            if turn != front.turn {
                opened |= front.turn.is_none();
                self.replace(organization, kind, front.turn, turn);
                front.turn = turn;
            }
            !front.places.is_empty()
        });
        opened
    }

    fn replace(
        &mut self,
        organization: OrganizationId,
        kind: &JobKind,
        before: Option<Tag>,
        after: Option<Tag>,
    ) {
        if !self.by_kind.contains_key(kind) {
            self.by_kind.insert(kind.clone(), BTreeSet::new());
        }
        let Some(turns) = self.by_kind.get_mut(kind) else {
            return;
        };
        if let Some(tag) = before {
            turns.remove(&(tag, organization));
        }
        if let Some(tag) = after {
            turns.insert((tag, organization));
        }
        if turns.is_empty() {
            self.by_kind.remove(kind);
        }
    }
}
