//! What became of findings: who changed what.

use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use trueno_core::error::{Applied, Error, ErrorKind, Result};
use trueno_core::id::{FindingId, OrganizationId};
use trueno_core::model::{Actor, ChangeOfFinding, FindingChange, FindingStatus, Version};
use trueno_core::port::{Page, PageRequest};
use uuid::Uuid;

use super::super::paging;
use super::reads;
use crate::encode::{self, RowExt as _, bigint};
use crate::error;
use crate::transaction::Tx;

/// A change that was made, with the version that it gave its finding.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) finding: FindingId,
    pub(super) version: Version,
    pub(super) what: ChangeOfFinding,
}

impl Change {
    /// Of the status, where it changed.
    pub(super) fn of_status(
        finding: FindingId,
        version: Version,
        from: Option<FindingStatus>,
        to: FindingStatus,
    ) -> Option<Self> {
        (from != Some(to)).then_some(Self {
            finding,
            version,
            what: ChangeOfFinding::Status { from, to },
        })
    }
}

/// A change as its columns.
struct Columns {
    change: &'static str,
    statuses: (Option<&'static str>, Option<&'static str>),
    assignees: (Option<Uuid>, Option<Uuid>),
}

fn columns(what: &ChangeOfFinding) -> Result<Columns> {
    match what {
        ChangeOfFinding::Status { from, to } => Ok(Columns {
            change: "status",
            statuses: (from.map(FindingStatus::as_str), Some(to.as_str())),
            assignees: (None, None),
        }),
        ChangeOfFinding::Assignee { from, to } => Ok(Columns {
            change: "assignee",
            statuses: (None, None),
            assignees: (
                from.map(|user| user.as_uuid()),
                to.map(|user| user.as_uuid()),
            ),
        }),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "this store does not know such a change of a finding",
        )
        .with_applied(Applied::No)),
    }
}

/// Adds changes to the history, in one statement.
pub(super) async fn record(
    tx: &mut Tx,
    organization: OrganizationId,
    actor: Actor,
    changes: &[Change],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let (actor_kind, actor_id) = encode::actor(actor)?;
    let versions = changes
        .iter()
        .map(|change| bigint("version", change.version))
        .collect::<Result<Vec<i64>>>()?;
    let rows = changes
        .iter()
        .map(|change| columns(&change.what))
        .collect::<Result<Vec<_>>>()?;
    let query = tx.query(
        "insert into finding_change (
            organization_id, actor_kind, actor_id, finding_id, version, change,
            from_status, to_status, from_assignee, to_assignee
         )
         select $1, $2, $3, c.*
         from unnest(
            $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::uuid[]
         ) c",
    );
    query
        .bind(organization.as_uuid())
        .bind(actor_kind)
        .bind(actor_id)
        .bind(
            changes
                .iter()
                .map(|change| change.finding.as_uuid())
                .collect::<Vec<_>>(),
        )
        .bind(versions)
        .bind(rows.iter().map(|row| row.change).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.statuses.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.statuses.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.assignees.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.assignees.1).collect::<Vec<_>>())
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// What became of a finding, oldest first.
pub(super) async fn finding_history(
    tx: &mut Tx,
    organization: OrganizationId,
    id: FindingId,
    page: &PageRequest,
) -> Result<Page<FindingChange>> {
    let list = format!("history of {id}");
    let after = paging::after::<i64>(&list, page)?;
    reads::require(tx, organization, id).await?;
    let mut query = QueryBuilder::new("select * from finding_change where organization_id = ");
    query.push_bind(organization.as_uuid());
    query.push(" and finding_id = ").push_bind(id.as_uuid());
    if let Some(version) = after {
        query.push(" and version > ").push_bind(version);
    }
    query.push(" order by version");
    paging::fetch(tx, &list, query, page, decode, |row| {
        row.count::<i64>("version")
    })
    .await
}

fn decode(row: &PgRow) -> Result<FindingChange> {
    let what = match row.text("change")?.as_str() {
        "status" => ChangeOfFinding::Status {
            from: parsed_opt(row, "from_status")?,
            to: row.parsed("to_status")?,
        },
        "assignee" => ChangeOfFinding::Assignee {
            from: row.id_opt("from_assignee")?,
            to: row.id_opt("to_assignee")?,
        },
        _ => return Err(error::corrupt("change", std::fmt::Error)),
    };
    Ok(FindingChange {
        finding: row.id("finding_id")?,
        version: row.count("version")?,
        occurred_at: row.time("occurred_at")?,
        actor: row.actor("actor_kind", "actor_id")?,
        what,
    })
}

fn parsed_opt(row: &PgRow, column: &str) -> Result<Option<FindingStatus>> {
    row.text_opt(column)?
        .map(|text| {
            text.parse()
                .map_err(|source: Error| error::corrupt(column, source))
        })
        .transpose()
}
