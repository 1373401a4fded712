//! The scan machine: queued → running → succeeded | partial | failed | cancelled.

use super::{InvalidTransition, Refusal, Transition};
use crate::model::ScanStatus;

/// What can happen to a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanEvent {
    /// A processor began, or began again after a lost lease or a failed attempt.
    Started,
    /// It looked at everything in its plan.
    Completed {
        /// True where nothing of the plan is missing: only then is the scan a success (P8).
        coverage_complete: bool,
    },
    /// It ended without a result.
    Failed {
        /// Why, in words for the organization.
        reason: String,
    },
    /// It was stopped on request.
    Cancelled,
}

impl ScanEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// True once nothing can happen to the scan any more.
#[must_use]
pub const fn is_terminal(status: ScanStatus) -> bool {
    !matches!(status, ScanStatus::Queued | ScanStatus::Running)
}

/// One step of the machine.
///
/// # Errors
/// [`Refusal::Finished`] once the scan ended, [`Refusal::NotAllowed`] for a completion of what
/// never started.
pub fn apply(
    status: ScanStatus,
    event: &ScanEvent,
) -> Result<Transition<ScanStatus>, InvalidTransition> {
    let refuse = |refusal| {
        Err(InvalidTransition {
            machine: "scan",
            from: status.as_str(),
            event: event.name(),
            refusal,
        })
    };
    if is_terminal(status) {
        return refuse(Refusal::Finished);
    }
    let to = match event {
        ScanEvent::Started => ScanStatus::Running,
        ScanEvent::Completed { .. } if status == ScanStatus::Queued => {
            return refuse(Refusal::NotAllowed);
        }
        ScanEvent::Completed {
            coverage_complete: true,
        } => ScanStatus::Succeeded,
        ScanEvent::Completed {
            coverage_complete: false,
        } => ScanStatus::Partial,
        ScanEvent::Failed { .. } => ScanStatus::Failed,
        ScanEvent::Cancelled => ScanStatus::Cancelled,
    };
    Ok(Transition { from: status, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = ScanEvent> {
        prop_oneof![
            Just(ScanEvent::Started),
            any::<bool>().prop_map(|coverage_complete| ScanEvent::Completed { coverage_complete }),
            Just(ScanEvent::Failed { reason: "x".into() }),
            Just(ScanEvent::Cancelled),
        ]
    }

    proptest! {
        #[test]
        fn a_scan_ends_once_and_succeeds_only_with_complete_coverage(
            steps in prop::collection::vec(events(), 1..20),
        ) {
            let mut status = ScanStatus::Queued;
            let mut started = false;
            for event in steps {
                match apply(status, &event) {
                    Ok(step) => {
                        prop_assert!(!is_terminal(step.from));
                        if step.to == ScanStatus::Succeeded {
                            let complete = ScanEvent::Completed { coverage_complete: true };
                            prop_assert!(started && event == complete);
                        }
                        started |= event == ScanEvent::Started;
                        status = step.to;
                    }
                    Err(refused) => {
                        let expected =
                            if is_terminal(status) { Refusal::Finished } else { Refusal::NotAllowed };
                        prop_assert_eq!(refused.refusal, expected);
                    }
                }
            }
        }
    }
}
