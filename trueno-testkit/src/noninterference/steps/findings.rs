//! What members do with findings.

use trueno_core::access::Action;
use trueno_core::id::{CommentId, FindingId, UserId};
use trueno_core::model::NewComment;
use trueno_core::state::finding::FindingStep;

use super::{Life, Stage};
use crate::noninterference::names::Thing;

impl Life {
    /// A finding: one of its own mostly, or one that may not be there.
    pub(super) fn some_finding(&mut self) -> FindingId {
        if !self.findings.is_empty() && self.chance(0.9) {
            return self.pick(&self.findings.clone());
        }
        let account = if self.chance(0.5) {
            self.foreign(Thing::Account)
        } else {
            self.one_of(&self.accounts.clone(), Thing::Account)
        };
        let key = self.finding().key;
        FindingId::of(account, &key)
    }

    pub(super) async fn work_finding(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::WorkFindings).await else {
            return;
        };
        let id = self.some_finding();
        if self.chance(0.25) {
            let comment: CommentId = self.fresh(Thing::Comment);
            let new = NewComment::new(comment, id, &self.text("Comment")).unwrap();
            self.change(stage, "finding.commented", &scope, async |unit| {
                unit.add_comment(new).await
            })
            .await;
            return;
        }
        let Some(before) = self
            .look(stage, "finding", &scope, async |view| {
                view.finding(id).await
            })
            .await
        else {
            return;
        };
        let version = self.version(before.version);
        if self.chance(0.5) {
            let step = self.pick(&[
                FindingStep::Acknowledge,
                FindingStep::Start,
                FindingStep::PutBack,
            ]);
            self.change(stage, "finding.stepped", &scope, async |unit| {
                unit.step_finding(id, version, step).await
            })
            .await;
        } else {
            let assignee: Option<UserId> = match self.pick(&[0, 1, 1, 1, 2]) {
                0 => None,
                1 => Some(self.pick(&self.users.clone())),
                // Who may be a member of the other organization alone.
                _ => Some(self.foreign(Thing::User)),
            };
            self.change(stage, "finding.assigned", &scope, async |unit| {
                unit.assign_finding(id, version, assignee).await
            })
            .await;
        }
    }
}
