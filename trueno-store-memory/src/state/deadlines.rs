//! What becomes due, in the order in which it does: exceptions whose time runs out, ticks of schedules.

use std::collections::BTreeSet;
use std::ops::Bound;

use jiff::Timestamp;
use trueno_core::id::OrganizationId;

/// When something of an organization is due.
pub(crate) type Deadline<I> = (Timestamp, OrganizationId, I);

/// Deadlines of every organization, oldest first.
#[derive(Debug)]
pub(crate) struct Deadlines<I>(BTreeSet<Deadline<I>>);

impl<I> Default for Deadlines<I> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<I: Copy + Ord> Deadlines<I> {
    /// Up to `limit` deadlines that passed by `now`, after the one given.
    pub(crate) fn due(
        &self,
        now: Timestamp,
        after: Option<Deadline<I>>,
        limit: usize,
    ) -> Vec<Deadline<I>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let due = self.0.range((start, Bound::Unbounded));
        due.take_while(|(at, _, _)| *at <= now)
            .take(limit)
            .copied()
            .collect()
    }

    /// Follows a change of what has a deadline.
    pub(crate) fn replace(
        &mut self,
        organization: OrganizationId,
        before: Option<(Timestamp, I)>,
        after: Option<(Timestamp, I)>,
    ) {
        if let Some((at, id)) = before {
            self.0.remove(&(at, organization, id));
        }
        if let Some((at, id)) = after {
            self.0.insert((at, organization, id));
        }
    }
}
