//! The cloud-account machine: pending → active ⇄ unverified / paused → disconnected.

use super::{InvalidTransition, Refusal, Transition};
use crate::model::AccountStatus;

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountEvent {
    /// A verification passed, negative probes included.
    Verified,
    /// A verification failed.
    VerificationFailed,
    /// A member paused it.
    Paused,
    /// A member resumed it: it has to be verified again.
    Resumed,
    /// A member disconnected it for good.
    Disconnected,
}

impl AccountEvent {
    /// The name that audit events and errors use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::VerificationFailed => "verification failed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Disconnected => "disconnected",
        }
    }
}

/// One step of the machine.
///
/// # Errors
/// [`Refusal::Finished`] once disconnected, [`Refusal::NotAllowed`] otherwise: a paused connection
/// takes no verification, and only a paused one is resumed.
pub fn apply(
    status: AccountStatus,
    event: AccountEvent,
) -> Result<Transition<AccountStatus>, InvalidTransition> {
    use AccountStatus as S;
    let refuse = |refusal| {
        Err(InvalidTransition {
            machine: "cloud account",
            from: status.as_str(),
            event: event.name(),
            refusal,
        })
    };
    let to = match (status, event) {
        (S::Disconnected, _) => return refuse(Refusal::Finished),
        (_, AccountEvent::Disconnected) => S::Disconnected,
        (S::Pending | S::Active | S::Unverified, AccountEvent::Verified) => S::Active,
        (S::Pending | S::Active | S::Unverified, AccountEvent::VerificationFailed) => S::Unverified,
        (S::Pending | S::Active | S::Unverified, AccountEvent::Paused) => S::Paused,
        (S::Paused, AccountEvent::Resumed) => S::Pending,
        _ => return refuse(Refusal::NotAllowed),
    };
    Ok(Transition { from: status, to })
}

/// True where a scan may be requested.
#[must_use]
pub const fn may_scan(status: AccountStatus) -> bool {
    matches!(status, AccountStatus::Active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = AccountEvent> {
        prop_oneof![
            3 => Just(AccountEvent::Verified),
            3 => Just(AccountEvent::VerificationFailed),
            2 => Just(AccountEvent::Paused),
            2 => Just(AccountEvent::Resumed),
            1 => Just(AccountEvent::Disconnected),
        ]
    }

    proptest! {
        #[test]
        fn only_a_verified_connection_may_be_scanned_and_none_comes_back(
            steps in prop::collection::vec(events(), 1..40),
        ) {
            let mut status = AccountStatus::Pending;
            let mut last = None;
            for event in steps {
                if let Ok(step) = apply(status, event) {
                    prop_assert_ne!(status, AccountStatus::Disconnected);
                    status = step.to;
                    last = Some(event);
                }
                if may_scan(status) {
                    prop_assert_eq!(last, Some(AccountEvent::Verified));
                }
            }
        }
    }
}
