//! The suite of [`SecretVault`](trueno_core::port::SecretVault): see [the crate](crate) for how an adapter
//! instantiates it.

pub mod bound;
pub mod isolation;
pub mod keys;
pub mod open;
pub mod silence;
mod world;

pub use world::World;

use crate::suite::Isolation;

/// The names of the cases, in order.
pub const CASES: &[&str] = crate::for_each_secret_vault_case!(__case_names {});

/// Every method of the port with its isolation case (P1): a test holds this list to the trait's
/// source, so that a new method cannot be forgotten.
pub const ISOLATION: &[(&str, Isolation)] = &[
    ("SecretVault::seal", Isolation::Case("isolation_seal")),
    ("SecretVault::open", Isolation::Case("isolation_open")),
    ("SecretVault::rotate", Isolation::Case("isolation_rotate")),
    ("SecretVault::rewrap", Isolation::Case("isolation_rewrap")),
    ("SecretVault::shred", Isolation::Case("isolation_shred")),
    ("SecretVault::posture", Isolation::Case("isolation_posture")),
];

/// The one list of cases. `$callback` is a macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_secret_vault_case {
    ($callback:ident $args:tt) => {
        $crate::$callback! { $args
            open {
                what_was_sealed_opens,
                a_secret_id_in_use_is_refused,
                what_was_never_sealed_is_not_found,
                secrets_need_a_scope_to_manage_them,
            }
            bound {
                a_changed_bit_does_not_open,
                a_moved_envelope_does_not_open,
                an_envelope_moved_to_another_organization_does_not_open,
                another_purpose_opens_nothing,
            }
            keys {
                a_rotation_makes_the_next_version,
                only_the_newest_version_is_rotated,
                of_concurrent_rotations_one_is_applied,
                a_rewrap_changes_keys_and_never_secrets,
                a_rewrap_mends_nothing,
                shredding_is_final,
                an_empty_organization_can_be_shredded,
            }
            silence {
                nothing_tells_a_secret,
            }
            isolation {
                isolation_seal,
                isolation_open,
                isolation_rotate,
                isolation_rewrap,
                isolation_shred,
                isolation_posture,
            }
        }
    };
}

/// Holds an adapter to the contract of [`SecretVault`](trueno_core::port::SecretVault): one test per case,
/// and one that prints their number.
///
/// Takes a factory of [`VaultHarness`](crate::harness::VaultHarness), and before it the adapter's name
/// where it is not the crate's.
#[macro_export]
macro_rules! secret_vault_conformance {
    ($factory:expr $(,)?) => {
        $crate::secret_vault_conformance!(env!("CARGO_PKG_NAME"), $factory);
    };
    ($adapter:expr, $factory:expr $(,)?) => {
        $crate::for_each_secret_vault_case! { __case_tests { secret_vault, $adapter, $factory } }
    };
}
