//! Assertions that the cases share.

use jiff::{SignedDuration, Timestamp};
use trueno_core::error::{Error, ErrorKind, Result};

/// Takes the error out of `result`, which has to be of `kind`; `promise` says what was promised.
/// An error that promises that nothing was applied is checked to say so.
///
/// # Panics
/// Where it succeeded, or failed otherwise.
#[track_caller]
pub fn refused<T>(result: Result<T>, kind: ErrorKind, promise: &str) -> Error {
    match result {
        Ok(_) => panic!("{promise}: expected {kind:?}, and it went through"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{promise}: {error:?}");
            assert!(
                error.certainly_not_applied(),
                "{promise}: a refusal changes nothing and says so: {error:?}"
            );
            error
        }
    }
}

/// Checks that `moment` lies between two readings of the store's clock, give or take a second: the
/// precision of clocks and columns is no promise.
///
/// # Panics
/// Where it does not.
#[track_caller]
pub fn near(moment: Timestamp, before: Timestamp, after: Timestamp, what: &str) {
    let slack = SignedDuration::from_secs(1);
    assert!(
        moment >= before - slack && moment <= after + slack,
        "{what}: {moment} is not between {before} and {after} by the store's clock (P10)"
    );
}
