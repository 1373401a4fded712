//! Exceptions that wait or hold, in the order in which their time runs out.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use trueno_core::id::{ExceptionId, OrganizationId};
use trueno_core::model::Exception;

/// Live exceptions of every organization, oldest expiry first.
#[derive(Debug, Default)]
pub(crate) struct Expiries(BTreeSet<(Timestamp, OrganizationId, ExceptionId)>);

impl Expiries {
    /// Up to `limit` exceptions whose time ran out by `now`.
    pub(crate) fn due(&self, now: Timestamp, limit: usize) -> Vec<(OrganizationId, ExceptionId)> {
        let due = self.0.iter().take_while(|(at, _, _)| *at <= now);
        due.take(limit)
            .map(|(_, organization, id)| (*organization, *id))
            .collect()
    }

    /// Follows a change of an exception.
    pub(crate) fn replace(
        &mut self,
        organization: OrganizationId,
        before: Option<&Arc<Exception>>,
        after: Option<&Arc<Exception>>,
    ) {
        let live = |row: Option<&Arc<Exception>>| {
            row.filter(|row| row.status.is_live())
                .map(|row| (row.expires_at, organization, row.id))
        };
        if let Some(place) = live(before) {
            self.0.remove(&place);
        }
        if let Some(place) = live(after) {
            self.0.insert(place);
        }
    }
}
