//! Exceptions: asked for, decided, lapsed.

use std::time::Duration;

use trueno_core::access::Action;
use trueno_core::id::ExceptionId;
use trueno_core::model::{ExceptionStatus, NewException};
use trueno_core::port::{ExceptionFilter, PageRequest};
use trueno_core::state::exception::ExceptionDecision;

use super::{Life, Stage};
use crate::noninterference::names::{Side, Thing};

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Life {
    pub(super) async fn except(&mut self, stage: &Stage<'_>) {
        if self.exceptions.is_empty() || self.chance(0.5) {
            self.request_exception(stage).await;
        }
        if self.chance(0.7) {
            self.decide_exception(stage).await;
        }
    }

    async fn request_exception(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::WorkFindings).await else {
            return;
        };
        let (finding, reason) = (self.some_finding(), self.text("Reason"));
        let id: ExceptionId = self.fresh(Thing::Exception);
        // Each of an organization ends on another day: one at a time lapses. A's end between B's.
        let nth = u32::try_from(self.exceptions.len()).unwrap() + 1;
        let lasts = match self.names.side {
            Side::A => DAY * nth + DAY / 2,
            Side::B => DAY * nth,
        };
        let now = stage.now().await;
        let new = NewException::new(id, finding, &reason, now + lasts, now).unwrap();
        self.exceptions.push(id);
        self.change(stage, "exception.requested", &scope, async |unit| {
            unit.request_exception(new).await
        })
        .await;
    }

    async fn decide_exception(&mut self, stage: &Stage<'_>) {
        let decision = self.pick(&[
            ExceptionDecision::Approve,
            ExceptionDecision::Approve,
            ExceptionDecision::Approve,
            ExceptionDecision::Reject,
            ExceptionDecision::Withdraw,
        ]);
        // Whoever it is: that the requester does not decide is part of the script.
        let Some(scope) = self.scope(stage, Action::DecideExceptions).await else {
            return;
        };
        let id = self.one_of(&self.exceptions.clone(), Thing::Exception);
        let Some(before) = self
            .look(stage, "exception", &scope, async |view| {
                view.exception(id).await
            })
            .await
        else {
            return;
        };
        let version = self.version(before.version);
        self.change(stage, "exception.decided", &scope, async |unit| {
            unit.decide_exception(id, version, decision).await
        })
        .await;
    }

    /// Lapses its exception that ends first, with all of the other side's that end before it.
    pub(super) async fn lapse(&mut self, stage: &Stage<'_>) {
        let owner = self.users[0];
        let Some(scope) = self.scope_of(stage, owner, Action::Read).await else {
            return;
        };
        let Some(listed) = self
            .look(stage, "live_exceptions", &scope, async |view| {
                let page = PageRequest::largest();
                let mut live = Vec::new();
                for status in [ExceptionStatus::Requested, ExceptionStatus::Approved] {
                    let filter = ExceptionFilter::default().with_status(status);
                    live.extend(view.exceptions(&filter, &page).await?.items);
                }
                Ok(live)
            })
            .await
        else {
            return;
        };
        let first = listed.iter().map(|exception| exception.expires_at).min();
        let until = match first {
            Some(first) => first,
            None => stage.now().await + DAY * 4,
        };
        stage.lapse(until, &mut self.notes).await;
    }
}
