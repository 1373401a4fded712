//! Findings: what looks say of them, what members do with them, and what became of them.

mod counts;
mod history;
mod put;
mod reads;
mod recommendations;
mod resolve;
mod side_tags;
mod writes;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, FindingId, UserId};
use trueno_core::model::{
    Comment, Finding, FindingChange, FindingDraft, NewComment, Recommendation, ResourceRef, Version,
};
use trueno_core::money::{Money, PriceSource, Saving};
use trueno_core::port::tenant_store::{FindingCount, FindingReads, FindingWrites};
use trueno_core::port::{Count, FindingFilter, Page, PageRequest};
use trueno_core::state::finding::FindingStep;

pub(super) use counts::fold as fold_counts;
use counts::{count_findings, finding_counts};
use history::finding_history;
pub(super) use put::put;
use reads::{comments, finding, findings};
use recommendations::recommendations;
pub(super) use resolve::resolve;
pub(super) use writes::{apply, lock, unassign};

use super::unit::{PgUnitOfWork, step};
use super::view;
use crate::encode::RowExt as _;
use crate::error;

/// What errors call one.
pub(super) const WHAT: &str = "finding";

view::reads! {
    FindingReads {
        fn finding(id: FindingId) -> Finding;
        fn findings(filter: &FindingFilter, page: &PageRequest) -> Page<Finding>;
        fn count_findings(filter: &FindingFilter) -> Count;
        fn finding_counts(account: Option<CloudAccountId>) -> Vec<FindingCount>;
        fn finding_history(id: FindingId, page: &PageRequest) -> Page<FindingChange>;
        fn comments(id: FindingId, page: &PageRequest) -> Page<Comment>;
        fn recommendations(
            account: Option<CloudAccountId>, page: &PageRequest
        ) -> Page<Recommendation>;
    } for view
}

#[async_trait]
impl FindingWrites for PgUnitOfWork {
    async fn step_finding(
        &mut self,
        id: FindingId,
        version: Version,
        step: FindingStep,
    ) -> Result<Finding> {
        step!(self, step_finding for WorkFindings, tx =>
            writes::step(&mut tx, self.organization(), self.actor(), id, version, step))
    }

    async fn assign_finding(
        &mut self,
        id: FindingId,
        version: Version,
        assignee: Option<UserId>,
    ) -> Result<Finding> {
        step!(self, assign_finding for WorkFindings, tx =>
            writes::assign(&mut tx, self.organization(), self.actor(), id, version, assignee))
    }

    async fn add_comment(&mut self, new: NewComment) -> Result<Comment> {
        step!(self, add_comment for WorkFindings, tx =>
            writes::comment(&mut tx, self.organization(), self.member()?, new))
    }
}

fn decode(row: &PgRow) -> Result<Finding> {
    Ok(Finding {
        id: row.id("id")?,
        draft: FindingDraft {
            key: row.text("key")?,
            check: row.text("check_id")?,
            check_version: row.count("check_version")?,
            parameters_hash: row.text("parameters_hash")?,
            resource: resource(row)?,
            name: row.text_opt("name")?,
            tags: row.json("tags")?,
            severity: row.parsed("severity")?,
            evidence: row.json("evidence")?,
            monthly_saving: saving(row)?,
            conflict_group: row.text_opt("conflict_group")?,
        },
        account: row.id("account_id")?,
        status: row.parsed("status")?,
        assignee: row.id_opt("assignee")?,
        first_scan: row.id("first_scan_id")?,
        last_scan: row.id("last_scan_id")?,
        first_seen_at: row.time("first_seen_at")?,
        last_seen_at: row.time("last_seen_at")?,
        version: row.count("version")?,
    })
}

fn resource(row: &PgRow) -> Result<ResourceRef> {
    Ok(ResourceRef {
        kind: row.parsed("resource_kind")?,
        region: row.parsed("region")?,
        native_id: row.text("native_id")?,
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
