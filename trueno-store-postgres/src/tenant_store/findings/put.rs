//! What looks say of findings.
//!
//! Tables keep no statistics, and what is joined may be planned to read a whole account. So findings
//! are looked up one by one (LATERAL, which LIMIT and OFFSET keep from being a join), and written where
//! they were found: through ON CONFLICT, or by the place of the row, which the lock keeps.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::types::Json;
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{CloudAccountId, FindingId, OrganizationId, ScanId};
use trueno_core::model::{Actor, FindingDraft, FindingStatus, Version, limits};
use trueno_core::money::{Money, PriceSource, Saving};
use trueno_core::state::finding::{self, FindingEvent};

use super::history::{self, Change};
use super::side_tags;
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;

/// Findings of one statement.
pub(super) const BATCH: usize = 1_000;

/// How often findings are looked up again that somebody else added in between.
const TRIES: u32 = 10;

/// Whose findings, and by which look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) organization: OrganizationId,
    pub(super) account: CloudAccountId,
    scan: ScanId,
    actor: Actor,
}

/// Adds findings or replaces what was said of them, as last found by `scan`.
pub(in super::super) async fn put(
    tx: &mut Tx,
    organization: OrganizationId,
    account: CloudAccountId,
    scan: ScanId,
    actor: Actor,
    drafts: Vec<FindingDraft>,
) -> Result<()> {
    drafts.iter().try_for_each(limits::finding)?;
    // Sorted, so that two batches lock rows in the same order; the last of the same key stands, since
    // one statement cannot change a row twice.
    let drafts: BTreeMap<&str, &FindingDraft> = drafts
        .iter()
        .map(|draft| (draft.key.as_str(), draft))
        .collect();
    let drafts: Vec<&FindingDraft> = drafts.into_values().collect();
    let look = Look {
        organization,
        account,
        scan,
        actor,
    };
    for batch in drafts.chunks(BATCH) {
        put_batch(tx, look, batch.to_vec()).await?;
    }
    Ok(())
}

/// A finding that is there, locked.
struct Known {
    status: FindingStatus,
    last_scan: ScanId,
    version: Version,
    /// The look says other tags than are stored.
    retagged: bool,
}

/// A finding as it will be.
struct Row<'a> {
    draft: &'a FindingDraft,
    id: FindingId,
    status: FindingStatus,
}

async fn put_batch(tx: &mut Tx, look: Look, mut left: Vec<&FindingDraft>) -> Result<()> {
    for _ in 0..TRIES {
        let known = lock_known(tx, look, &left).await?;
        let (mut found, mut new) = (Vec::new(), Vec::new());
        let (mut changes, mut retagged, mut tagged) = (Vec::new(), Vec::new(), Vec::new());
        for draft in left {
            let id = FindingId::of(look.account, &draft.key);
            let Some(known) = known.get(&draft.key) else {
                let status = finding::FIRST;
                new.push(Row { draft, id, status });
                continue;
            };
            let status = known.found_by(look.scan)?;
            found.push(Row { draft, id, status });
            changes.extend(Change::of_status(
                id,
                known.version + 1,
                Some(known.status),
                status,
            ));
            if known.retagged {
                retagged.push(draft);
            }
        }
        replace(tx, look, &found).await?;
        let added = insert(tx, look, &new).await?;
        let (new, lost): (Vec<Row<'_>>, Vec<Row<'_>>) = new
            .into_iter()
            .partition(|row| added.contains(&row.draft.key));
        for row in new {
            changes.extend(Change::of_status(row.id, 1, None, row.status));
            tagged.push(row.draft);
        }
        history::record(tx, look.organization, look.actor, &changes).await?;
        side_tags::remove(tx, look, &retagged).await?;
        tagged.append(&mut retagged);
        side_tags::add(tx, look, &tagged).await?;
        left = lost.into_iter().map(|row| row.draft).collect();
        if left.is_empty() {
            return Ok(());
        }
    }
    Err(conflict())
}

pub(super) fn conflict() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another scan changes the same findings; try again",
    )
    .with_applied(Applied::No)
}

impl Known {
    /// Its status once `scan` found it. A second attempt of the same scan is no other look.
    fn found_by(&self, scan: ScanId) -> Result<FindingStatus> {
        if self.last_scan == scan && self.status != FindingStatus::Resolved {
            return Ok(self.status);
        }
        Ok(finding::apply(self.status, FindingEvent::Found)?.to)
    }
}

/// In the order of the drafts, which is that of their keys.
async fn lock_known(
    tx: &mut Tx,
    look: Look,
    drafts: &[&FindingDraft],
) -> Result<BTreeMap<String, Known>> {
    let query = tx.query(
        "select f.key, f.status, f.last_scan_id, f.version, f.tags <> d.tags as retagged
         from unnest($3::text[], $4::jsonb[]) d (key, tags)
         cross join lateral (
            select * from finding
            where organization_id = $1 and account_id = $2 and key = d.key
            limit 1 for no key update
         ) f",
    );
    let rows = query
        .bind(look.organization.as_uuid())
        .bind(look.account.as_uuid())
        .bind(
            drafts
                .iter()
                .map(|draft| draft.key.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            drafts
                .iter()
                .map(|draft| Json(&draft.tags))
                .collect::<Vec<_>>(),
        )
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    rows.iter()
        .map(|row| {
            let known = Known {
                status: row.parsed("status")?,
                last_scan: row.id("last_scan_id")?,
                version: row.count("version")?,
                retagged: row.flag("retagged")?,
            };
            Ok((row.text("key")?, known))
        })
        .collect()
}

/// What is to happen where a finding is there: these columns are replaced, and where one of them was
/// another, the version counts up. They are compared as text, in which 1 and 1.0 are not the same.
macro_rules! replaced {
    ($($column:ident)+) => {
        concat!(
            "on conflict (organization_id, account_id, key) do update set ",
            $(stringify!($column), " = excluded.", stringify!($column), ", ",)+
            "last_scan_id = excluded.last_scan_id, last_seen_at = clock_timestamp(),
             version = finding.version + (array[",
            $("finding.", stringify!($column), "::text, ",)+
            "null] is distinct from array[",
            $("excluded.", stringify!($column), "::text, ",)+
            "null])::int"
        )
    };
}

/// Inserts what [`bind`] binds, and ends with what is to happen where it is there.
macro_rules! insert {
    ($($conflict:tt)+) => {
        concat!(
            "insert into finding (
                organization_id, account_id, first_scan_id, last_scan_id,
                key, check_id, check_version, parameters_hash, resource_kind, region, native_id,
                name, tags, severity, evidence, saving_micros, saving_currency, saving_source,
                saving_as_of, conflict_group, status, id
             )
             select $1, $2, $3, $3, f.*
             from unnest(
                $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::text[], $12::jsonb[], $13::text[], $14::jsonb[], $15::bigint[],
                $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::uuid[]
             ) f ",
            $($conflict)+
        )
    };
}

/// Adds findings. Answers the keys of those that it added: the others are there by now.
async fn insert(tx: &mut Tx, look: Look, rows: &[Row<'_>]) -> Result<BTreeSet<String>> {
    if rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    // Any conflict: key and id are the same to each other.
    let query = tx.query(insert!("on conflict do nothing returning key"));
    let added = bind(query, look, rows)
        .fetch_all(tx.connection())
        .await
        .map_err(error::statement)?;
    added.iter().map(|row| row.text("key")).collect()
}

/// Replaces what was said of findings that are there, and locked.
async fn replace(tx: &mut Tx, look: Look, rows: &[Row<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let query = tx.query(insert!(replaced!(
        check_id check_version parameters_hash resource_kind region native_id name tags severity
        evidence saving_micros saving_currency saving_source saving_as_of conflict_group status
    )));
    bind(query, look, rows)
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Binds the look ($1 to $3) and the columns of findings ($4 to $21).
fn bind<'q>(query: Statement<'q>, look: Look, rows: &[Row<'_>]) -> Statement<'q> {
    fn column<'a, T>(rows: &[Row<'a>], of: impl Fn(&'a FindingDraft) -> T) -> Vec<T> {
        rows.iter().map(|row| of(row.draft)).collect()
    }
    fn known(saving: &Saving) -> Option<(&Money, &PriceSource)> {
        match saving {
            Saving::Known { amount, origin } => Some((amount, origin)),
            Saving::Unknown => None,
        }
    }
    let saving = |of: &dyn Fn(&Money, &PriceSource) -> String| {
        column(rows, |d| {
            known(&d.monthly_saving).map(|(amount, origin)| of(amount, origin))
        })
    };
    query
        .bind(look.organization.as_uuid())
        .bind(look.account.as_uuid())
        .bind(look.scan.as_uuid())
        .bind(column(rows, |d| d.key.as_str()))
        .bind(column(rows, |d| d.check.as_str()))
        .bind(column(rows, |d| i64::from(d.check_version)))
        .bind(column(rows, |d| d.parameters_hash.as_str()))
        .bind(column(rows, |d| d.resource.kind.as_str()))
        .bind(column(rows, |d| d.resource.region.as_str()))
        .bind(column(rows, |d| d.resource.native_id.as_str()))
        .bind(column(rows, |d| d.name.as_deref()))
        .bind(column(rows, |d| Json(&d.tags)))
        .bind(column(rows, |d| d.severity.as_str()))
        .bind(column(rows, |d| Json(&d.evidence)))
        .bind(column(rows, |d| {
            known(&d.monthly_saving).map(|(amount, _)| amount.micros)
        }))
        .bind(saving(&|amount, _| amount.currency.to_string()))
        .bind(saving(&|_, origin| origin.source.clone()))
        .bind(saving(&|_, origin| origin.as_of.to_string()))
        .bind(column(rows, |d| d.conflict_group.as_deref()))
        .bind(
            rows.iter()
                .map(|row| row.status.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|row| row.id.as_uuid()).collect::<Vec<_>>())
}
