//! How many findings there are. Triggers write down how every statement changed the counts; here
//! they are added up.

use sqlx::{Postgres, QueryBuilder};
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, OrganizationId};
use trueno_core::port::tenant_store::FindingCount;
use trueno_core::port::{COUNT_LIMIT, Count, FindingFilter};

use super::super::paging;
use super::reads::push_filtered;
use crate::encode::{RowExt as _, bigint};
use crate::error;
use crate::transaction::Tx;

pub(super) async fn count_findings(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &FindingFilter,
) -> Result<Count> {
    if filter.is_counted() {
        return kept(tx, organization, filter).await.map(Count::Exactly);
    }
    let mut query = QueryBuilder::new("select count(*) as found from (select 1");
    push_filtered(&mut query, organization, filter)?;
    query
        .push(" limit ")
        .push_bind(bigint("limit", COUNT_LIMIT)?)
        .push(") f");
    let found = number(tx, query).await?;
    Ok(if found < COUNT_LIMIT {
        Count::Exactly(found)
    } else {
        Count::AtLeast(COUNT_LIMIT)
    })
}

/// The count that is kept.
async fn kept(tx: &mut Tx, organization: OrganizationId, filter: &FindingFilter) -> Result<u64> {
    let mut query = QueryBuilder::new(
        "select coalesce(sum(delta), 0)::bigint as found from finding_count where organization_id = ",
    );
    query.push_bind(organization.as_uuid());
    if let Some(account) = filter.account {
        query
            .push(" and account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some(check) = &filter.check {
        paging::no_nul("check", check)?;
        query.push(" and check_id = ").push_bind(check.clone());
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status.as_str());
    }
    if filter.standing {
        query.push(" and status not in ('resolved', 'suppressed')");
    }
    number(tx, query).await
}

async fn number(tx: &mut Tx, mut query: QueryBuilder<Postgres>) -> Result<u64> {
    let query = query.build().persistent(tx.prepared());
    query
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?
        .count("found")
}

pub(super) async fn finding_counts(
    tx: &mut Tx,
    organization: OrganizationId,
    account: Option<CloudAccountId>,
) -> Result<Vec<FindingCount>> {
    let query = tx.query(
        "select account_id, check_id, status, sum(delta)::bigint as found from finding_count
         where organization_id = $1 and ($2 is null or account_id = $2)
         group by account_id, check_id, status having sum(delta) <> 0",
    );
    let rows = query
        .bind(organization.as_uuid())
        .bind(account.map(|account| account.as_uuid()))
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    let mut counts = rows
        .iter()
        .map(|row| {
            Ok(FindingCount {
                account: row.id("account_id")?,
                check: row.text("check_id")?,
                status: row.parsed("status")?,
                count: row.count("found")?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    // Statuses in their own order, which the database does not know.
    counts.sort_by(|a, b| (a.account, &a.check, a.status).cmp(&(b.account, &b.check, b.status)));
    Ok(counts)
}

/// Makes one row of what was written down for each check and status of an account, in the organization
/// of the lease that the transaction entered with: at the end of a scan, so that they stay few.
pub(in super::super) async fn fold(tx: &mut Tx, account: CloudAccountId) -> Result<()> {
    let query = tx.query("select fold_finding_counts($1)");
    query
        .bind(account.as_uuid())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}
