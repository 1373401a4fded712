//! Claiming: one job after the other, each by whoever's turn it is.

use jiff::Timestamp;
use trueno_core::error::Result;
use trueno_core::port::{Claim, ClaimRequest, LeaseRef};

use crate::MemoryStore;
use crate::state::Database;

impl MemoryStore {
    pub(super) fn claim_due(
        &self,
        database: &mut Database,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Result<Vec<Claim>> {
        let expires_at =
            database
                .sessions
                .open(request.session, &request.kinds, now, request.lease_for)?;
        let mut claims = Vec::new();
        while claims.len() < request.limit
            && let Some((organization, job)) = database.queue.next(&request.kinds)
        {
            let lease = LeaseRef {
                organization,
                job,
                token: self.ids().next(now),
                session: request.session,
            };
            let mut draft = database.draft(organization)?;
            claims.push(draft.claim(lease, expires_at, now)?);
            database.commit(draft, Vec::new())?;
            database.queue.serve(organization);
        }
        Ok(claims)
    }
}
