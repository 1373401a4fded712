//! The side table of tags, which filters use.

use trueno_core::error::Result;
use trueno_core::model::FindingDraft;

use super::super::tags;
use super::put::Look;
use crate::error;
use crate::transaction::Tx;

/// Rows of one statement.
const BATCH: usize = 10_000;

/// Takes the tags of findings out of the side table that filters use.
pub(super) async fn remove(tx: &mut Tx, look: Look, drafts: &[&FindingDraft]) -> Result<()> {
    if drafts.is_empty() {
        return Ok(());
    }
    let query = tx.query(
        "delete from finding_tag where organization_id = $1 and ctid = any (array(
            select t.ctid from unnest($3::text[]) d (key)
            cross join lateral (
                select ctid from finding_tag
                where organization_id = $1 and account_id = $2 and key = d.key
                offset 0
            ) t
         ))",
    );
    query
        .bind(look.organization.as_uuid())
        .bind(look.account.as_uuid())
        .bind(
            drafts
                .iter()
                .map(|draft| draft.key.as_str())
                .collect::<Vec<_>>(),
        )
        .execute(tx.connection())
        .await
        .map_err(error::statement)?;
    Ok(())
}

/// Puts the tags of findings into the side table that filters use.
pub(super) async fn add(tx: &mut Tx, look: Look, drafts: &[&FindingDraft]) -> Result<()> {
    let tags: Vec<_> = drafts
        .iter()
        .flat_map(|draft| {
            draft
                .tags
                .iter()
                .map(|(key, value)| (draft.key.as_str(), tags::indexed(key), tags::indexed(value)))
        })
        .collect();
    for rows in tags.chunks(BATCH) {
        let query = tx.query(
            "insert into finding_tag (organization_id, account_id, key, tag_key, tag_value)
             select $1, $2, t.* from unnest($3::text[], $4::text[], $5::text[]) t",
        );
        query
            .bind(look.organization.as_uuid())
            .bind(look.account.as_uuid())
            .bind(rows.iter().map(|(key, ..)| *key).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, key, _)| &**key).collect::<Vec<_>>())
            .bind(rows.iter().map(|(.., value)| &**value).collect::<Vec<_>>())
            .execute(tx.connection())
            .await
            .map_err(error::statement)?;
    }
    Ok(())
}
