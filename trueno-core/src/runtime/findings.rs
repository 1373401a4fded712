//! What members do with findings and exceptions from them. Each is one unit of work with its audit
//! event.
//!
//! # Errors
//! All fail with [`Denied`](crate::error::ErrorKind::Denied) unless the scope is for the action that
//! is named, with [`NotFound`](crate::error::ErrorKind::NotFound) for what is not there, and with
//! [`Conflict`](crate::error::ErrorKind::Conflict) for what changed since the version that is named;
//! otherwise with what the store's contract says.

use serde_json::Value;

use crate::access::{Action, OrgScope};
use crate::error::Result;
use crate::id::{ExceptionId, FindingId, UserId};
use crate::model::{Comment, EventDraft, Exception, Finding, NewComment, NewException, Version};
use crate::port::TenantStore;
use crate::state::exception::ExceptionDecision;
use crate::state::finding::FindingStep;

/// Takes a step with a finding: acknowledges it, begins to work on it, or puts it back. For
/// [`Action::WorkFindings`].
///
/// # Errors
/// See [the module](self).
pub async fn step(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: FindingId,
    version: Version,
    step: FindingStep,
) -> Result<Finding> {
    scope.require(Action::WorkFindings)?;
    let mut work = store.begin(scope).await?;
    let finding = work.step_finding(id, version, step).await?;
    let event = EventDraft::new("finding.status_changed", "finding", id)
        .with_detail("status", finding.status.as_str());
    work.commit(event).await?;
    Ok(finding)
}

/// Makes a member, or nobody, the one to deal with a finding. For [`Action::WorkFindings`].
///
/// # Errors
/// See [the module](self).
pub async fn assign(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: FindingId,
    version: Version,
    assignee: Option<UserId>,
) -> Result<Finding> {
    scope.require(Action::WorkFindings)?;
    let mut work = store.begin(scope).await?;
    let finding = work.assign_finding(id, version, assignee).await?;
    let to = assignee.map_or(Value::Null, |user| user.to_string().into());
    let event = EventDraft::new("finding.assigned", "finding", id).with_detail("assignee", to);
    work.commit(event).await?;
    Ok(finding)
}

/// Adds a comment. For [`Action::WorkFindings`].
///
/// # Errors
/// See [the module](self).
pub async fn comment(
    store: &dyn TenantStore,
    scope: &OrgScope,
    new: NewComment,
) -> Result<Comment> {
    scope.require(Action::WorkFindings)?;
    let mut work = store.begin(scope).await?;
    let comment = work.add_comment(new).await?;
    // The text is no part of the history that lasts: it may be erased with the organization.
    let event = EventDraft::new("finding.commented", "finding", comment.finding)
        .with_target("comment", comment.id);
    work.commit(event).await?;
    Ok(comment)
}

/// Asks for an exception from a finding. For [`Action::WorkFindings`].
///
/// # Errors
/// See [the module](self).
pub async fn request_exception(
    store: &dyn TenantStore,
    scope: &OrgScope,
    new: NewException,
) -> Result<Exception> {
    scope.require(Action::WorkFindings)?;
    let mut work = store.begin(scope).await?;
    let exception = work.request_exception(new).await?;
    let event = EventDraft::new("exception.requested", "exception", exception.id)
        .with_target("finding", exception.finding)
        .with_detail("expires_at", exception.expires_at.to_string());
    work.commit(event).await?;
    Ok(exception)
}

/// Approves or rejects an exception, by somebody other than its requester, or withdraws it. For
/// [`Action::DecideExceptions`]; its requester withdraws it under [`Action::WorkFindings`] too.
///
/// # Errors
/// See [the module](self).
pub async fn decide_exception(
    store: &dyn TenantStore,
    scope: &OrgScope,
    id: ExceptionId,
    version: Version,
    decision: ExceptionDecision,
) -> Result<Exception> {
    if decision != ExceptionDecision::Withdraw || scope.require(Action::WorkFindings).is_err() {
        scope.require(Action::DecideExceptions)?;
    }
    let mut work = store.begin(scope).await?;
    let exception = work.decide_exception(id, version, decision).await?;
    let action = match decision {
        ExceptionDecision::Approve => "exception.approved",
        ExceptionDecision::Reject => "exception.rejected",
        ExceptionDecision::Withdraw => "exception.withdrawn",
    };
    let event = EventDraft::new(action, "exception", id).with_target("finding", exception.finding);
    work.commit(event).await?;
    Ok(exception)
}
