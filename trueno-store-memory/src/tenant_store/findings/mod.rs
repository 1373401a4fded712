//! Findings: reads, and what members do with them.

mod changes;
mod comments;
mod lists;
mod recommendations;

use async_trait::async_trait;
use trueno_core::access::Action;
use trueno_core::error::Result;
use trueno_core::id::{CloudAccountId, FindingId, UserId};
use trueno_core::model::{Comment, Finding, FindingChange, NewComment, Recommendation, Version};
use trueno_core::port::tenant_store::{FindingCount, FindingReads, FindingWrites};
use trueno_core::port::{Count, FindingFilter, Page, PageRequest};
use trueno_core::state::finding::{FindingEvent, FindingStep};

use super::member_of;
use super::read_view::View;
use super::unit_of_work::Unit;

#[async_trait]
impl FindingReads for View {
    async fn finding(&mut self, id: FindingId) -> Result<Finding> {
        self.look("read_view.finding", |draft| draft.finding(id))
    }

    async fn findings(
        &mut self,
        filter: &FindingFilter,
        page: &PageRequest,
    ) -> Result<Page<Finding>> {
        self.look("read_view.findings", |draft| {
            draft.finding_page(filter, page)
        })
    }

    async fn count_findings(&mut self, filter: &FindingFilter) -> Result<Count> {
        self.look("read_view.count_findings", |draft| {
            draft.count_findings(filter)
        })
    }

    async fn finding_counts(
        &mut self,
        account: Option<CloudAccountId>,
    ) -> Result<Vec<FindingCount>> {
        self.look("read_view.finding_counts", |draft| {
            Ok(draft.finding_counts(account))
        })
    }

    async fn finding_history(
        &mut self,
        id: FindingId,
        page: &PageRequest,
    ) -> Result<Page<FindingChange>> {
        self.look("read_view.finding_history", |draft| {
            draft.history_page(id, page)
        })
    }

    async fn comments(&mut self, id: FindingId, page: &PageRequest) -> Result<Page<Comment>> {
        self.look("read_view.comments", |draft| draft.comment_page(id, page))
    }

    async fn recommendations(
        &mut self,
        account: Option<CloudAccountId>,
        page: &PageRequest,
    ) -> Result<Page<Recommendation>> {
        self.look("read_view.recommendations", |draft| {
            draft.recommendation_page(account, page)
        })
    }
}

#[async_trait]
impl FindingWrites for Unit {
    async fn step_finding(
        &mut self,
        id: FindingId,
        version: Version,
        step: FindingStep,
    ) -> Result<Finding> {
        let by = self.stamp();
        self.write_as(Action::WorkFindings, "unit_of_work.step_finding", |draft| {
            let row = draft.finding_at(id, version)?;
            draft.move_finding(row, FindingEvent::Step(step), by)
        })
    }

    async fn assign_finding(
        &mut self,
        id: FindingId,
        version: Version,
        assignee: Option<UserId>,
    ) -> Result<Finding> {
        let by = self.stamp();
        let operation = "unit_of_work.assign_finding";
        self.write_as(Action::WorkFindings, operation, |draft| {
            let row = draft.finding_at(id, version)?;
            draft.assign(row, assignee, by)
        })
    }

    async fn add_comment(&mut self, new: NewComment) -> Result<Comment> {
        let (scope, by) = (self.scope, self.stamp());
        self.write_as(Action::WorkFindings, "unit_of_work.add_comment", |draft| {
            draft.add_comment(&new, member_of(&scope)?, by.at)
        })
    }
}
