//! The finding machine: new → open ⇄ acknowledged / in progress → resolved → reopened, and
//! suppressed while an exception holds.
//!
//! Looks find and resolve, people acknowledge and work, exceptions suppress. Nobody but a complete
//! look resolves (P8).

use super::{InvalidTransition, Refusal, Transition};
use crate::model::FindingStatus;

/// What can happen to a finding that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingEvent {
    /// Another scan found it.
    Found,
    /// A complete look no longer found it.
    Gone,
    /// A member took one of the steps that members take.
    Step(FindingStep),
    /// An exception from it was approved.
    Suppressed,
    /// The exception from it lapsed or was withdrawn.
    ExceptionEnded,
}

/// What a member does with a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingStep {
    /// Takes note of it.
    Acknowledge,
    /// Begins to work on it.
    Start,
    /// Puts it back: neither noted nor worked on.
    PutBack,
}

impl FindingEvent {
    /// The name that errors use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Gone => "gone",
            Self::Step(FindingStep::Acknowledge) => "acknowledged",
            Self::Step(FindingStep::Start) => "started",
            Self::Step(FindingStep::PutBack) => "put back",
            Self::Suppressed => "suppressed",
            Self::ExceptionEnded => "exception ended",
        }
    }
}

/// The status of a finding that no look found before.
pub const FIRST: FindingStatus = FindingStatus::New;

/// One step of the machine.
///
/// # Errors
/// [`Refusal::NotAllowed`]: what is gone takes no step of a member and no exception; what is
/// suppressed takes no step until its exception ends; a step to where it is already means nothing.
pub fn apply(
    status: FindingStatus,
    event: FindingEvent,
) -> Result<Transition<FindingStatus>, InvalidTransition> {
    use FindingStatus as S;
    use FindingStep::{Acknowledge, PutBack, Start};
    let to = match (status, event) {
        (S::New | S::Open, FindingEvent::Found) => S::Open,
        (S::Resolved | S::Reopened, FindingEvent::Found) => S::Reopened,
        // What people decided stays.
        (kept @ (S::Acknowledged | S::InProgress | S::Suppressed), FindingEvent::Found) => kept,
        (_, FindingEvent::Gone) => S::Resolved,
        (S::New | S::Open | S::Reopened | S::InProgress, FindingEvent::Step(Acknowledge)) => {
            S::Acknowledged
        }
        (S::New | S::Open | S::Reopened | S::Acknowledged, FindingEvent::Step(Start)) => {
            S::InProgress
        }
        (S::Acknowledged | S::InProgress, FindingEvent::Step(PutBack)) => S::Open,
        (
            S::New | S::Open | S::Reopened | S::Acknowledged | S::InProgress,
            FindingEvent::Suppressed,
        ) => S::Suppressed,
        (S::Suppressed, FindingEvent::ExceptionEnded) => S::Reopened,
        _ => {
            return Err(InvalidTransition {
                machine: "finding",
                from: status.as_str(),
                event: event.name(),
                refusal: Refusal::NotAllowed,
            });
        }
    };
    Ok(Transition { from: status, to })
}

/// True for what counts as waste: neither resolved nor suppressed.
#[must_use]
pub const fn stands(status: FindingStatus) -> bool {
    !matches!(status, FindingStatus::Resolved | FindingStatus::Suppressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = FindingEvent> {
        prop::sample::select(vec![
            FindingEvent::Found,
            FindingEvent::Gone,
            FindingEvent::Step(FindingStep::Acknowledge),
            FindingEvent::Step(FindingStep::Start),
            FindingEvent::Step(FindingStep::PutBack),
            FindingEvent::Suppressed,
            FindingEvent::ExceptionEnded,
        ])
    }

    #[test]
    fn what_is_found_again_keeps_what_people_decided_and_reopens_what_was_resolved() {
        use FindingStatus as S;
        for before in S::ALL {
            let after = match before {
                S::New | S::Open => S::Open,
                S::Resolved | S::Reopened => S::Reopened,
                S::Acknowledged | S::InProgress | S::Suppressed => *before,
            };
            let found = apply(*before, FindingEvent::Found).unwrap();
            assert_eq!(found.to, after, "{before}");
        }
    }

    proptest! {
        #[test]
        fn only_a_look_resolves_and_only_an_exception_suppresses(
            steps in prop::collection::vec(events(), 1..60),
        ) {
            let mut status = FIRST;
            for event in steps {
                let before = status;
                match apply(status, event) {
                    Ok(step) => {
                        prop_assert_eq!(step.from, before);
                        status = step.to;
                    }
                    // A look is never refused: it says what is.
                    Err(_) => prop_assert!(!matches!(
                        event,
                        FindingEvent::Found | FindingEvent::Gone
                    )),
                }
                if status == FindingStatus::Resolved && before != FindingStatus::Resolved {
                    prop_assert_eq!(event, FindingEvent::Gone);
                }
                if status == FindingStatus::Suppressed && before != FindingStatus::Suppressed {
                    prop_assert_eq!(event, FindingEvent::Suppressed);
                }
                // Found again after it was gone: nobody takes it for new.
                if before == FindingStatus::Resolved && status != before {
                    prop_assert_eq!(status, FindingStatus::Reopened);
                }
                prop_assert_ne!((before != FIRST, status), (true, FIRST));
            }
        }
    }
}
