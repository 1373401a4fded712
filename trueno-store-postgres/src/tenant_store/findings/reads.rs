//! Findings as lists: every filter is served by an index that has the list's order behind it, but
//! for severities, which are few.

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use trueno_core::error::{Error, Result};
use trueno_core::id::{FindingId, OrganizationId};
use trueno_core::model::{Comment, Finding};
use trueno_core::port::{FindingFilter, Page, PageRequest};
use uuid::Uuid;

use super::super::{paging, tags};
use super::{WHAT, decode};
use crate::encode::RowExt as _;
use crate::error;
use crate::transaction::Tx;

const LIST: &str = "findings";

type Key = (Uuid, String);

pub(super) async fn finding(
    tx: &mut Tx,
    organization: OrganizationId,
    id: FindingId,
) -> Result<Finding> {
    let query = tx.query("select * from finding where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(|| Error::not_found(WHAT))?)
}

/// A finding that is not there is told apart from one that nothing was said of.
pub(super) async fn require(
    tx: &mut Tx,
    organization: OrganizationId,
    id: FindingId,
) -> Result<()> {
    let query = tx.query("select from finding where organization_id = $1 and id = $2");
    query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?
        .map(|_| ())
        .ok_or_else(|| Error::not_found(WHAT))
}

pub(super) async fn findings(
    tx: &mut Tx,
    organization: OrganizationId,
    filter: &FindingFilter,
    page: &PageRequest,
) -> Result<Page<Finding>> {
    let after = paging::after::<Key>(LIST, page)?;
    let mut query = QueryBuilder::new("select f.*");
    let ordered = push_filtered(&mut query, organization, filter)?;
    if let Some((account, key)) = &after {
        // Of both tables where there are two, so that neither is read from its beginning.
        let tables = if ordered == "f" {
            &["f"][..]
        } else {
            &["f", ordered]
        };
        for table in tables {
            query.push(format_args!(" and ({table}.account_id, {table}.key) > ("));
            query.push_bind(account).push(", ").push_bind(key).push(")");
        }
    }
    query.push(format_args!(
        " order by {ordered}.account_id, {ordered}.key"
    ));
    paging::fetch(tx, LIST, query, page, decode, key).await
}

/// Appends `from finding f … where …`. Answers the alias of the table whose account and key order
/// the list: the index of tags has them behind the tag.
pub(super) fn push_filtered(
    query: &mut QueryBuilder<Postgres>,
    organization: OrganizationId,
    filter: &FindingFilter,
) -> Result<&'static str> {
    let organization = organization.as_uuid();
    let ordered = if let Some(tag) = &filter.tag {
        paging::no_nul("tag", &tag.key)?;
        query.push(
            " from finding_tag t join finding f on f.organization_id = t.organization_id
                and f.account_id = t.account_id and f.key = t.key
             where t.organization_id = ",
        );
        query.push_bind(organization);
        query
            .push(" and t.tag_key = ")
            .push_bind(tags::indexed(&tag.key).into_owned());
        if let Some(value) = &tag.value {
            paging::no_nul("tag", value)?;
            query
                .push(" and t.tag_value = ")
                .push_bind(tags::indexed(value).into_owned());
        }
        query
            .push(" and f.organization_id = ")
            .push_bind(organization);
        "t"
    } else {
        query.push(" from finding f where f.organization_id = ");
        query.push_bind(organization);
        "f"
    };
    if let Some(account) = filter.account {
        query.push(format_args!(" and {ordered}.account_id = "));
        query.push_bind(account.as_uuid());
    }
    if let Some(scan) = filter.scan {
        // No index has the latest scan, since every look changes it: a scan's account has.
        query.push(format_args!(
            " and {ordered}.account_id = (select s.account_id from scan s where s.organization_id = "
        ));
        query.push_bind(organization);
        query.push(" and s.id = ").push_bind(scan.as_uuid());
        query
            .push(") and f.last_scan_id = ")
            .push_bind(scan.as_uuid());
    }
    if filter.standing {
        query.push(" and f.status not in ('resolved', 'suppressed')");
    }
    if let Some(status) = filter.status {
        query.push(" and f.status = ").push_bind(status.as_str());
    }
    if let Some(check) = &filter.check {
        paging::no_nul("check", check)?;
        query.push(" and f.check_id = ").push_bind(check.clone());
    }
    if let Some(region) = &filter.region {
        query
            .push(" and f.region = ")
            .push_bind(region.as_str().to_owned());
    }
    if let Some(severity) = filter.severity {
        query
            .push(" and f.severity = ")
            .push_bind(severity.as_str());
    }
    Ok(ordered)
}

fn key(row: &PgRow) -> Result<Key> {
    Ok((row.id("account_id")?, row.text("key")?))
}

/// What members say of a finding, oldest first.
pub(super) async fn comments(
    tx: &mut Tx,
    organization: OrganizationId,
    id: FindingId,
    page: &PageRequest,
) -> Result<Page<Comment>> {
    let list = format!("comments on {id}");
    let after = paging::after::<Uuid>(&list, page)?;
    require(tx, organization, id).await?;
    let mut query = QueryBuilder::new("select * from finding_comment where organization_id = ");
    query.push_bind(organization.as_uuid());
    query.push(" and finding_id = ").push_bind(id.as_uuid());
    if let Some(comment) = after {
        query.push(" and id > ").push_bind(comment);
    }
    query.push(" order by id");
    paging::fetch(tx, &list, query, page, decode_comment, |row| {
        row.id::<Uuid>("id")
    })
    .await
}

pub(super) fn decode_comment(row: &PgRow) -> Result<Comment> {
    Ok(Comment {
        id: row.id("id")?,
        finding: row.id("finding_id")?,
        author: row.id("author")?,
        text: row.text("text")?,
        created_at: row.time("created_at")?,
    })
}
