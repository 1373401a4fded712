//! Exceptions from findings.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use trueno_core::access::{Action, OrgScope};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{ExceptionId, FindingId, UserId};
use trueno_core::model::{Exception, ExceptionStatus, NewException, Version};
use trueno_core::port::tenant_store::{ExceptionReads, ExceptionWrites};
use trueno_core::port::{ExceptionFilter, Page, PageRequest};
use trueno_core::state::exception::{self, ExceptionDecision, ExceptionEvent};
use trueno_core::state::finding::{self, FindingEvent};

use super::cursor::List;
use super::read_view::View;
use super::unit_of_work::Unit;
use super::{Stamp, member_of, require_version};
use crate::state::Draft;

impl Draft {
    fn exception(&self, id: ExceptionId) -> Result<Exception> {
        self.exceptions
            .get(&Reverse(id))
            .map(|row| Exception::clone(row))
            .ok_or_else(|| Error::not_found("exception"))
    }

    fn exception_page(
        &self,
        filter: &ExceptionFilter,
        page: &PageRequest,
    ) -> Result<Page<Exception>> {
        List {
            name: "exceptions".into(),
            rows: &self.exceptions,
            start: Bound::Unbounded,
        }
        .page(
            page,
            |_| true,
            |_, row: &Arc<Exception>| {
                let wanted = filter.finding.is_none_or(|finding| finding == row.finding)
                    && filter.status.is_none_or(|status| status == row.status);
                wanted.then(|| Exception::clone(row))
            },
        )
    }

    fn request_exception(
        &mut self,
        new: &NewException,
        requester: UserId,
        by: Stamp,
    ) -> Result<Exception> {
        let finding = self.finding(new.finding())?;
        if self.exceptions.contains(&Reverse(new.id())) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the exception's id is in use",
            ));
        }
        if self.live_exceptions.contains(&finding.id) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the finding has an exception that waits or holds",
            ));
        }
        // Whoever asks wants it suppressed in the end: what can never be is refused now.
        finding::apply(finding.status, FindingEvent::Suppressed)?;
        // It has to be so at the commit still, or nobody would close the exception.
        self.findings
            .rely_on((finding.account, finding.draft.key.clone()));
        let exception = Exception {
            id: new.id(),
            finding: finding.id,
            reason: new.reason().to_owned(),
            requester,
            approver: None,
            status: ExceptionStatus::Requested,
            expires_at: new.expires_at(),
            created_at: by.at,
            changed_at: by.at,
            version: 1,
        };
        self.live_exceptions.put(finding.id, exception.id);
        self.exceptions.put(Reverse(new.id()), exception.clone());
        Ok(exception)
    }

    fn decide_exception(
        &mut self,
        scope: &OrgScope,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
        by: Stamp,
    ) -> Result<Exception> {
        if decision != ExceptionDecision::Withdraw {
            scope.permit(Action::DecideExceptions)?;
        }
        let member = member_of(scope)?;
        let mut row = self.exception(id)?;
        match decision {
            ExceptionDecision::Approve | ExceptionDecision::Reject if row.requester == member => {
                let message = "somebody other than the requester has to approve or reject it";
                return Err(Error::new(ErrorKind::Denied, message));
            }
            ExceptionDecision::Withdraw if row.requester != member => {
                scope.permit(Action::DecideExceptions)?;
            }
            _ => {}
        }
        require_version("exception", row.version, version)?;
        // The machine is asked before the clock: what has ended says so.
        exception::apply(row.status, ExceptionEvent::Decided(decision))?;
        if decision == ExceptionDecision::Approve && row.expires_at <= by.at {
            return Err(Error::new(
                ErrorKind::InvalidTransition,
                "the exception's time has run out; ask for a new one",
            ));
        }
        if decision != ExceptionDecision::Withdraw {
            row.approver = Some(member);
        }
        self.move_exception(row, ExceptionEvent::Decided(decision), by)
    }

    /// One step of an exception, with what it does to its finding.
    fn move_exception(
        &mut self,
        mut row: Exception,
        event: ExceptionEvent,
        by: Stamp,
    ) -> Result<Exception> {
        let step = exception::apply(row.status, event)?;
        row.status = step.to;
        row.changed_at = by.at;
        row.version += 1;
        let effect = match (step.from, step.to) {
            (_, ExceptionStatus::Approved) => Some(FindingEvent::Suppressed),
            // A finding that was resolved is no longer suppressed.
            (ExceptionStatus::Approved, to) if to != ExceptionStatus::Closed => {
                Some(FindingEvent::ExceptionEnded)
            }
            _ => None,
        };
        if let Some(effect) = effect {
            let finding = self.finding(row.finding)?;
            self.move_finding(finding, effect, by)?;
        }
        if !row.status.is_live() {
            self.live_exceptions.remove(row.finding);
        }
        self.exceptions.put(Reverse(row.id), row.clone());
        Ok(row)
    }

    /// Closes the exception of a finding that is resolved, where one waits or holds.
    pub(super) fn close_exception_of(&mut self, finding: FindingId, by: Stamp) -> Result<()> {
        if let Some(live) = self.live_exceptions.get(&finding).map(|id| **id) {
            let row = self.exception(live)?;
            self.move_exception(row, ExceptionEvent::Closed, by)?;
        }
        Ok(())
    }

    /// Ends an exception whose time ran out.
    pub(super) fn lapse_exception(&mut self, id: ExceptionId, by: Stamp) -> Result<Exception> {
        let row = self.exception(id)?;
        self.move_exception(row, ExceptionEvent::Lapsed, by)
    }
}

#[async_trait]
impl ExceptionReads for View {
    async fn exception(&mut self, id: ExceptionId) -> Result<Exception> {
        self.look("read_view.exception", |draft| draft.exception(id))
    }

    async fn exceptions(
        &mut self,
        filter: &ExceptionFilter,
        page: &PageRequest,
    ) -> Result<Page<Exception>> {
        self.look("read_view.exceptions", |draft| {
            draft.exception_page(filter, page)
        })
    }
}

#[async_trait]
impl ExceptionWrites for Unit {
    async fn request_exception(&mut self, new: NewException) -> Result<Exception> {
        let (scope, by) = (self.scope, self.stamp());
        let operation = "unit_of_work.request_exception";
        self.write_as(Action::WorkFindings, operation, |draft| {
            draft.request_exception(&new, member_of(&scope)?, by)
        })
    }

    async fn decide_exception(
        &mut self,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
    ) -> Result<Exception> {
        let (scope, by) = (self.scope, self.stamp());
        self.write("unit_of_work.decide_exception", |draft| {
            draft.decide_exception(&scope, id, version, decision, by)
        })
    }
}
