//! Recommendations: read off the findings that stand, of each slot the best one.

use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, OrganizationId};
use trueno_core::model::Recommendation;
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::super::paging;
use super::{resource, saving};
use crate::encode::RowExt as _;
use crate::transaction::Tx;

const LIST: &str = "recommendations";

/// Account, region and slot.
type Key = (Uuid, String, String);

/// The index `finding_slot` gives the rows in this order but for equal savings, so that a page reads
/// the findings of its own slots and no more. The window orders its rows, which counting them does not
/// need, as the whole query does: otherwise everything would be sorted a second time.
pub(super) async fn recommendations(
    tx: &mut Tx,
    organization: OrganizationId,
    account: Option<CloudAccountId>,
    page: &PageRequest,
) -> Result<Page<Recommendation>> {
    let mut query = QueryBuilder::new(
        "select distinct on (account_id, region, slot) account_id, region, slot, id, key, check_id,
            resource_kind, native_id, saving_micros, saving_currency, saving_source, saving_as_of,
            count(*) over (
                partition by account_id, region, slot order by saving_micros desc nulls last, key
                rows between unbounded preceding and unbounded following
            ) - 1 as alternatives
         from finding
         where status not in ('resolved', 'suppressed') and organization_id = ",
    );
    query.push_bind(organization.as_uuid());
    if let Some(account) = account {
        query
            .push(" and account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some((account, region, slot)) = paging::after::<Key>(LIST, page)? {
        query.push(" and (account_id, region, slot) > (");
        query.push_bind(account).push(", ").push_bind(region);
        query.push(", ").push_bind(slot).push(")");
    }
    query.push(" order by account_id, region, slot, saving_micros desc nulls last, key");
    paging::fetch(tx, LIST, query, page, decode, key).await
}

fn key(row: &PgRow) -> Result<Key> {
    Ok((
        row.id("account_id")?,
        row.text("region")?,
        row.text("slot")?,
    ))
}

fn decode(row: &PgRow) -> Result<Recommendation> {
    Ok(Recommendation {
        account: row.id("account_id")?,
        finding: row.id("id")?,
        key: row.text("key")?,
        check: row.text("check_id")?,
        resource: resource(row)?,
        monthly_saving: saving(row)?,
        alternatives: row.count("alternatives")?,
    })
}
