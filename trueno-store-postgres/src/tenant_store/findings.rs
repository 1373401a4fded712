//! Findings.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Row as _};
use trueno_core::error::{Error, Result};
use trueno_core::id::{CloudAccountId, OrganizationId, ScanId};
use trueno_core::model::{Finding, FindingDraft, ResourceRef};
use trueno_core::money::{Money, PriceSource, Saving};
use trueno_core::port::tenant_store::{FindingReads, FindingUpsert};
use trueno_core::port::{FindingFilter, Page, PageRequest};
use uuid::Uuid;

use super::{paging, view};
use crate::encode::RowExt as _;
use crate::error;
use crate::pool::Tx;

const LIST: &str = "findings";

/// Rows of one statement.
const BATCH: usize = 1_000;

type Key = (Uuid, String);

view::reads! {
    FindingReads {
        fn finding(account: CloudAccountId, key: &str) -> Finding;
        fn findings(filter: &FindingFilter, page: &PageRequest) -> Page<Finding>;
    } for view
}

async fn finding(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    key: &str,
) -> Result<Finding> {
    let query = tx
        .query("select * from finding where organization_id = $1 and account_id = $2 and key = $3");
    let row = query
        .bind(organization.as_uuid())
        .bind(account.as_uuid())
        .bind(key)
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(|| Error::not_found("finding"))?)
}

async fn findings(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &FindingFilter,
    page: &PageRequest,
) -> Result<Page<Finding>> {
    let mut query = QueryBuilder::new("select * from finding where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(account) = filter.account {
        query
            .push(" and account_id = ")
            .push_bind(account.as_uuid());
    }
    if let Some(scan) = filter.scan {
        query.push(" and last_scan_id = ").push_bind(scan.as_uuid());
    }
    if filter.standing {
        query.push(" and status not in ('resolved', 'suppressed')");
    }
    if let Some((account, key)) = paging::after::<Key>(LIST, page)? {
        query.push(" and (account_id, key) > (");
        query.push_bind(account).push(", ").push_bind(key).push(")");
    }
    query.push(" order by account_id, key");
    paging::fetch(tx, LIST, query, page, decode, key).await
}

/// Adds findings or replaces what was said of them, as last found by `scan`.
pub(super) async fn put(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    findings: Vec<FindingUpsert>,
) -> Result<()> {
    // Sorted, and the last of the same key stands: as for resources.
    let findings: BTreeMap<String, FindingUpsert> = findings
        .into_iter()
        .map(|finding| (finding.draft.key.clone(), finding))
        .collect();
    let findings: Vec<&FindingUpsert> = findings.values().collect();
    for batch in findings.chunks(BATCH) {
        put_batch(tx, organization, account, scan, batch).await?;
    }
    Ok(())
}

async fn put_batch(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    batch: &[&FindingUpsert],
) -> Result<()> {
    fn column<'a, T>(batch: &[&'a FindingUpsert], of: impl Fn(&'a FindingDraft) -> T) -> Vec<T> {
        batch.iter().map(|finding| of(&finding.draft)).collect()
    }
    fn known(saving: &Saving) -> Option<(&Money, &PriceSource)> {
        match saving {
            Saving::Known { amount, origin } => Some((amount, origin)),
            Saving::Unknown => None,
        }
    }
    let saving = |of: &dyn Fn(&Money, &PriceSource) -> String| {
        column(batch, |d| {
            known(&d.monthly_saving).map(|(amount, origin)| of(amount, origin))
        })
    };
    let query = tx.query(
        "insert into finding (
            organization_id, account_id, first_scan_id, last_scan_id,
            key, check_id, check_version, parameters_hash, resource_kind, region, native_id, name,
            tags, severity, evidence, saving_micros, saving_currency, saving_source, saving_as_of,
            conflict_group, status
         )
         select $1, $2, $3, $3, f.*
         from unnest(
            $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::jsonb[], $13::text[], $14::jsonb[], $15::bigint[], $16::text[],
            $17::text[], $18::text[], $19::text[], $20::text[]
         ) f
         on conflict (organization_id, account_id, key) do update set
            last_scan_id = excluded.last_scan_id, check_id = excluded.check_id,
            check_version = excluded.check_version, parameters_hash = excluded.parameters_hash,
            resource_kind = excluded.resource_kind, region = excluded.region,
            native_id = excluded.native_id, name = excluded.name, tags = excluded.tags,
            severity = excluded.severity, evidence = excluded.evidence,
            saving_micros = excluded.saving_micros, saving_currency = excluded.saving_currency,
            saving_source = excluded.saving_source, saving_as_of = excluded.saving_as_of,
            conflict_group = excluded.conflict_group, status = excluded.status,
            last_seen_at = clock_timestamp(), version = finding.version + 1",
    );
    query
        .bind(organization.as_uuid())
        .bind(account.as_uuid())
        .bind(scan.as_uuid())
        .bind(column(batch, |d| d.key.as_str()))
        .bind(column(batch, |d| d.check.as_str()))
        .bind(column(batch, |d| i64::from(d.check_version)))
        .bind(column(batch, |d| d.parameters_hash.as_str()))
        .bind(column(batch, |d| d.resource.kind.as_str()))
        .bind(column(batch, |d| d.resource.region.as_str()))
        .bind(column(batch, |d| d.resource.native_id.as_str()))
        .bind(column(batch, |d| d.name.as_deref()))
        .bind(column(batch, |d| Json(&d.tags)))
        .bind(column(batch, |d| d.severity.as_str()))
        .bind(column(batch, |d| Json(&d.evidence)))
        .bind(column(batch, |d| {
            known(&d.monthly_saving).map(|(amount, _)| amount.micros)
        }))
        .bind(saving(&|amount, _| amount.currency.to_string()))
        .bind(saving(&|_, origin| origin.source.clone()))
        .bind(saving(&|_, origin| origin.as_of.to_string()))
        .bind(column(batch, |d| d.conflict_group.as_deref()))
        .bind(
            batch
                .iter()
                .map(|finding| finding.status.as_str())
                .collect::<Vec<_>>(),
        )
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Marks findings of an account as resolved.
pub(super) async fn resolve(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    mut keys: Vec<String>,
) -> Result<()> {
    keys.sort_unstable();
    let query = tx.query(
        "update finding set status = 'resolved', version = version + 1
         where organization_id = $1 and account_id = $2 and key = any ($3)
            and status <> 'resolved'",
    );
    query
        .bind(organization.as_uuid())
        .bind(account.as_uuid())
        .bind(keys)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

fn key(row: &PgRow) -> Result<Key> {
    Ok((row.id("account_id")?, row.text("key")?))
}

fn decode(row: &PgRow) -> Result<Finding> {
    Ok(Finding {
        draft: FindingDraft {
            key: row.text("key")?,
            check: row.text("check_id")?,
            check_version: row.count("check_version")?,
            parameters_hash: row.text("parameters_hash")?,
            resource: ResourceRef {
                kind: row.parsed("resource_kind")?,
                region: row.parsed("region")?,
                native_id: row.text("native_id")?,
            },
            name: row.text_opt("name")?,
            tags: row.json("tags")?,
            severity: row.parsed("severity")?,
            evidence: row.json("evidence")?,
            monthly_saving: saving(row)?,
            conflict_group: row.text_opt("conflict_group")?,
        },
        account: row.id("account_id")?,
        status: row.parsed("status")?,
        first_scan: row.id("first_scan_id")?,
        last_scan: row.id("last_scan_id")?,
        first_seen_at: row.time("first_seen_at")?,
        last_seen_at: row.time("last_seen_at")?,
        version: row.count("version")?,
    })
}

fn saving(row: &PgRow) -> Result<Saving> {
    let micros: Option<i64> = row.try_get("saving_micros").map_err(error::statement)?;
    let Some(micros) = micros else {
        return Ok(Saving::Unknown);
    };
    let as_of = row
        .text("saving_as_of")?
        .parse()
        .map_err(|source: jiff::Error| error::corrupt("saving_as_of", source))?;
    Ok(Saving::Known {
        amount: Money {
            micros,
            currency: row.parsed("saving_currency")?,
        },
        origin: PriceSource {
            source: row.text("saving_source")?,
            as_of,
        },
    })
}
