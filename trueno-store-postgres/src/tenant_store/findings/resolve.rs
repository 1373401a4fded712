//! Findings that a complete look no longer found.

use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, FindingId, OrganizationId};
use trueno_core::model::{Actor, Version};
use trueno_core::state::finding::{self, FindingEvent};

use super::super::exceptions;
use super::history::{self, Change};
use super::put::{BATCH, conflict};
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;

/// Resolves findings of an account and closes their live exceptions. Keys that are not there, or
/// resolved already, are passed over.
pub(in super::super) async fn resolve(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    actor: Actor,
    mut keys: Vec<String>,
) -> Result<()> {
    keys.sort_unstable();
    keys.dedup();
    for batch in keys.chunks(BATCH) {
        let query = tx.query(
            "select f.id, f.status, f.version, f.ctid::text as place
             from unnest($3::text[]) k (key)
             cross join lateral (
                select id, status, version, ctid from finding
                where organization_id = $1 and account_id = $2 and key = k.key
                    and status <> 'resolved'
                limit 1 for no key update
             ) f",
        );
        let rows = query
            .bind(organization.as_uuid())
            .bind(account.as_uuid())
            .bind(batch)
            .fetch_all(tx.connection())
            .await
            .map_err(error::statement)?;
        let mut gone: Vec<FindingId> = Vec::with_capacity(rows.len());
        let (mut statuses, mut places) = (Vec::new(), Vec::new());
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            let (id, from) = (row.id("id")?, row.parsed("status")?);
            let to = finding::apply(from, FindingEvent::Gone)?.to;
            let version = row.count::<Version>("version")? + 1;
            changes.extend(Change::of_status(id, version, Some(from), to));
            statuses.push(to.as_str());
            places.push(row.text("place")?);
            gone.push(id);
        }
        if gone.is_empty() {
            continue;
        }
        let query = tx.query(
            "update finding f set status = d.status, version = f.version + 1
             from unnest($2::uuid[], $3::text[]) d (id, status)
             where f.organization_id = $1 and f.id = d.id and f.ctid = any ($4::text[]::tid[])",
        );
        let updated = query
            .bind(organization.as_uuid())
            .bind(gone.iter().map(FindingId::as_uuid).collect::<Vec<_>>())
            .bind(statuses)
            .bind(places)
            .execute(tx.connection())
            .await
            .map_err(error::statement)?;
        if updated.rows_affected() != gone.len() as u64 {
            return Err(conflict());
        }
        history::record(tx, organization, actor, &changes).await?;
        exceptions::close(tx, organization, &gone).await?;
    }
    Ok(())
}
