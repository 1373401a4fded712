//! The exception machine: requested → approved | rejected; what is live is withdrawn, lapses or
//! closes.

use super::{InvalidTransition, Refusal, Transition};
use crate::model::ExceptionStatus;

/// What can happen to an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExceptionEvent {
    /// A member decided.
    Decided(ExceptionDecision),
    /// Its time ran out.
    Lapsed,
    /// Its finding was resolved.
    Closed,
}

/// What members decide about an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionDecision {
    /// Somebody other than the requester approves it.
    Approve,
    /// Somebody other than the requester rejects it.
    Reject,
    /// It is taken back.
    Withdraw,
}

impl ExceptionEvent {
    /// The name that audit events and errors use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decided(ExceptionDecision::Approve) => "approved",
            Self::Decided(ExceptionDecision::Reject) => "rejected",
            Self::Decided(ExceptionDecision::Withdraw) => "withdrawn",
            Self::Lapsed => "lapsed",
            Self::Closed => "closed",
        }
    }
}

/// One step of the machine. Who may decide is the business of whoever calls: see
/// [`ExceptionWrites`](crate::port::tenant_store::ExceptionWrites).
///
/// # Errors
/// [`Refusal::Finished`] once it is no longer live, [`Refusal::NotAllowed`] for a decision about
/// one that was approved, other than withdrawing it.
pub fn apply(
    status: ExceptionStatus,
    event: ExceptionEvent,
) -> Result<Transition<ExceptionStatus>, InvalidTransition> {
    use ExceptionDecision::{Approve, Reject, Withdraw};
    use ExceptionStatus as S;
    let refuse = |refusal| {
        Err(InvalidTransition {
            machine: "exception",
            from: status.as_str(),
            event: event.name(),
            refusal,
        })
    };
    let to = match (status, event) {
        (S::Rejected | S::Withdrawn | S::Lapsed | S::Closed, _) => {
            return refuse(Refusal::Finished);
        }
        (S::Requested, ExceptionEvent::Decided(Approve)) => S::Approved,
        (S::Requested, ExceptionEvent::Decided(Reject)) => S::Rejected,
        (S::Approved, ExceptionEvent::Decided(Approve | Reject)) => {
            return refuse(Refusal::NotAllowed);
        }
        (S::Requested | S::Approved, ExceptionEvent::Decided(Withdraw)) => S::Withdrawn,
        (S::Requested | S::Approved, ExceptionEvent::Lapsed) => S::Lapsed,
        (S::Requested | S::Approved, ExceptionEvent::Closed) => S::Closed,
    };
    Ok(Transition { from: status, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_approved_once_at_the_most_and_ends_for_good(
            steps in prop::collection::vec(
                prop::sample::select(vec![
                    ExceptionEvent::Decided(ExceptionDecision::Approve),
                    ExceptionEvent::Decided(ExceptionDecision::Reject),
                    ExceptionEvent::Decided(ExceptionDecision::Withdraw),
                    ExceptionEvent::Lapsed,
                    ExceptionEvent::Closed,
                ]),
                1..20,
            ),
        ) {
            let mut status = ExceptionStatus::Requested;
            let mut approvals = 0;
            for event in steps {
                let before = status;
                if let Ok(step) = apply(status, event) {
                    prop_assert!(before.is_live());
                    status = step.to;
                    approvals += u32::from(status == ExceptionStatus::Approved);
                }
            }
            prop_assert!(approvals <= 1);
        }
    }
}
