//! Exceptions from findings.

use async_trait::async_trait;

use crate::error::Result;
use crate::id::{ExceptionId, FindingId};
use crate::model::{Exception, ExceptionStatus, NewException, Version};
use crate::port::{Page, PageRequest};
use crate::state::exception::ExceptionDecision;

/// Which exceptions are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExceptionFilter {
    /// From this finding only.
    pub finding: Option<FindingId>,
    /// With this status only.
    pub status: Option<ExceptionStatus>,
}

impl ExceptionFilter {
    /// Exceptions from one finding.
    #[must_use]
    pub const fn with_finding(mut self, finding: FindingId) -> Self {
        self.finding = Some(finding);
        self
    }

    /// Exceptions of one status.
    #[must_use]
    pub const fn with_status(mut self, status: ExceptionStatus) -> Self {
        self.status = Some(status);
        self
    }
}

/// Reads of exceptions.
#[async_trait]
pub trait ExceptionReads {
    /// One exception.
    async fn exception(&mut self, id: ExceptionId) -> Result<Exception>;

    /// Exceptions, newest first (by id, which is time-ordered).
    async fn exceptions(
        &mut self,
        filter: &ExceptionFilter,
        page: &PageRequest,
    ) -> Result<Page<Exception>>;
}

/// Writes of exceptions. What an exception does to its finding happens in the same step, and is in
/// the finding's history: there is no other way to suppress one.
#[async_trait]
pub trait ExceptionWrites {
    /// Asks for an exception, as the member whose scope this is. Needs a role that allows
    /// [`WorkFindings`](crate::access::Action::WorkFindings). An id in use, and a finding that has a
    /// live exception already, fail with
    /// [`AlreadyExists`](crate::error::ErrorKind::AlreadyExists); a finding that is resolved fails
    /// with [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition).
    async fn request_exception(&mut self, new: NewException) -> Result<Exception>;

    /// Decides about an exception. Approving suppresses its finding; withdrawing an approved one
    /// reopens it.
    ///
    /// Approving and rejecting need a role that allows
    /// [`DecideExceptions`](crate::access::Action::DecideExceptions) and somebody other than the
    /// requester; withdrawing needs the requester or such a role: otherwise
    /// [`Denied`](crate::error::ErrorKind::Denied). Approving one whose time ran out, by the store's
    /// clock, is [`InvalidTransition`](crate::error::ErrorKind::InvalidTransition).
    async fn decide_exception(
        &mut self,
        id: ExceptionId,
        version: Version,
        decision: ExceptionDecision,
    ) -> Result<Exception>;
}
